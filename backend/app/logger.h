// The logger that Context::log() gives: the server's, whatever the application makes of spdlog's
// registry. Set once in a process, before it has threads.
#pragma once

#include <memory>

namespace spdlog {
class logger;
}

namespace forktail {

void set_application_logger(std::shared_ptr<spdlog::logger> logger);

// Null where none was set.
spdlog::logger* application_logger() noexcept;

}  // namespace forktail
