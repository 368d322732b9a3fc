#include "server/os/descriptor.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

namespace forktail::server {

void close_all_but(std::span<const int> keep) {
  std::vector<int> sorted(keep.begin(), keep.end());
  std::sort(sorted.begin(), sorted.end());
  unsigned first = 3;
  for (const int fd : sorted) {
    const auto kept = static_cast<unsigned>(fd);
    if (fd < 3) {
      continue;
    }
    if (kept > first) {
      close_range(first, kept - 1, 0);
    }
    first = std::max(first, kept + 1);
  }
  close_range(first, ~0U, 0);
}

void set_inheritable(int fd, bool inheritable) { fcntl(fd, F_SETFD, inheritable ? 0 : FD_CLOEXEC); }

void open_standard() {
  int opened = -1;
  do {
    opened = open("/dev/null", O_RDWR);  // the lowest number there is
  } while (opened >= 0 && opened < STDERR_FILENO);
  if (opened > STDERR_FILENO) {
    close(opened);
  }
}

}  // namespace forktail::server
