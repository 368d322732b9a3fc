#include "log/system.h"

#include <unistd.h>

namespace forktail::log {

ssize_t System::write(int descriptor, const void* bytes, std::size_t size) {
  return ::write(descriptor, bytes, size);
}

int System::dup3(int from, int to, int flags) { return ::dup3(from, to, flags); }

std::chrono::steady_clock::time_point System::steady_now() {
  return std::chrono::steady_clock::now();
}

std::chrono::system_clock::time_point System::wall_now() {
  return std::chrono::system_clock::now();
}

System& real_system() {
  static System system;
  return system;
}

}  // namespace forktail::log
