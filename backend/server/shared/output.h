// What an application has written to its standard streams and what is still in their buffers.
#pragma once

namespace forktail::server {

// Writes out what stdio and the C++ streams hold, also those that are not synchronised with stdio:
// before a fork, which would make it as many copies as there are processes, and before _exit(),
// which would lose it. Nothing throws, whatever the application has made of the streams.
void flush_output() noexcept;

}  // namespace forktail::server
