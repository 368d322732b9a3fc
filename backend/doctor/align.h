// Puts the words of several answers side by side, though some may have more of them than others.
//
// Pure functions over text; any process and thread. Views point into the texts that were given.
#pragma once

#include <string_view>
#include <vector>

namespace forktail::doctor {

// One place that all texts have: its word in each of them, and the word before it where that is the
// same in all (a field's name, most often).
struct Place {
  std::string_view label;
  std::vector<std::string_view> words;  // as many as there are texts
};

// The places of `texts`. Where the texts have equally many words these are simply counted through;
// else they are laid over the first so that as many as can be are equal or of one kind. Words
// beyond the 3000th of a text are left out then.
std::vector<Place> align(const std::vector<std::string_view>& texts);

}  // namespace forktail::doctor
