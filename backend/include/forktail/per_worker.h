// A value that each worker process makes for itself: the cure for most fork traps.
#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace forktail {

// Made anew by `factory` on first use in each process:
//
//   forktail::per_worker<std::mt19937> random{[] {
//     return std::mt19937(std::random_device{}());
//   }};
//   ... (*random)() ...
//
// Thread-safe as far as making goes: one thread makes it, the others wait; guard the value itself
// when several threads use it. A value that was already made when the process forked stays where it
// is in the child, untouched and undestroyed (closing an inherited database connection would end
// the parent's), and a new one is made. The factory may throw; the next use tries again.
template <typename T>
class per_worker {
 public:
  explicit per_worker(std::function<T()> factory) : factory_(std::move(factory)) {}
  per_worker() : per_worker([] { return T(); }) {}
  per_worker(const per_worker&) = delete;
  per_worker& operator=(const per_worker&) = delete;

  T& operator*() { return get(); }
  T* operator->() { return &get(); }

 private:
  T& get() {
    const pid_t self = getpid();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (owner_ != self) {
      static_cast<void>(value_.release());  // the parent's: not ours to destroy
      value_.reset(new T(factory_()));      // elides the copy: T need not be movable
      owner_ = self;
    }
    return *value_;
  }

  std::function<T()> factory_;
  std::mutex mutex_;
  std::unique_ptr<T> value_;
  pid_t owner_ = 0;
};

}  // namespace forktail
