// Sets spdlog up for a process of the server: one sink, which is ours, behind the default logger,
// so that plain spdlog::info() of an application goes through it.
#pragma once

#include <memory>

#include "log/sink.h"
#include "server/shared/options.h"

namespace forktail::server {

// Opens `logto` and makes it spdlog's default. Throws std::runtime_error naming the file.
std::shared_ptr<log::Sink> start_logging(const Options& options);

// The same over a descriptor that is already open: stderr is 2 and stays so.
std::shared_ptr<log::Sink> inherit_logging(const Options& options, int descriptor);

// Sets the level of both, the default logger and our sink, to `log-level`.
void set_log_level(log::Sink& sink, const Options& options);

}  // namespace forktail::server
