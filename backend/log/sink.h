// The sink of every log line of a process: the server's own and those of the application, whose
// default spdlog logger writes to it.
//
// Owns the log's descriptor. Any thread may log; lines are composed without a lock, and one lock
// orders the numbering and the write, so that `seq` is the order in the file. Any process that was
// forked from the owner may log as well, to the same file. One event is one
// write(2) of one line to an O_APPEND descriptor: lines of several processes never tear. A worker
// that gathers writes all lines of a request at once. docs/logs.md is the contract of the line.
//
// Logging never throws, never blocks on a full FIFO and never stops the caller: a line that can not
// be written is dropped and counted, and the next one that can is preceded by a line that says how
// many were lost. SIGPIPE and SIGXFSZ must not end the process.
#pragma once

#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "log/events.h"
#include "log/group.h"
#include "log/line.h"
#include "log/log_file.h"
#include "log/order.h"
#include "log/system.h"

namespace forktail::log {

class Sink final : public spdlog::sinks::sink {
 public:
  // `target` is a path (created with mode 0640, appended to, never truncated), a FIFO (which never
  // blocks, reader or none), or "", "-" or "stderr" for descriptor 2. Throws std::runtime_error
  // that names the path, the system's reason and the cure.
  Sink(std::string target, Format format, System& system = real_system());

  // For a process that was exec'ed with the log open: takes `inherited_descriptor` over instead of
  // opening `target`. Throws std::runtime_error when it is not open.
  Sink(int inherited_descriptor, std::string target, Format format, System& system = real_system());

  ~Sink() override;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // From spdlog: the line bears the calling thread's current request.
  void log(const spdlog::details::log_msg& message) override;

  // Nothing is ever buffered, so there is nothing to flush.
  void flush() override {}

  // The line's format is the contract of docs/logs.md: both are ignored.
  void set_pattern(const std::string& pattern) override;
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override;

  // The least level that lines of the server itself are written with. The level of the base class
  // is that of the application's lines, and the application's to change.
  void set_server_level(spdlog::level::level_enum level) noexcept { server_level_ = level; }

  // A line of the server itself; `fields` follow the message in the given order, as the event's row
  // in log/event_table.h names them. An empty `request_id` means the calling thread's current
  // request, if any.
  void write(EventKind kind, std::string_view request_id, std::string_view message,
             std::span<const Field> fields = {}) noexcept;
  void write(EventKind kind, std::string_view request_id, std::string_view message,
             std::initializer_list<Field> fields) noexcept {
    write(kind, request_id, message, std::span(fields.begin(), fields.size()));
  }

  // The same, whatever the level, for the signal handler of a process that is about to die: it
  // allocates nothing and waits for no lock longer than a moment. The line bears the calling
  // thread's current request. It is not counted when it can not be written.
  void write_dying(EventKind kind, std::string_view message,
                   std::span<const Field> fields) noexcept;

  // After a fork, in the child, before it has threads: who it is. Starts seq at 1 and forgets what
  // the parent dropped and whether a thread of the parent was writing. A copy that somebody else
  // forks does the same by itself when it logs, and gathers nothing.
  void set_identity(Identity identity) noexcept;

  // In a worker, after set_identity() and before it has threads: from now on the lines of the
  // requests that its threads have begun are gathered there, where the master finds them too, until
  // they end, for a second, or while there is room. Others are written at once.
  void gather(const Gathering& gathering) noexcept;
  void begin_request(int thread, std::string_view id) noexcept;
  void end_request(int thread) noexcept;

  // In the master: writes what a worker has gathered: lines older than a second, or, of a dead one,
  // all lines, each with "recovered":true. A worker that is writing itself is left alone.
  void write_gathered(const Gathering& of, bool dead) noexcept;

  // In the master, when it has logged that a process was killed: blanks what that one had written
  // of its last line, so that the line behind it is whole. In text lines can not be told from what
  // is in them: there it stays.
  void mend_after_kill() noexcept;

  // Opens the target again, for a file that was renamed, and puts it in place of the old one under
  // the same descriptor number. False when that fails: the old file stays in use and gets a line
  // that says why. True without effect on the standard error.
  bool reopen() noexcept;

  // The same in the master: it keeps the old file as well, to see what processes that are killed
  // before they have reopened it, too, have written there, until forget_previous(): when nobody
  // writes there any more, which leaves whole lines only.
  bool reopen_and_keep() noexcept;
  void forget_previous() noexcept;
  [[nodiscard]] bool keeps_previous() const noexcept { return file_.keeps_previous(); }

  // reopen() if the target's path no longer names the open file; false only if that fails.
  bool reopen_if_moved() noexcept;

  // Lines lost since set_identity().
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

  // From now on they are added there as well, where other processes see them.
  void count_drops_in(std::atomic<std::uint64_t>& counter) noexcept { shared_dropped_ = &counter; }

  [[nodiscard]] int descriptor() const noexcept { return file_.descriptor(); }
  // As it was given, made absolute: the working directory may change.
  [[nodiscard]] const std::string& target() const noexcept FORKTAIL_LIFETIMEBOUND {
    return file_.target();
  }
  // The constructor made the file, as root.
  [[nodiscard]] bool made() const noexcept { return file_.made(); }

 private:
  // Room for the lines of a group with their numbers and marks.
  static constexpr std::size_t kBlock = 2 * Group::kCapacity;
  static constexpr std::size_t kMarkRoom = 20;
  friend class Turn;
  void emit(Event& event, spdlog::level::level_enum level) noexcept;
  static void adopt_context(Event& event) noexcept;
  void sign(Event& event, spdlog::level::level_enum level) const noexcept;
  bool report_loss() noexcept;
  bool append(const Event& event, const Line& line) noexcept;
  [[nodiscard]] std::size_t block_limit() const noexcept;
  bool forget_written(Group& group, Order& order) const noexcept;
  void write_out(Group& group, Order& order, bool marked) noexcept;
  bool put_line(Line& line) noexcept;
  std::uint32_t put(Order& order, std::string_view bytes, std::uint32_t lines) noexcept;
  void drop(Order& order, std::uint32_t lines) noexcept;

  LogFile file_;
  const Format format_;
  System& system_;
  std::atomic<spdlog::level::level_enum> server_level_ = spdlog::level::trace;
  Identity identity_;
  std::atomic<pid_t> process_ = getpid();  // that identity_ is of
  std::atomic<std::uint64_t> dropped_ = 0;
  std::atomic<std::uint64_t>* shared_dropped_ = nullptr;

  Order own_order_{};           // guards what follows between the threads of this process
  Order* order_ = &own_order_;  // a worker's that gathers: between it and the master
  std::span<Group> groups_;
  std::unique_ptr<char[]> block_;
  std::uint64_t unreported_ = 0;  // lines dropped since the last line that said so
  int last_error_ = 0;            // errno of the last drop
  std::chrono::steady_clock::time_point silent_until_{};
};

}  // namespace forktail::log
