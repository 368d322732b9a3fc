// Which generation comes next, how it is to be made, and why those did not come that failed.
//
// A value of the master's: it only remembers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "server/shared/options.h"

namespace forktail::server {

class Change {
 public:
  // `last`: the number of the last generation, of an old master's too.
  explicit Change(int last) : last_(last) {}

  [[nodiscard]] int last() const { return last_; }
  int next() { return ++last_; }

  // A reload that is asked for while another one is under way follows it.
  void ask_again() { again_ = true; }
  bool take_again() { return std::exchange(again_, false); }
  // The generation in which all that was asked for so far ends.
  [[nodiscard]] int awaited() const { return last_ + (again_ ? 1 : 0); }

  // The generation that a worker is to be the template of; 0 when none is.
  [[nodiscard]] int reforking() const { return reforking_; }
  void begin_refork() { reforking_ = next(); }
  int end_refork() { return std::exchange(reforking_, 0); }

  // The fork mode of the next generation, over the configuration's. One that is tried holds for the
  // one reload, and from then on once it has served.
  [[nodiscard]] std::optional<ForkMode> mode() const { return next_mode_; }
  void try_mode(ForkMode mode) { next_mode_ = mode; }
  void note_served(ForkMode mode) {
    if (next_mode_ == mode) {
      served_mode_ = mode;
    }
  }
  void end_trial() { next_mode_ = served_mode_; }

  // Why generations could not start, as long as somebody may ask.
  void note_failure(int number, const std::string& why) { failures_[number] = why; }
  [[nodiscard]] const std::string* failure_of(int number) const {
    const auto found = failures_.find(number);
    return found == failures_.end() ? nullptr : &found->second;
  }
  void forget_failures() { failures_.clear(); }

 private:
  int last_;
  bool again_ = false;
  int reforking_ = 0;
  std::optional<ForkMode> served_mode_;
  std::optional<ForkMode> next_mode_;
  std::map<int, std::string> failures_;
};

}  // namespace forktail::server
