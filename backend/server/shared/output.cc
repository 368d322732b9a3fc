#include "server/shared/output.h"

#include <cstdio>
#include <iostream>

namespace forktail::server {

namespace {

template <typename Stream>
void flush(Stream& stream) noexcept {
  try {
    stream.flush();
  } catch (
      ...) {  // NOLINT(bugprone-empty-catch): told to throw, it has nothing that could be saved
  }
}

}  // namespace

void flush_output() noexcept {
  flush(std::cout);
  flush(std::clog);
  flush(std::wcout);
  flush(std::wclog);
  std::fflush(nullptr);
}

}  // namespace forktail::server
