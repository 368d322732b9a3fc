// The descriptor numbers of kept connections.
//
// epoll knows a descriptor by its open file *and its number*, so a connection has the same number,
// `base + slot`, in each worker that can arm it. Those numbers are taken from a process's first
// moment on, by a placeholder that can be neither read nor written: whatever the application opens
// gets others, and what it writes to a stale number goes nowhere.
#pragma once

namespace forktail::server {

struct KeptNumbers {
  int base = 0;   // the first of the range
  int count = 0;  // how many connections a generation can keep; 0: none

  // Above the range, where the master has its own duplicates: below it they would come to stand
  // where the next generation's processes need other things.
  [[nodiscard]] int above() const { return base + count + 1; }
};

// For a server whose generations have up to `seats` workers. Raises the calling process's soft
// limit of open files as far as it takes and the hard one allows. Once, at the start of the master,
// for all its generations: a worker that becomes a template keeps its range.
KeptNumbers plan_kept_numbers(int seats);

// Takes all numbers of the range in this process, and closes whatever has one. False with errno.
bool reserve(const KeptNumbers& numbers);

// Closes a kept connection's number, which stays taken.
void vacate(const KeptNumbers& numbers, int descriptor);

}  // namespace forktail::server
