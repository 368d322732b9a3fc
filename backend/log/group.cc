#include "log/group.h"

#include <algorithm>
#include <cstring>

namespace forktail::log {

namespace {

struct Sizes {
  std::uint16_t head;
  std::uint16_t tail;
};

}  // namespace

void Group::begin(std::string_view id) noexcept {
  id_size_ = 0;
  if (id.size() <= id_.size()) {
    std::memcpy(id_.data(), id.data(), id.size());
    id_size_ = static_cast<std::uint32_t>(id.size());
  }
}

bool Group::gathers(std::string_view id) const noexcept {
  const std::size_t size = id_size_;
  return size != 0 && size <= id_.size() && id == std::string_view(id_.data(), size);
}

bool Group::append(const Record& line, std::int64_t now_ns) noexcept {
  const Sizes sizes{static_cast<std::uint16_t>(line.head.size()),
                    static_cast<std::uint16_t>(line.tail.size())};
  const std::size_t more = sizeof(sizes) + line.head.size() + line.tail.size();
  const std::size_t size = size_;
  if (size > bytes_.size() || more > bytes_.size() - size) {
    return false;
  }
  char* to = bytes_.data() + size;
  std::memcpy(to, &sizes, sizeof(sizes));
  std::memcpy(to + sizeof(sizes), line.head.data(), line.head.size());
  std::memcpy(to + sizeof(sizes) + line.head.size(), line.tail.data(), line.tail.size());
  if (size == 0) {
    first_ns_ = now_ns;
    written_behind_ = {};
  }
  ++lines_;
  // The compiler must not move it up: the rest has to be there when a killed process's size says
  // so.
  __atomic_store_n(&size_, static_cast<std::uint32_t>(size + more), __ATOMIC_RELEASE);
  return true;
}

void Group::drop_first(std::uint32_t lines) noexcept {
  std::size_t offset = 0;
  for (std::uint32_t i = 0; i < lines; ++i) {
    at(offset);
  }
  std::memmove(bytes_.data(), bytes_.data() + offset, bytes_.size() - offset);
  size_ -= std::min(size_, static_cast<std::uint32_t>(offset));
  lines_ -= std::min(lines_, lines);
}

bool Group::old(std::int64_t now_ns) const noexcept {
  constexpr std::int64_t kLongest = 1'000'000'000;
  return size_ != 0 && now_ns - std::clamp(first_ns_, std::int64_t{0}, now_ns) >= kLongest;
}

Group::Record Group::at(std::size_t& offset) const noexcept {
  const std::string_view all(bytes_.data(), std::min<std::size_t>(size_, bytes_.size()));
  Sizes sizes{};
  if (offset + sizeof(sizes) > all.size()) {
    return {};
  }
  std::memcpy(&sizes, all.data() + offset, sizeof(sizes));
  const std::string_view rest = all.substr(offset + sizeof(sizes));
  if (std::size_t{sizes.head} + sizes.tail > rest.size()) {
    return {};
  }
  offset += sizeof(sizes) + sizes.head + sizes.tail;
  return {rest.substr(0, sizes.head), rest.substr(sizes.head, sizes.tail)};
}

}  // namespace forktail::log
