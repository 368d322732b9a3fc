// Memory of groups, as the master makes it for a worker.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>

#include "log/group.h"

namespace forktail::log {

// Two threads' groups, in memory that forked processes share.
class SharedGathering {
 public:
  static constexpr int kThreads = 2;

  SharedGathering() : memory_(new_memory()) { memory_->order.make(); }
  ~SharedGathering() { munmap(memory_, sizeof(Memory)); }
  SharedGathering(const SharedGathering&) = delete;
  SharedGathering& operator=(const SharedGathering&) = delete;

  [[nodiscard]] Gathering view() const { return {&memory_->order, memory_->groups}; }

  // A thread that ends as the holder of the lock.
  void abandon_lock() {
    std::thread([this] { memory_->order.lock(); }).join();
  }
  void spoil(int byte = 0xa5) { std::memset(static_cast<void*>(memory_), byte, sizeof(*memory_)); }
  void spoil_lock(int value) {
    // Behind the number of the last line.
    std::memcpy(reinterpret_cast<char*>(&memory_->order) + sizeof(std::uint64_t), &value,
                sizeof(value));
  }

 private:
  struct Memory {
    Order order;
    std::array<Group, kThreads> groups;
  };
  static Memory* new_memory() {
    void* memory =
        mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::system_error(errno, std::generic_category(), "mmap");
    }
    return static_cast<Memory*>(memory);
  }
  Memory* memory_;
};

}  // namespace forktail::log
