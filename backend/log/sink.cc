#include "log/sink.h"

#include <fcntl.h>
#include <spdlog/details/log_msg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "forktail/context.h"
#include "log/fragment.h"
#include "log/target.h"
#include "log/thread_ids.h"

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

std::string absolute(std::string target) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(target, error);
  return means_stderr(target) || error ? std::move(target) : path.string();
}

// By the umask that the server was started with: the application may change its process's.
mode_t file_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0640 & ~mask;
}

int open_or_throw(const std::string& target, mode_t mode, bool& made) {
  if (means_stderr(target)) {
    // A number of its own: the application may close 2, and what it opens next would have that.
    const int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return own >= 0 ? own : STDERR_FILENO;
  }
  const GuardedFile file = open_target(target.c_str(), mode);
  if (file.descriptor < 0) {
    const int error = errno;
    throw std::runtime_error("can not open the log " + target + ": " + error_text(error) + "; " +
                             cure(error));
  }
  made = file.made;
  return file.descriptor;
}

int adopt_or_throw(int descriptor, const std::string& target) {
  if (fcntl(descriptor, F_SETFD, descriptor == STDERR_FILENO ? 0 : FD_CLOEXEC) != 0) {
    throw std::runtime_error("descriptor " + std::to_string(descriptor) + " of the log " + target +
                             " is not open; it must be inherited over exec, without FD_CLOEXEC");
  }
  return descriptor;
}

}  // namespace

Sink::Sink(std::string target, Format format, System& system)
    : target_(absolute(std::move(target))),
      format_(format),
      system_(system),
      mode_(file_mode()),
      descriptor_(open_or_throw(target_, mode_, made_)),
      line_limit_(line_limit(descriptor_)),
      block_(new char[kBlock]) {
  own_order_.make();
}

Sink::Sink(int inherited_descriptor, std::string target, Format format, System& system)
    : target_(absolute(std::move(target))),
      format_(format),
      system_(system),
      mode_(file_mode()),
      descriptor_(adopt_or_throw(inherited_descriptor, target_)),
      line_limit_(line_limit(descriptor_)),
      block_(new char[kBlock]) {
  own_order_.make();
}

Sink::~Sink() {
  close_previous();
  if (descriptor_ != STDERR_FILENO) {
    close(descriptor_);
  }
}

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
  Event event{};
  event.time = system_.wall_now();
  event.request_id = request_id;
  event.message = message;
  event.kind = to_string(kind);
  event.fields = fields;
  emit(event, level);
}

void Sink::set_identity(Identity identity) noexcept {
  // A thread that the fork did not copy may have held the lock; nobody would ever release it.
  own_order_.make();
  order_ = &own_order_;
  groups_ = {};
  identity_ = identity;
  unreported_ = 0;
  silent_until_ = {};
  dropped_.store(0, std::memory_order_relaxed);
}

void Sink::mend_after_kill() noexcept {
  for (const int file : {descriptor_, previous_}) {
    if (format_ == Format::json && file_end(file)) {
      blank_torn_lines(file, kJsonStart);
    }
  }
}

bool Sink::reopen() noexcept {
  if (means_stderr(target_)) {
    return true;
  }
  const int fresh = open_target(target_.c_str(), mode_).descriptor;
  bool replaced = false;
  int error = errno;
  if (fresh >= 0) {
    const std::lock_guard lock(*order_);  // a write and the note of where it goes are one
    replaced = system_.dup3(fresh, descriptor_, O_CLOEXEC) >= 0;
    error = errno;
  }
  if (fresh >= 0) {
    close(fresh);
  } else if (error == EACCES && moved(target_.c_str(), descriptor_) == Moved::no) {
    return true;  // root opened it, this user may not; but it is the right one
  }
  if (!replaced) {
    write(EventKind::log_reopen_failed, {}, "can not reopen the log; the old file stays in use",
          {{"path", target_}, {"error", error_text(error)}, {"cure", cure(error)}});
    return false;
  }
  line_limit_.store(line_limit(descriptor_), std::memory_order_relaxed);
  const std::lock_guard lock(*order_);
  silent_until_ = {};  // the new file may well have the room that the old one lacked
  return true;
}

bool Sink::reopen_and_keep() noexcept {
  close_previous();
  previous_ = fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  return reopen();
}

void Sink::forget_previous() noexcept {
  if (previous_ >= 0 && format_ == Format::json) {
    blank_torn_lines(previous_, kJsonStart);
    cut_unfinished_line(previous_, kJsonStart);
  }
  close_previous();
}

void Sink::close_previous() noexcept {
  if (previous_ >= 0) {
    close(previous_);
    previous_ = -1;
  }
}

bool Sink::reopen_if_moved() noexcept {
  return means_stderr(target_) || moved(target_.c_str(), descriptor_) != Moved::yes || reopen();
}

void Sink::emit(Event& event, spdlog::level::level_enum level) noexcept {
  adopt_context(event);
  sign(event, level);
  const std::size_t limit = line_limit_.load(std::memory_order_relaxed);
  Line line(event, format_, limit - (groups_.empty() ? 0 : kMarkRoom));

  const std::lock_guard lock(*order_);
  if (!append(event, line) && (!report_loss() || !put_line(line))) {
    drop(*order_, 1);
  }
}

void Sink::write_dying(EventKind kind, std::string_view message,
                       std::span<const Field> fields) noexcept {
  Event event{};
  event.time = system_.wall_now();
  event.message = message;
  event.kind = to_string(kind);
  event.fields = fields;
  adopt_context(event);
  sign(event, level_of(kind));
  Line line(event, format_, line_limit_.load(std::memory_order_relaxed));

  // Never released. Whoever holds it is about to, or is the very thread that dies.
  constexpr int kTries = 100;
  constexpr timespec kPause{0, 100'000};
  for (int i = 0; i < kTries && !order_->try_lock(); ++i) {
    nanosleep(&kPause, nullptr);
  }
  const std::string_view bytes = line.numbered(++order_->seq);
  static_cast<void>(system_.write(descriptor_, bytes.data(), bytes.size()));
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
  Event event{};
  event.time = system_.wall_now();
  sign(event, level_of(EventKind::log_recovered));
  event.message = "lines of this process could not be written and are lost";
  event.kind = to_string(EventKind::log_recovered);
  event.fields = fields;
  Line line(event, format_, line_limit_.load(std::memory_order_relaxed));
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
    written = system_.write(descriptor_, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes.size())) {
    order.seq += lines;
    return lines;
  }

  last_error_ = written < 0 ? errno : ENOSPC;
  const std::string_view there =
      bytes.substr(0, written < 0 ? 0 : static_cast<std::size_t>(written));
  const std::string_view fragment = there.substr(there.rfind('\n') + 1);
  if (!fragment.empty() && !erase_fragment(descriptor_, fragment)) {
    // Never the rest of the line: another process's may stand behind the fragment by now.
    static_cast<void>(system_.write(descriptor_, "\n", 1));
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
