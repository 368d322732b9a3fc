#include "log/sink.h"

#include <spdlog/details/log_msg.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "forktail/context.h"
#include "log/fragment.h"
#include "log/target.h"
#include "log/turn.h"

namespace forktail::log {

namespace {

// How long a process does not touch a log that can not be written to.
constexpr std::chrono::seconds kSilence{1};

std::string_view level_name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
      return "trace";
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warn";
    case spdlog::level::err:
      return "error";
    default:
      return "critical";
  }
}

// Of the server itself.
Event event_of(EventKind kind, decltype(Event::time) time, std::string_view message,
               std::span<const Field> fields) {
  Event event{};
  event.time = time;
  event.message = message;
  event.kind = to_string(kind);
  event.fields = fields;
  return event;
}

}  // namespace

Sink::Sink(std::string target, Format format, System& system)
    : file_(std::move(target), system), format_(format), system_(system), block_(new char[kBlock]) {
  own_order_.make();
}

Sink::Sink(int inherited_descriptor, std::string target, Format format, System& system)
    : file_(inherited_descriptor, std::move(target), system),
      format_(format),
      system_(system),
      block_(new char[kBlock]) {
  own_order_.make();
}

Sink::~Sink() = default;

void Sink::set_pattern(const std::string&) {}
void Sink::set_formatter(std::unique_ptr<spdlog::formatter>) {}

void Sink::log(const spdlog::details::log_msg& message) {
  Event event{};
  event.time = message.time;
  if (!message.source.empty()) {
    event.source_file = message.source.filename;
    event.source_line = message.source.line;
  }
  event.message = {message.payload.data(), message.payload.size()};
  emit(event, message.level);
}

void Sink::write(EventKind kind, std::string_view request_id, std::string_view message,
                 std::span<const Field> fields) noexcept {
  const spdlog::level::level_enum level = level_of(kind);
  if (level < server_level_.load(std::memory_order_relaxed)) {
    return;
  }
  Event event = event_of(kind, system_.wall_now(), message, fields);
  event.request_id = request_id;
  emit(event, level);
}

void Sink::set_identity(Identity identity) noexcept {
  // A thread that the fork did not copy may have held the lock; nobody would ever release it.
  own_order_.make();
  order_ = &own_order_;
  groups_ = {};
  identity_ = identity;
  process_ = thread_ids().process;
  unreported_ = 0;
  silent_until_ = {};
  dropped_.store(0, std::memory_order_relaxed);
}

void Sink::mend_after_kill() noexcept {
  if (format_ == Format::json) {
    file_.blank_torn(kJsonStart);
  }
}

bool Sink::reopen() noexcept {
  const LogFile::Reopened reopened = file_.reopen([this](const std::function<void()>& replace) {
    const Turn turn(*this);  // a write and the note of where it goes are one
    replace();
  });
  if (reopened == LogFile::Reopened::failed) {
    const int error = errno;
    write(EventKind::log_reopen_failed, {}, "can not reopen the log; the old file stays in use",
          {{"path", target()}, {"error", error_text(error)}, {"cure", cure(error)}});
    return false;
  }
  if (reopened == LogFile::Reopened::anew) {
    const Turn turn(*this);
    silent_until_ = {};  // the new file may well have the room that the old one lacked
  }
  return true;
}

bool Sink::reopen_and_keep() noexcept {
  file_.keep();
  return reopen();
}

void Sink::forget_previous() noexcept {
  if (format_ == Format::json) {
    file_.finish_previous(kJsonStart);
  }
  file_.forget_previous();
}

bool Sink::reopen_if_moved() noexcept { return !file_.moved() || reopen(); }

void Sink::emit(Event& event, spdlog::level::level_enum level) noexcept {
  adopt_context(event);
  sign(event, level);
  const std::size_t limit = file_.line_limit();
  Line line(event, format_, limit - (groups_.empty() ? 0 : kMarkRoom));

  const Turn turn(*this);
  if (!append(event, line) && (!report_loss() || !put_line(line))) {
    drop(*order_, 1);
  }
}

