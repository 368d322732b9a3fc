// Whether the application's code runs in the calling thread, for whoever interrupts it: of a
// request whose body is read, or whose answer is written, the application knows nothing.
#pragma once

namespace forktail::server {

// May be called by a signal handler.
bool application_at_work() noexcept;

// The block is the application's. Blocks do not nest.
class AtWork {
 public:
  AtWork() noexcept;
  ~AtWork();
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
};

}  // namespace forktail::server
