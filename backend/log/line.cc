#include "log/line.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "log/json.h"

namespace forktail::log {

namespace {

// Output bytes that a text of unknown length may take. A valid id needs no escape and fits.
constexpr std::size_t kIdRoom = 128;
constexpr std::size_t kSourceRoom = 128;
constexpr std::size_t kNameRoom = 64;
// `,"":""` and the longest number that to_chars writes.
constexpr std::size_t kFieldOverhead = 6 + 32;
constexpr std::size_t kTruncatedRoom = std::string_view(",\"truncated\":").size() + 20;

// Appends to a fixed piece of memory; what does not fit is cut off.
class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}

  void raw(std::string_view bytes) {
    const std::size_t size = std::min(bytes.size(), room());
    std::copy_n(bytes.begin(), size, out_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += size;
  }

  template <typename Number>
  void number(Number value) {
    const auto [end, error] = std::to_chars(out_.data() + size_, out_.data() + out_.size(), value);
    if (error == std::errc()) {
      size_ = static_cast<std::size_t>(end - out_.data());
    }
  }

  void padded(unsigned value, int digits) {
    std::array<char, 8> text;
    for (int i = digits; i-- > 0; value /= 10) {
      text[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
    }
    raw({text.data(), static_cast<std::size_t>(digits)});
  }

  // At most `limit` bytes of escaped text; returns how many bytes of `text` were left out.
  std::size_t escaped(std::string_view text, std::size_t limit, Quotes quotes = Quotes::escaped) {
    const Escaped done = escape_json(text, out_.subspan(size_, std::min(limit, room())), quotes);
    size_ += done.written;
    return text.size() - done.taken;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t room() const { return out_.size() - size_; }
  [[nodiscard]] std::string_view text() const { return {out_.data(), size_}; }

 private:
  std::span<char> out_;
  std::size_t size_ = 0;
};

void write_time(Writer& out, std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto micros = floor<microseconds>(time);
  const auto day = floor<days>(micros);
  const year_month_day date(day);
  const hh_mm_ss clock(micros - day);
  out.padded(static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out.raw("-");
  out.padded(static_cast<unsigned>(date.month()), 2);
  out.raw("-");
  out.padded(static_cast<unsigned>(date.day()), 2);
  out.raw("T");
  out.padded(static_cast<unsigned>(clock.hours().count()), 2);
  out.raw(":");
  out.padded(static_cast<unsigned>(clock.minutes().count()), 2);
  out.raw(":");
  out.padded(static_cast<unsigned>(clock.seconds().count()), 2);
  out.raw(".");
  out.padded(static_cast<unsigned>(clock.subseconds().count()), 6);
  out.raw("Z");
}

void write_source(Writer& out, const Event& event) {
  out.escaped(event.source_file.substr(event.source_file.rfind('/') + 1), kSourceRoom);
  out.raw(":");
  out.number(event.source_line);
}

// How a field begins, and how its value is told from its name.
struct FieldStyle {
  std::string_view before_name;
  std::string_view before_value;
};
constexpr FieldStyle kJsonField{",\"", "\":"};
constexpr FieldStyle kTextField{"\t", "="};

// All of its digits and no more: `1.5`, `0.000042`, `20`.
void write_milliseconds(Writer& out, std::chrono::nanoseconds time) {
  constexpr std::int64_t kPerMillisecond = 1'000'000;
  const std::int64_t count = time.count();
  if (count < 0) {
    out.raw("-");
  }
  const std::uint64_t size =
      count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  out.number(size / kPerMillisecond);
  int digits = 6;
  auto fraction = static_cast<unsigned>(size % kPerMillisecond);
  if (fraction == 0) {
    return;
  }
  for (; fraction % 10 == 0; fraction /= 10) {
    --digits;
  }
  out.raw(".");
  out.padded(fraction, digits);
}

std::size_t write_text_field(Writer& out, const FieldStyle& style, std::string_view name,
                             std::string_view value, std::size_t limit) {
  out.raw(style.before_name);
  const std::size_t left_out = out.escaped(name, kNameRoom);
  out.raw(style.before_value);
  out.raw("\"");
  const std::size_t cut = out.escaped(value, limit);
  out.raw("\"");
  return left_out + cut;
}

// Each item whole, up to the first that does not fit.
std::size_t write_list(Writer& out, Field::List items, std::size_t limit) {
  const std::size_t end = out.size() + limit;
  std::size_t left_out = 0;
  out.raw("[");
  std::string_view before;
  for (const std::string_view item : items) {
    const std::size_t most = std::string_view(",\"\"").size() + kLongestEscape * item.size();
    if (left_out != 0 || out.size() + most > end) {
      left_out += item.size();
      continue;
    }
    out.raw(before);
    out.raw("\"");
    out.escaped(item, most);
    out.raw("\"");
    before = ",";
  }
  out.raw("]");
  return left_out;
}

std::size_t write_field(Writer& out, const FieldStyle& style, const Field& field,
                        std::size_t value_limit) {
  const auto* text = std::get_if<std::string_view>(&field.value);
  constexpr std::size_t kNeeded = kNameRoom + kFieldOverhead;
  if (out.room() < kNeeded) {
    return field.name.size() + (text != nullptr ? text->size() : 0);
  }
  if (text != nullptr) {
    return write_text_field(out, style, field.name, *text,
                            std::min(value_limit, out.room() - kNeeded));
  }
  out.raw(style.before_name);
  const std::size_t left_out = out.escaped(field.name, kNameRoom);
  out.raw(style.before_value);
  if (const auto* list = std::get_if<Field::List>(&field.value)) {
    return left_out + write_list(out, *list, std::min(value_limit, out.room() - kFieldOverhead));
  }
  if (const auto* integer = std::get_if<std::int64_t>(&field.value)) {
    out.number(*integer);
  } else {
    write_milliseconds(out, std::get<std::chrono::nanoseconds>(field.value));
  }
  return left_out;
}

void write_json_head(Writer& out, const Event& event) {
  out.raw(kJsonStart);
  write_time(out, event.time);
  out.raw("\",\"level\":\"");
  out.raw(event.level);
  out.raw("\"");
  if (!event.request_id.empty()) {
    write_text_field(out, kJsonField, "request_id", event.request_id, kIdRoom);
  }
  if (!event.trace.trace_id.empty()) {
    write_text_field(out, kJsonField, "trace_id", event.trace.trace_id, kIdRoom);
    write_text_field(out, kJsonField, "span_id", event.trace.span_id, kIdRoom);
  }
  out.raw(",\"pid\":");
  out.number(event.pid);
  out.raw(",\"tid\":");
  out.number(event.tid);
  if (event.identity.worker != 0) {
    out.raw(",\"worker\":");
    out.number(event.identity.worker);
  }
  if (event.identity.generation != 0) {
    out.raw(",\"gen\":");
    out.number(event.identity.generation);
  }
  out.raw(",\"seq\":");
}

// `fields` is what write_field() made of the event's; `left_out` is the bytes of text that it cut.
void write_json_tail(Writer& out, const Event& event, std::string_view fields,
                     std::size_t left_out) {
  constexpr std::string_view kEnd = "}\n";
  if (!event.source_file.empty()) {
    out.raw(",\"src\":\"");
    write_source(out, event);
    out.raw("\"");
  }
  out.raw(",\"msg\":\"");
  const std::size_t reserved = 1 + kTruncatedRoom + fields.size() + kEnd.size();
  left_out += out.escaped(event.message, out.room() - reserved);
  out.raw("\"");
  if (left_out != 0) {
    out.raw(",\"truncated\":");
    out.number(left_out);
  }
  out.raw(fields);
  out.raw(kEnd);
}

void write_text_head(Writer& out, const Event& event) {
  const auto numbered_or_dash = [&out](std::string_view letter, int number) {
    if (number == 0) {
      return out.raw(" -");
    }
    out.raw(letter);
    out.number(number);
  };
  write_time(out, event.time);
  out.raw(" ");
  out.raw(event.level);
  out.raw(" ");
  if (event.request_id.empty()) {
    out.raw("-");
  } else {
    out.escaped(event.request_id, kIdRoom);
  }
  out.raw(" ");
  out.number(event.pid);
  out.raw("/");
  out.number(event.tid);
  numbered_or_dash(" w", event.identity.worker);
  numbered_or_dash(" g", event.identity.generation);
  out.raw(" #");
}

void write_text_tail(Writer& out, const Event& event, std::string_view fields,
                     std::size_t left_out) {
  constexpr std::string_view kEnd = "\n";
  constexpr std::size_t kTraceRoom = 2 * (kNameRoom + kFieldOverhead + kIdRoom);
  out.raw(" ");
  if (event.source_file.empty()) {
    out.raw("-");
  } else {
    write_source(out, event);
  }
  out.raw(" ");
  const std::size_t reserved = kTruncatedRoom + kTraceRoom + fields.size() + kEnd.size();
  left_out += out.escaped(event.message, out.room() - reserved, Quotes::plain);
  if (left_out != 0) {
    out.raw("\ttruncated=");
    out.number(left_out);
  }
  if (!event.trace.trace_id.empty()) {
    write_text_field(out, kTextField, "trace_id", event.trace.trace_id, kIdRoom);
    write_text_field(out, kTextField, "span_id", event.trace.span_id, kIdRoom);
  }
  out.raw(fields);
  out.raw(kEnd);
}

}  // namespace

Line::Line(const Event& event, Format format, std::size_t limit) noexcept {
  const bool json = format == Format::json;

  // The fields first: the message gets the room that they leave. No value may take more than a
  // quarter of the line and all together no more than half.
  std::array<char, kMaxLine / 2> field_bytes;
  Writer fields(std::span<char>(field_bytes).first(limit / 2));
  std::size_t left_out = 0;
  const FieldStyle& style = json ? kJsonField : kTextField;
  if (!event.kind.empty()) {
    write_text_field(fields, style, "event", event.kind, kNameRoom);
  }
  for (const Field& field : event.fields) {
    left_out += write_field(fields, style, field, limit / 4);
  }

  const std::span<char> all = std::span<char>(bytes_).first(limit);
  Writer head(all.first(limit - kSeqRoom));
  (json ? write_json_head : write_text_head)(head, event);
  head_size_ = head.size();

  const std::size_t tail_at = head_size_ + kSeqRoom;
  Writer tail(all.subspan(tail_at));
  (json ? write_json_tail : write_text_tail)(tail, event, fields.text(), left_out);
  size_ = tail_at + tail.size();
}

std::string_view Line::numbered(std::uint64_t seq) noexcept {
  std::array<char, kSeqRoom> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), seq).ptr;
  const auto count = static_cast<std::size_t>(end - digits.data());
  const std::size_t unused = kSeqRoom - count;
  std::memmove(bytes_.data() + unused, bytes_.data(), head_size_);
  std::memcpy(bytes_.data() + unused + head_size_, digits.data(), count);
  return {bytes_.data() + unused, size_ - unused};
}

}  // namespace forktail::log
