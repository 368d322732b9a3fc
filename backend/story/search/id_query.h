// What is looked for: an id, or the beginning or end of one.
//
// Pure values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "story/time.h"

namespace forktail::story {

struct TimeRange {
  Micros from = kUnknown;
  Micros to = kUnknown;
};

class IdQuery {
 public:
  // None when nobody could have such an id; `why` says what is wrong with it.
  static std::optional<IdQuery> parse(std::string_view text, Micros now, std::string& why);

  // Whether `id` is it, in either of a UUID's forms.
  [[nodiscard]] bool matches(std::string_view id) const;
  // Whether `id` is all of it, not only begins or ends so.
  [[nodiscard]] bool equals(std::string_view id) const;
  // Whether `line` holds it as a word, or as a word's beginning or end; the whole word.
  [[nodiscard]] std::string_view word_in(std::string_view line) const;

  // A line that holds it holds one of these.
  [[nodiscard]] const std::vector<std::string>& needles() const { return needles_; }
  // When the request began, if the id tells.
  [[nodiscard]] const std::optional<TimeRange>& time() const { return time_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  // 32 hex digits or a UUID: there is nothing to complete.
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  std::string text_;
  std::string bare_;  // lower case and without dashes, if it is of hex digits
  bool whole_ = false;
  std::vector<std::string> needles_;
  std::optional<TimeRange> time_;
};

// The millisecond that a version-7 UUID bears, in either form; none for other ids, and for times
// that can not be meant.
std::optional<Micros> time_of_id(std::string_view id, Micros now);

// An id without the dashes of a UUID and in lower case: what two logs mean by it.
std::string canonical_id(std::string_view id);

}  // namespace forktail::story
