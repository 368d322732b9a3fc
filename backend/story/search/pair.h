// Finds a text by two of its characters, each compared at many places at once.
//
// Pure functions; any thread. None reads a byte outside of `bytes`.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace forktail::story {

// Where `text`, of at least one character, first stands in `bytes` at `from` or behind, npos when
// it does not. `first` and `second` are places in `text`: the more seldom what stands there is
// found together, the faster. `bytes` has room for `text` at `from`.
using FindByPair = std::size_t (*)(std::string_view bytes, std::size_t from, std::string_view text,
                                   std::size_t first, std::size_t second);

// What this processor can do, the fastest first; the last one needs nothing of it.
std::vector<FindByPair> ways_to_find();

}  // namespace forktail::story
