// The members of a JSON line as pairs of texts, also of one that is no JSON any more: nginx leaves
// numbers empty, pads them with zeros, lists several without quotes, and writes \x22; lines are
// cut.
//
// Bounded: so many pairs, so deep, nothing longer than the line. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace forktail::story {

struct Pair {
  std::string key;  // of a nested object with points: "http.request.id"
  std::string value;
  bool quoted = false;
};

struct JsonPairs {
  std::vector<Pair> pairs;
  bool is_object = false;  // it begins as one
  bool broken = false;     // and is not one from end to end

  [[nodiscard]] const std::string* find(std::string_view key) const;
};

constexpr std::size_t kMostPairs = 256;

JsonPairs json_pairs(std::string_view line);

}  // namespace forktail::story
