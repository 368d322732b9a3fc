// What the doctor finds: one thing that a fork has duplicated, or would.
//
// Values, and pure functions over them, for any process and thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace forktail::doctor {

// All that can be found. kinds.cc has the word, the harm and the cure of each, in this order.
enum class Kind : std::uint8_t {
  connection,
  listener,
  socket,
  epoll,
  eventfd,
  timerfd,
  signalfd,
  inotify,
  descriptor,
  pipe,
  terminal,
  file,
  reading_position,
  deleted_file,
  file_lock,
  thread,
  async_logger,
  stdio,
  ofstream,
  interval_timer,
  posix_timer,
  signal_handler,
  signal_mask,
  shared_mapping,
  libc_random,
  environment,
  umask,
  counter,
  random,
  address,
  load_time,
  load_value,
  count_  // how many there are
};

// What a kind always is. `harm` false: worth to be told, and no reason against a preload.
struct KindFacts {
  Kind kind;
  std::string_view word;  // in JSON, in the names of findings: never changed
  bool harm;
  std::string_view why;   // it hurts
  std::string_view cure;  // for an application of forktail's
};

const KindFacts& facts_of(Kind kind);

struct Finding {
  Kind kind;
  std::string thing;     // names it from one run to the next: "127.0.0.1:5432", "/var/log/shop.log"
  std::string what;      // one sentence
  std::string evidence;  // the numbers that it was told from
  std::string maker;     // library or line that made it; empty when that is not known
  std::string why;
  std::string cure;
  bool harm = true;
  std::optional<std::string> declared;  // the reason, when somebody has said that it is meant

  // The kind's word and the thing: "connection 127.0.0.1:5432". What fork_safe() and the file of
  // --expect are to name.
  [[nodiscard]] std::string name() const;
  // Does it stand against a preload?
  [[nodiscard]] bool counts() const { return harm && !declared; }
};

// With the harm and the cure of its kind.
Finding make_finding(Kind kind, std::string thing, std::string what, std::string evidence);

// Marks as declared each finding that `name` names, a pattern as of fnmatch(3). Returns how many.
int declare(std::vector<Finding>& findings, const std::string& name, const std::string& why);

// The names in the text of a file of expected findings: one a line; empty lines and those that
// begin with # are skipped.
std::vector<std::string> expected_names(std::string_view text);

}  // namespace forktail::doctor
