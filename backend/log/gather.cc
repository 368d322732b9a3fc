// The half of the sink that gathers the lines of a request and writes them as one block.
#include <algorithm>
#include <charconv>
#include <mutex>

#include "log/fragment.h"
#include "log/sink.h"

namespace forktail::log {

namespace {

// At the end of a line that its process did not live to write.
constexpr std::string_view kJsonMark = ",\"recovered\":true}\n";
constexpr std::string_view kTextMark = "\trecovered=true\n";

constexpr std::size_t kNumberAndMark = 20 + 20;

std::int64_t nanoseconds(std::chrono::steady_clock::time_point time) {
  return time.time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void Sink::gather(const Gathering& gathering) noexcept {
  const std::lock_guard lock(*order_);
  gathering.order->seq = order_->seq;
  order_ = gathering.order;
  groups_ = gathering.groups;
}

void Sink::begin_request(int thread, std::string_view id) noexcept {
  if (!groups_.empty()) {
    const std::lock_guard lock(*order_);
    groups_[static_cast<std::size_t>(thread)].begin(id);
  }
}

void Sink::end_request(int thread) noexcept {
  if (!groups_.empty()) {
    Group& group = groups_[static_cast<std::size_t>(thread)];
    const std::lock_guard lock(*order_);
    write_out(group, *order_, false);
    group.end();
  }
}

void Sink::write_gathered(const Gathering& of, bool dead) noexcept {
  const std::lock_guard own(*order_);
  if (dead) {
    of.order->inherit();
  } else if (!of.order->try_lock()) {
    return;  // a stopped worker may hold its lock for as long as it likes
  }
  const std::lock_guard lock(*of.order, std::adopt_lock);
  const std::int64_t now = nanoseconds(system_.steady_now());
  for (Group& group : of.groups) {
    if (dead) {
      forget_written(group, *of.order);
    }
    if (dead || group.old(now)) {
      write_out(group, *of.order, dead);
    }
  }
}

// False when the line belongs to no request that is being gathered.
bool Sink::append(const Event& event, const Line& line) noexcept {
  const auto group = std::ranges::find_if(
      groups_, [&](const Group& one) { return one.gathers(event.request_id); });
  if (group == groups_.end()) {
    return false;
  }
  const std::int64_t now = nanoseconds(system_.steady_now());
  const Group::Record record{line.head(), line.tail()};
  if (group->old(now) || !group->append(record, now)) {
    write_out(*group, *order_, false);
    group->append(record, now);  // the longest line fits in an empty group
  }
  return true;
}

// Composes the records from `offset` on as the lines after `order`'s last one, as many of them as
// may go out at once.
Sink::Block Sink::compose(const Group& group, std::size_t& offset, const Order& order,
                          bool marked) const noexcept {
  const std::size_t line_limit = line_limit_.load(std::memory_order_relaxed);
  const std::size_t limit = line_limit < kMaxLine ? line_limit : kBlock;
  const std::string_view end = format_ == Format::json ? kJsonMark : kTextMark;
  const std::size_t replaced = format_ == Format::json ? 2 : 1;  // `}` and the line feed
  char* const begin = block_.get();
  char* to = begin;
  std::uint32_t lines = 0;
  for (std::size_t next = offset;; offset = next) {
    const auto [head, tail] = group.at(next);
    if (head.empty() || tail.size() < replaced ||
        static_cast<std::size_t>(to - begin) + head.size() + tail.size() + kNumberAndMark > limit) {
      return {{begin, static_cast<std::size_t>(to - begin)}, lines};
    }
    to = std::ranges::copy(head, to).out;
    to = std::to_chars(to, to + kNumberAndMark, order.seq + ++lines).ptr;
    to = std::ranges::copy(marked ? tail.substr(0, tail.size() - replaced) : tail, to).out;
    to = marked ? std::ranges::copy(end, to).out : to;
  }
}

// In one piece, or where the log is a pipe in pieces that do not tear.
void Sink::write_out(Group& group, Order& order, bool marked) noexcept {
  if (group.empty()) {
    return;
  }
  std::uint32_t left = group.lines();
  if (report_loss()) {
    group.note_writing(file_end(descriptor_));
    std::size_t offset = 0;
    for (bool whole = true; whole;) {
      const Block block = compose(group, offset, order, marked);
      const std::uint32_t written = block.lines > 0 ? put(order, block.bytes, block.lines) : 0;
      left -= std::min(left, written);
      whole = written > 0 && written == block.lines;
    }
  }
  if (left > 0) {
    drop(order, left);
  }
  group.clear();
}

// What a worker that was killed while it wrote had written is taken out of its group.
void Sink::forget_written(Group& group, Order& order) const noexcept {
  const FileEnd behind = group.written_behind();
  if (group.empty() || !behind) {
    return;
  }
  const int file = behind.same_file(file_end(previous_)) ? previous_ : descriptor_;
  if (!behind.same_file(file_end(file))) {
    return;
  }
  std::size_t offset = 0;
  const Block block = compose(group, offset, order, false);
  const std::uint32_t written = lines_written_since(file, behind.size, block.bytes);
  order.seq += written;
  group.drop_first(written);
}

}  // namespace forktail::log
