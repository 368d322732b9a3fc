#include "server/shared/log_groups.h"

#include <cassert>

namespace forktail::server {

namespace {

constexpr const char* kWhat = "the requests' log lines";

std::size_t bytes_a_seat(int threads) {
  return sizeof(log::Order) + sizeof(log::Group) * static_cast<std::size_t>(threads);
}

std::size_t group_bytes(int seats, int threads) {
  return bytes_a_seat(threads) * static_cast<std::size_t>(seats);
}

}  // namespace

LogGroups::LogGroups(int seats, int threads)
    : threads_(threads), memory_(kWhat, group_bytes(seats, threads)) {}

LogGroups::LogGroups(int memfd, int seats, int threads)
    : threads_(threads), memory_(kWhat, group_bytes(seats, threads), Descriptor(memfd)) {}

log::Gathering LogGroups::of(int worker) const {
  assert(worker >= 1);
  const auto place = static_cast<std::size_t>(worker) - 1;
  std::byte* base = memory_.base() + bytes_a_seat(threads_) * place;
  return {reinterpret_cast<log::Order*>(base),
          {reinterpret_cast<log::Group*>(base + sizeof(log::Order)),
           static_cast<std::size_t>(threads_)}};
}

void LogGroups::clear(int worker) const {
  const log::Gathering gathering = of(worker);
  gathering.order->make();
  for (log::Group& group : gathering.groups) {
    group.end();
    group.clear();
  }
}

}  // namespace forktail::server
