// A struct of counters in shared memory: each member that a table names is an atomic number, in the
// table's order. Each is whole by itself; together they may be of different moments.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace forktail::server {

template <typename Struct>
using MemberTable = std::span<std::uint64_t Struct::*const>;

// `page` has eight bytes for each member, and their alignment.
template <typename Struct>
void write_numbers(std::byte* page, MemberTable<Struct> members, const Struct& from) {
  for (auto* number = reinterpret_cast<std::atomic<std::uint64_t>*>(page);
       const auto member : members) {
    (number++)->store(from.*member, std::memory_order_relaxed);
  }
}

template <typename Struct>
[[nodiscard]] Struct read_numbers(const std::byte* page, MemberTable<Struct> members) {
  Struct to;
  for (const auto* number = reinterpret_cast<const std::atomic<std::uint64_t>*>(page);
       const auto member : members) {
    to.*member = (number++)->load(std::memory_order_relaxed);
  }
  return to;
}

}  // namespace forktail::server
