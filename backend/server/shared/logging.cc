#include "server/shared/logging.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "app/logger.h"

namespace forktail::server {

namespace {

std::shared_ptr<log::Sink> make_default(std::shared_ptr<log::Sink> sink, const Options& options) {
  auto logger = std::make_shared<spdlog::logger>("forktail", sink);
  spdlog::set_default_logger(logger);
  set_application_logger(std::move(logger));
  set_log_level(*sink, options);
  return sink;
}

}  // namespace

std::shared_ptr<log::Sink> start_logging(const Options& options) {
  return make_default(std::make_shared<log::Sink>(options.logto, options.log_format), options);
}

std::shared_ptr<log::Sink> inherit_logging(const Options& options, int descriptor) {
  return make_default(std::make_shared<log::Sink>(descriptor, options.logto, options.log_format),
                      options);
}

void set_log_level(log::Sink& sink, const Options& options) {
  const auto level = spdlog::level::from_str(options.log_level);
  application_logger()->set_level(level);
  sink.set_server_level(level);  // the server's own lines do not pass through the logger
}

}  // namespace forktail::server
