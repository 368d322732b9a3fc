// A bool in memory that processes share. A byte that is neither 0 nor 1 is no bool: to read one is
// undefined, and any process can write it. Here each byte that is not 0 is true.
#pragma once

#include <atomic>
#include <cstdint>

namespace forktail::server {

class SharedFlag {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): it stands for a std::atomic<bool>
  operator bool() const noexcept { return load(); }
  SharedFlag& operator=(bool value) noexcept {
    store(value);
    return *this;
  }

  [[nodiscard]] bool load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
    return byte_.load(order) != 0;
  }
  void store(bool value, std::memory_order order = std::memory_order_seq_cst) noexcept {
    byte_.store(value ? 1 : 0, order);
  }
  bool exchange(bool value) noexcept { return byte_.exchange(value ? 1 : 0) != 0; }

 private:
  std::atomic<std::uint8_t> byte_;
};

static_assert(std::atomic<std::uint8_t>::is_always_lock_free);

}  // namespace forktail::server
