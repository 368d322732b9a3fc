// spdlog's asynchronous logger, made at load.
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>

#include "fixture.h"

void fixture::at_load() {
  spdlog::basic_logger_mt<spdlog::async_factory>("orders", "fixture.async");  // made here
}
