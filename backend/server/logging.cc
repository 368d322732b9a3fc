#include "server/logging.h"

#include <spdlog/spdlog.h>

namespace forktail::server {

namespace {

std::shared_ptr<log::Sink> make_default(std::shared_ptr<log::Sink> sink, const Options& options) {
  auto logger = std::make_shared<spdlog::logger>("forktail", sink);
  const auto level = spdlog::level::from_str(options.log_level);
  logger->set_level(level);
  sink->set_level(level);  // the server's own lines do not pass through the logger
  spdlog::set_default_logger(std::move(logger));
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

}  // namespace forktail::server
