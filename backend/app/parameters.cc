#include "forktail/parameters.h"

#include <algorithm>

#include "wire/cgi.h"

namespace forktail {

namespace {

std::string decoded(std::string_view text) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '+', ' ');
  return wire::percent_decoded(plain);
}

}  // namespace

Parameters::iterator& Parameters::iterator::operator++() {
  std::string_view pair;
  while (pair.empty() && !rest_.empty()) {  // "a=1&&b=2" has two pairs
    pair = rest_.substr(0, rest_.find('&'));
    rest_.remove_prefix(std::min(pair.size() + 1, rest_.size()));
  }
  at_end_ = pair.empty();
  const std::size_t equals = std::min(pair.find('='), pair.size());
  current_.name = decoded(pair.substr(0, equals));
  current_.value = decoded(pair.substr(std::min(equals + 1, pair.size())));
  return *this;
}

std::optional<std::string> Parameters::get(std::string_view name) const {
  for (const Parameter& parameter : *this) {
    if (parameter.name == name) {
      return parameter.value;
    }
  }
  return std::nullopt;
}

std::vector<std::string> Parameters::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const Parameter& parameter : *this) {
    if (parameter.name == name) {
      values.push_back(parameter.value);
    }
  }
  return values;
}

}  // namespace forktail
