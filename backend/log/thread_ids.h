// The kernel's ids of the calling process and thread, without asking the kernel for each line.
#pragma once

#include <sys/types.h>

namespace forktail::log {

struct ThreadIds {
  pid_t process;
  pid_t thread;
};

// Right in a child of fork(2) too (a raw clone(2) would leave the parent's). Any thread.
ThreadIds thread_ids() noexcept;

}  // namespace forktail::log
