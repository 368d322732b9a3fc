#include "story/search/needle.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "story/search/pair.h"

namespace forktail::story {
namespace {

// How often logs hold a character: ids, times and numbers make digits and the letters of
// hexadecimal numbers common, and JSON its quotes.
int commonness(char c) {
  constexpr std::string_view kCommon = "0123456789:\",. -/_abcdefeintorslumhp";
  const std::size_t at = kCommon.find(c);
  return at == std::string_view::npos ? 0 : static_cast<int>(kCommon.size() - at);
}

}  // namespace

Needle::Needle(std::string text) : text_(std::move(text)) {
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (commonness(text_[i]) < commonness(text_[first_])) {
      first_ = i;
    }
  }
  second_ = first_ == 0 ? text_.size() - 1 : 0;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (i != first_ && commonness(text_[i]) < commonness(text_[second_])) {
      second_ = i;
    }
  }
}

void Needle::suit(std::string_view sample) {
  constexpr std::size_t kMostPlaces = 8;
  if (text_.size() < 2 || sample.size() < text_.size()) {
    return;
  }
  std::array<std::size_t, 256> often{};
  for (const char c : sample) {
    ++often[static_cast<unsigned char>(c)];
  }
  std::vector<std::size_t> places(text_.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    return often[static_cast<unsigned char>(text_[a])] <
           often[static_cast<unsigned char>(text_[b])];
  });
  places.resize(std::min(places.size(), kMostPlaces));
  std::size_t least = SIZE_MAX;
  for (std::size_t a = 0; a < places.size(); ++a) {
    for (std::size_t b = a + 1; b < places.size(); ++b) {
      std::size_t hits = 0;
      for (std::size_t at = 0; at + text_.size() <= sample.size(); ++at) {
        hits += static_cast<std::size_t>(sample[at + places[a]] == text_[places[a]]) &
                static_cast<std::size_t>(sample[at + places[b]] == text_[places[b]]);
      }
      if (hits < least) {
        least = hits;
        first_ = places[a];
        second_ = places[b];
      }
    }
  }
}

std::size_t Needle::find(std::string_view bytes, std::size_t from) const {
  if (from > bytes.size() || bytes.size() - from < text_.size()) {
    return std::string_view::npos;
  }
  static const FindByPair way = ways_to_find().front();
  return way(bytes, from, text_, first_, second_);
}

}  // namespace forktail::story
