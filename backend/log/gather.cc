// The half of the sink that gathers the lines of a request and writes them as one block.
#include <algorithm>
#include <charconv>
#include <mutex>

#include "log/fragment.h"
#include "log/sink.h"
#include "log/turn.h"

namespace forktail::log {

namespace {

// At the end of a line that its process did not live to write.
constexpr std::string_view kJsonMark = ",\"recovered\":true}\n";
constexpr std::string_view kTextMark = "\trecovered=true\n";

constexpr std::size_t kNumberAndMark = 20 + 20;

// As far as its bytes tell, it is a line: another worker may have written over the memory.
bool is_line(const Group::Record& record, Format format) {
  const auto prints = [](char c) { return static_cast<unsigned char>(c) >= 0x20 || c == '\t'; };
  const auto [head, tail] = record;
  return tail.ends_with(format == Format::json ? "}\n" : "\n") &&
         (format == Format::text || head.starts_with(kJsonStart)) &&
         std::ranges::all_of(head, prints) &&
         std::ranges::all_of(tail.substr(0, tail.size() - 1), prints);
}

struct Block {
  std::string_view bytes;
  std::uint32_t lines;
};

// How lines become a block: in `room`, of so many bytes at most, each with a mark or none.
struct Composing {
  Format format;
  char* room;
  std::size_t limit;
  bool marked;
};

// Composes the records of `group` from `offset` on as the lines after number `seq`, as many of them
// as may go out at once.
Block compose(const Group& group, std::size_t& offset, std::uint64_t seq,
              const Composing& how) noexcept {
  const std::string_view end = how.format == Format::json ? kJsonMark : kTextMark;
  const std::size_t replaced = how.format == Format::json ? 2 : 1;  // `}` and the line feed
  char* to = how.room;
  std::uint32_t lines = 0;
  for (std::size_t next = offset;; offset = next) {
    const Group::Record record = group.at(next);
    const auto [head, tail] = record;
    const auto size = static_cast<std::size_t>(to - how.room);
    if (head.empty() || !is_line(record, how.format) ||
        size + head.size() + tail.size() + kNumberAndMark > how.limit) {
      return {{how.room, size}, lines};
    }
    to = std::ranges::copy(head, to).out;
    to = std::to_chars(to, to + kNumberAndMark, seq + ++lines).ptr;
    to = std::ranges::copy(how.marked ? tail.substr(0, tail.size() - replaced) : tail, to).out;
    to = how.marked ? std::ranges::copy(end, to).out : to;
  }
}

std::int64_t nanoseconds(std::chrono::steady_clock::time_point time) {
  return time.time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void Sink::gather(const Gathering& gathering) noexcept {
  gathering.order->seq = own_order_.seq;
  order_ = gathering.order;
  groups_ = gathering.groups;
}

void Sink::begin_request(int thread, std::string_view id) noexcept {
  if (!groups_.empty()) {
    const Turn turn(*this);
    groups_[static_cast<std::size_t>(thread)].begin(id);
  }
}

void Sink::end_request(int thread) noexcept {
  if (!groups_.empty()) {
    Group& group = groups_[static_cast<std::size_t>(thread)];
    const Turn turn(*this);
    write_out(group, *order_, false);
    group.end();
  }
}

void Sink::write_gathered(const Gathering& of, bool dead) noexcept {
  const Turn turn(*this);
  if (dead) {
    of.order->inherit();
  } else if (!of.order->try_lock()) {
    return;  // a stopped worker may hold its lock for as long as it likes
  }
  const std::lock_guard lock(*of.order, std::adopt_lock);
  const std::int64_t now = nanoseconds(system_.steady_now());
  if (dead) {  // first the one that it was writing: its lines have the next numbers
    for (Group& group : of.groups) {
      if (forget_written(group, *of.order)) {
        write_out(group, *of.order, true);
      }
    }
  }
  for (Group& group : of.groups) {
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

// A pipe takes no more than a line in one piece.
std::size_t Sink::block_limit() const noexcept {
  const std::size_t line_limit = file_.line_limit();
  return line_limit < kMaxLine ? line_limit : kBlock;
}

// In one piece, or where the log is a pipe in pieces that do not tear.
void Sink::write_out(Group& group, Order& order, bool marked) noexcept {
  if (group.empty()) {
    return;
  }
  std::uint32_t left = group.lines();
  if (report_loss()) {
    group.note_writing(file_end(file_.descriptor()), order.seq);
    std::size_t offset = 0;
    for (bool whole = true; whole;) {
      const Block block =
          compose(group, offset, order.seq, {format_, block_.get(), block_limit(), marked});
      const std::uint32_t written = block.lines > 0 ? put(order, block.bytes, block.lines) : 0;
      // Behind the last one, or where somebody has written over them, are no lines to be missed.
      left = block.lines > 0 ? left - std::min(left, written) : 0;
      whole = written > 0 && written == block.lines;
    }
  }
  if (left > 0) {
    drop(order, left);
  }
  group.clear();
}

// What a worker that was killed while it wrote had written is taken out of its group. It may have
// counted these lines already. False when it had not written any.
bool Sink::forget_written(Group& group, Order& order) const noexcept {
  const FileEnd behind = group.written_behind();
  if (group.empty() || !behind) {
    return false;
  }
  const int file = file_.descriptor_of(behind);
  if (!behind.same_file(file_end(file))) {
    return false;
  }
  std::size_t offset = 0;
  const std::uint64_t before = group.numbered_behind();
  const Block block = compose(group, offset, before, {format_, block_.get(), block_limit(), false});
  const std::uint32_t written = lines_written_since(file, behind.size, block.bytes);
  order.seq = written > 0 ? before + written : order.seq;
  group.drop_first(written);
  return written > 0;
}

}  // namespace forktail::log