void Sink::write_dying(EventKind kind, std::string_view message,
                       std::span<const Field> fields) noexcept {
  Turn::part_from_original(*this);
  Event event = event_of(kind, system_.wall_now(), message, fields);
  adopt_context(event);
  sign(event, level_of(kind));
  Line line(event, format_, file_.line_limit());
  // Never released. Whoever holds it is about to, or is the very thread that dies.
  constexpr std::chrono::milliseconds kPatience{10};
  own_order_.lock_after(kPatience);
  if (order_ != &own_order_) {
    order_->lock_after(kPatience);
  }
  const std::string_view bytes = line.numbered(++order_->seq);
  static_cast<void>(system_.write(file_.descriptor(), bytes.data(), bytes.size()));
}

void Sink::adopt_context(Event& event) noexcept {
  const Context* context = current();
  if (context != nullptr && (event.request_id.empty() || event.request_id == context->id())) {
    event.request_id = context->id();
    event.trace = context->trace();
  }
}

void Sink::sign(Event& event, spdlog::level::level_enum level) const noexcept {
  const ThreadIds ids = thread_ids();
  event.level = level_name(level);
  event.pid = ids.process;
  event.tid = ids.thread;
  event.identity = identity_;
}

// Says how many lines were lost, if any were; that line also finds out whether lines can be written
// again. False while they can not.
bool Sink::report_loss() noexcept {
  if (unreported_ == 0) {
    return true;
  }
  if (system_.steady_now() < silent_until_) {
    return false;
  }
  const std::array<Field, 2> fields{
      {{"dropped", static_cast<std::int64_t>(unreported_)}, {"error", error_text(last_error_)}}};
  Event event = event_of(EventKind::log_recovered, system_.wall_now(),
                         "lines of this process could not be written and are lost", fields);
  sign(event, level_of(EventKind::log_recovered));
  Line line(event, format_, file_.line_limit());
  if (!put_line(line)) {
    return false;
  }
  unreported_ = 0;
  return true;
}

bool Sink::put_line(Line& line) noexcept {
  return put(*order_, line.numbered(order_->seq + 1), 1) == 1;
}

// Writes `lines` whole lines at once; how many of them are in the file.
std::uint32_t Sink::put(Order& order, std::string_view bytes, std::uint32_t lines) noexcept {
  ssize_t written = 0;
  do {
    written = system_.write(file_.descriptor(), bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes.size())) {
    order.seq += lines;
    return lines;
  }

  last_error_ = written < 0 ? errno : ENOSPC;
  const std::string_view there =
      bytes.substr(0, written < 0 ? 0 : static_cast<std::size_t>(written));
  const std::string_view fragment = there.substr(there.rfind('\n') + 1);
  if (!fragment.empty() && !erase_fragment(file_.descriptor(), fragment)) {
    // Never the rest of the line: another process's may stand behind the fragment by now.
    static_cast<void>(system_.write(file_.descriptor(), "\n", 1));
  }
  // A full FIFO has room again as soon as its reader reads; a full disk needs a longer while.
  if (last_error_ != EAGAIN) {
    silent_until_ = system_.steady_now() + kSilence;
  }
  const auto whole = static_cast<std::uint32_t>(std::count(there.begin(), there.end(), '\n'));
  order.seq += whole;
  return whole;
}

// A dropped line keeps its number: the gap shows where lines are missing.
void Sink::drop(Order& order, std::uint32_t lines) noexcept {
  order.seq += lines;
  unreported_ += lines;
  dropped_.fetch_add(lines, std::memory_order_relaxed);
  if (shared_dropped_ != nullptr) {
    shared_dropped_->fetch_add(lines, std::memory_order_relaxed);
  }
}

}  // namespace forktail::log
