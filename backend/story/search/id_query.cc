#include "story/search/id_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "id/validate.h"
#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::size_t kShortest = 6;
constexpr std::size_t kTimeDigits = 12;
constexpr std::size_t kBits128 = 32;
constexpr std::size_t kUuid = 36;
constexpr std::size_t kLastGroup = 12;
constexpr Micros kFirstTime = INT64_C(1'577'836'800) * kSecond;  // 2020
constexpr Micros kAhead = 86'400 * kSecond;                      // of a clock that is wrong

std::string without_dashes(std::string_view text) {
  std::string out = lower(text);
  std::erase(out, '-');
  return out;
}

bool all_hex(std::string_view text) { return std::all_of(text.begin(), text.end(), is_hex); }

Micros millis(std::string_view digits) {
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value * kMillisecond;
}

bool version_7(std::string_view bare) {
  const bool version = bare.size() <= 12 || bare[12] == '7';
  const bool variant =
      bare.size() <= 16 || std::string_view("89ab").find(bare[16]) != std::string_view::npos;
  return version && variant;
}

std::optional<TimeRange> range_of(std::string_view bare, Micros now) {
  if (bare.size() < kShortest || !version_7(bare)) {
    return std::nullopt;
  }
  std::string first(bare.substr(0, kTimeDigits));
  std::string last = first;
  first.resize(kTimeDigits, '0');
  last.resize(kTimeDigits, 'f');
  const TimeRange range{millis(first), millis(last) + kMillisecond};
  const bool possible = range.to > kFirstTime && range.from < now + kAhead;
  return possible ? std::optional(range) : std::nullopt;
}

// As a UUID's beginning has its dashes.
std::string dashed_front(std::string_view bare) {
  std::string out;
  for (std::size_t i = 0; i < bare.size(); ++i) {
    out += i == 8 || i == 12 || i == 16 || i == 20 ? "-" : "";
    out += bare[i];
  }
  return out;
}

std::string dashed_back(std::string_view bare) {
  std::string out;
  for (std::size_t i = 0; i < bare.size(); ++i) {
    const std::size_t left = bare.size() - i;
    out += i > 0 && (left == 12 || left == 16 || left == 20 || left == 24) ? "-" : "";
    out += bare[i];
  }
  return out;
}

bool of_a_word(char c) {
  return is_letter(c) || is_digit(c) ||
         std::string_view("._~+/=@:-").find(c) != std::string_view::npos;
}

// What may stand around an id and is an id's own character, too: "rid=", "id:", a sentence's end.
std::string_view without_edges(std::string_view word, std::string_view core) {
  const auto at = static_cast<std::size_t>(core.data() - word.data());
  const std::size_t mark = word.substr(0, at).find_last_of("=:/");
  if (mark != std::string_view::npos) {
    word.remove_prefix(mark + 1);
  }
  const auto end = static_cast<std::size_t>(core.data() + core.size() - word.data());
  const std::size_t stop = word.find_first_of("=:/", end);
  word = word.substr(0, stop);
  while (word.size() > end && (word.back() == '.' || word.back() == ':')) {
    word.remove_suffix(1);
  }
  return word;
}

}  // namespace

std::optional<IdQuery> IdQuery::parse(std::string_view text, Micros now, std::string& why) {
  if (text.size() < kShortest || text.size() > id::kMaxLength) {
    why = fmt::format("\"{}\" has {} characters: give {} to {} of the id", printable(text, 40),
                      text.size(), kShortest, id::kMaxLength);
    return std::nullopt;
  }
  for (const char c : text) {
    if (!of_a_word(c)) {
      why = fmt::format("\"{}\" has characters that no id has", printable(text, 140));
      return std::nullopt;
    }
  }
  IdQuery query;
  query.text_ = text;
  const std::string bare = without_dashes(text);
  if (!all_hex(bare) || bare.size() > kBits128 || bare.size() < kShortest) {
    query.needles_ = {query.text_};
    return query;
  }
  query.bare_ = bare;
  query.whole_ = bare.size() == kBits128;
  query.time_ = range_of(bare, now);
  if (query.whole_) {
    query.needles_ = {bare.substr(kBits128 - kLastGroup)};  // the same in both forms
  } else {
    query.needles_ = {bare, dashed_front(bare), dashed_back(bare)};
  }
  if (text != bare) {
    query.needles_.emplace_back(query.whole_ ? text.substr(text.size() - kLastGroup) : text);
  }
  std::sort(query.needles_.begin(), query.needles_.end());
  query.needles_.erase(std::unique(query.needles_.begin(), query.needles_.end()),
                       query.needles_.end());
  return query;
}

bool IdQuery::equals(std::string_view id) const {
  return id == text_ || (!bare_.empty() && canonical_id(id) == bare_);
}

bool IdQuery::matches(std::string_view id) const {
  if (id.starts_with(text_) || id.ends_with(text_)) {
    return true;
  }
  if (bare_.empty() || id.size() < bare_.size()) {
    return false;
  }
  const std::string other = without_dashes(id);
  return other.starts_with(bare_) || other.ends_with(bare_);
}

std::string_view IdQuery::word_in(std::string_view line) const {
  for (const std::string& needle : needles_) {
    for (std::size_t at = line.find(needle); at != std::string_view::npos;
         at = line.find(needle, at + 1)) {
      std::size_t from = at;
      while (from > 0 && of_a_word(line[from - 1])) {
        --from;
      }
      std::size_t to = at + needle.size();
      while (to < line.size() && of_a_word(line[to])) {
        ++to;
      }
      const std::string_view word =
          without_edges(line.substr(from, to - from), line.substr(at, needle.size()));
      if (id::valid(word) && matches(word)) {
        return word;
      }
    }
  }
  return {};
}

std::optional<Micros> time_of_id(std::string_view id, Micros now) {
  if (id.size() != kBits128 && id.size() != kUuid) {
    return std::nullopt;
  }
  const std::string bare = without_dashes(id);
  if (bare.size() != kBits128 || !all_hex(bare)) {
    return std::nullopt;
  }
  const auto range = range_of(bare, now);
  return range ? std::optional(range->from) : std::nullopt;
}

std::string canonical_id(std::string_view id) {
  if (id.size() == kUuid || id.size() == kBits128) {
    std::string bare = without_dashes(id);
    if (bare.size() == kBits128 && all_hex(bare)) {
      return bare;
    }
  }
  return std::string(id);
}

}  // namespace forktail::story
