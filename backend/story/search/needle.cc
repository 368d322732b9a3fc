#include "story/search/needle.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace forktail::story {
namespace {

// How often logs hold a character: ids, times and numbers make digits and the letters of
// hexadecimal numbers common, and JSON its quotes.
int commonness(char c) {
  constexpr std::string_view kCommon = "0123456789:\",. -/_abcdefeintorslumhp";
  const std::size_t at = kCommon.find(c);
  return at == std::string_view::npos ? 0 : static_cast<int>(kCommon.size() - at);
}

#ifdef __SSE2__
using FindFunction = std::size_t (*)(std::string_view bytes, std::size_t from,
                                     std::string_view text, std::size_t first, std::size_t second);

// Both characters are compared at so many places at once; only where both are the whole is.
std::size_t find_by_16(std::string_view bytes, std::size_t from, std::string_view text,
                       std::size_t first, std::size_t second) {
  const __m128i one = _mm_set1_epi8(text[first]);
  const __m128i two = _mm_set1_epi8(text[second]);
  const char* at = bytes.data() + from;
  const char* end = bytes.data() + bytes.size() - text.size();
  for (; at + 16 <= end + 1; at += 16) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + first));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + second));
    auto mask = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, one), _mm_cmpeq_epi8(b, two))));
    for (; mask != 0; mask &= mask - 1) {
      const char* candidate = at + __builtin_ctz(mask);
      if (std::memcmp(candidate, text.data(), text.size()) == 0) {
        return static_cast<std::size_t>(candidate - bytes.data());
      }
    }
  }
  return bytes.find(text, static_cast<std::size_t>(at - bytes.data()));
}

__attribute__((target("avx2"))) std::size_t find_by_32(std::string_view bytes, std::size_t from,
                                                       std::string_view text, std::size_t first,
                                                       std::size_t second) {
  const __m256i one = _mm256_set1_epi8(text[first]);
  const __m256i two = _mm256_set1_epi8(text[second]);
  const char* at = bytes.data() + from;
  const char* end = bytes.data() + bytes.size() - text.size();
  for (; at + 32 <= end + 1; at += 32) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + first));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + second));
    auto mask = static_cast<unsigned>(_mm256_movemask_epi8(
        _mm256_and_si256(_mm256_cmpeq_epi8(a, one), _mm256_cmpeq_epi8(b, two))));
    for (; mask != 0; mask &= mask - 1) {
      const char* candidate = at + __builtin_ctz(mask);
      if (std::memcmp(candidate, text.data(), text.size()) == 0) {
        return static_cast<std::size_t>(candidate - bytes.data());
      }
    }
  }
  return find_by_16(bytes, static_cast<std::size_t>(at - bytes.data()), text, first, second);
}

FindFunction best_function() {
  return __builtin_cpu_supports("avx2") != 0 ? find_by_32 : find_by_16;
}
#endif

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
#ifdef __SSE2__
  static const FindFunction function = best_function();
  return function(bytes, from, text_, first_, second_);
#else
  const void* found = memmem(bytes.data() + from, bytes.size() - from, text_.data(), text_.size());
  return found == nullptr
             ? std::string_view::npos
             : static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
#endif
}

}  // namespace forktail::story
