#include "forktail/context.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "app/logger.h"

namespace forktail {

namespace {
// version "-" trace-id "-" parent-id "-" flags
// (https://www.w3.org/TR/trace-context/#traceparent-header)
constexpr std::size_t kTraceIdAt = 3;
constexpr std::size_t kTraceIdSize = 32;
constexpr std::size_t kSpanIdAt = 36;
constexpr std::size_t kSpanIdSize = 16;

// Never destroyed: threads may log while the application's exit() runs destructors.
std::shared_ptr<spdlog::logger>& current_logger() {
  static auto& logger = *new std::shared_ptr<spdlog::logger>();
  return logger;
}
}  // namespace

std::string_view to_string(ForkMode mode) {
  switch (mode) {
    case ForkMode::preload:
      return "preload";
    case ForkMode::lazy:
      return "lazy";
    case ForkMode::exec:
      return "exec";
  }
  return "unknown";
}

Context::Context(std::string_view id, std::string_view traceparent, const Worker& worker,
                 Clock::time_point deadline)
    : id_{},
      traceparent_{},
      id_size_(static_cast<unsigned char>(std::min(id.size(), id_.size()))),
      traced_(traceparent.size() >= traceparent_.size()),
      worker_(worker),
      deadline_(deadline) {
  std::copy_n(id.data(), id_size_, id_.begin());
  if (traced_) {
    std::copy_n(traceparent.data(), traceparent_.size(), traceparent_.begin());
    // Of a later version only the fields of version 00 were taken over, so it is passed on as 00.
    traceparent_[0] = traceparent_[1] = '0';
  }
}

Trace Context::trace() const {
  if (!traced_) {
    return {};
  }
  return {{traceparent_.data() + kTraceIdAt, kTraceIdSize},
          {traceparent_.data() + kSpanIdAt, kSpanIdSize}};
}

spdlog::logger& Context::log() const {
  spdlog::logger* const ours = application_logger();
  return ours != nullptr ? *ours : *spdlog::default_logger_raw();
}

void set_application_logger(std::shared_ptr<spdlog::logger> logger) {
  current_logger() = std::move(logger);
}

spdlog::logger* application_logger() noexcept { return current_logger().get(); }

std::vector<Header> Context::propagate() const {
  std::vector<Header> headers{{"X-Request-ID", std::string(id())}};
  if (traced_) {
    headers.push_back({"traceparent", std::string(traceparent_.data(), traceparent_.size())});
  }
  return headers;
}

}  // namespace forktail
