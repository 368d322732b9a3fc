#include "doctor/align.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "doctor/token.h"

namespace forktail::doctor {

namespace {

using Words = std::vector<std::string_view>;

constexpr std::size_t kMostWords = 3000;  // the table below has this many rows and columns

bool same_kind(std::string_view one, std::string_view other) {
  const auto kind = [](std::string_view word) {
    const bool digits = std::all_of(word.begin(), word.end(),
                                    [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
    return digits ? 0 : word.find_first_of("0123456789") != std::string_view::npos ? 1 : 2;
  };
  return kind(one) == kind(other) && kind(one) != 2;
}

std::uint32_t likeness(std::string_view one, std::string_view other) {
  return one == other ? 4 : same_kind(one, other) ? 1 : 0;
}

// For each word of `first` the one of `other` that stands over it, empty where there is none: the
// best path through the table of likenesses (Needleman and Wunsch).
Words laid_over(const Words& first, const Words& other) {
  const std::size_t width = other.size() + 1;
  std::vector<std::uint32_t> best((first.size() + 1) * width, 0);
  for (std::size_t i = first.size(); i-- > 0;) {
    for (std::size_t j = other.size(); j-- > 0;) {
      const std::uint32_t like = likeness(first[i], other[j]);
      const std::uint32_t both = like == 0 ? 0 : like + best[(i + 1) * width + j + 1];
      best[i * width + j] = std::max({both, best[(i + 1) * width + j], best[i * width + j + 1]});
    }
  }
  Words laid(first.size());
  for (std::size_t i = 0, j = 0; i < first.size() && j < other.size();) {
    const std::uint32_t like = likeness(first[i], other[j]);
    const std::uint32_t here = best[i * width + j];
    if (like != 0 && here == like + best[(i + 1) * width + j + 1]) {
      laid[i++] = other[j++];
    } else {
      here == best[(i + 1) * width + j] ? ++i : ++j;
    }
  }
  return laid;
}

bool all_equal(const Words& words) {
  return std::adjacent_find(words.begin(), words.end(), std::not_equal_to<>()) == words.end();
}

}  // namespace

std::vector<Place> align(const std::vector<std::string_view>& texts) {
  std::vector<Words> all;
  for (const std::string_view text : texts) {
    all.push_back(tokens(text));
  }
  const bool as_many = std::all_of(
      all.begin(), all.end(), [&](const Words& one) { return one.size() == all.front().size(); });
  if (!as_many) {
    for (Words& one : all) {
      one.resize(std::min(one.size(), kMostWords));
    }
    for (std::size_t i = 1; i < all.size(); ++i) {
      all[i] = laid_over(all.front(), all[i]);
    }
  }
  std::vector<Place> places;
  std::string_view before;
  for (std::size_t at = 0; !all.empty() && at < all.front().size(); ++at) {
    Place place{before, {}};
    for (const Words& one : all) {
      place.words.push_back(one[at]);
    }
    const bool whole = std::none_of(place.words.begin(), place.words.end(),
                                    [](std::string_view word) { return word.empty(); });
    before = whole && all_equal(place.words) ? place.words.front() : std::string_view();
    if (whole) {
      places.push_back(std::move(place));
    }
  }
  return places;
}

}  // namespace forktail::doctor
