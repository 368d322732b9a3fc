#include "story/search/pair.h"

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace forktail::story {
namespace {

std::size_t find_by_library(std::string_view bytes, std::size_t from, std::string_view text,
                            std::size_t /*first*/, std::size_t /*second*/) {
  const void* found = memmem(bytes.data() + from, bytes.size() - from, text.data(), text.size());
  return found == nullptr
             ? std::string_view::npos
             : static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
}

#ifdef __SSE2__
// The processor fetches ahead by itself, but never into the next page of 4096 bytes: each would
// begin with a wait for memory, a quarter of all the time that a scan takes.
constexpr std::size_t kAhead = 4096;

void fetch_ahead(const char* at) {
  // Behind the end of what is mapped it does nothing: a prefetch does not fault.
  _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(at) + kAhead),
               _MM_HINT_T0);
}

constexpr std::size_t kNone = 32;

// The first bit of `mask`, from `here` on, at which the text stands; kNone: at none of them.
std::size_t first_of(unsigned mask, const char* here, std::string_view text) {
  for (; mask != 0; mask &= mask - 1) {
    const auto bit = static_cast<std::size_t>(__builtin_ctz(mask));
    if (std::memcmp(here + bit, text.data(), text.size()) == 0) {
      return bit;
    }
  }
  return kNone;
}

std::size_t find_by_16(std::string_view bytes, std::size_t from, std::string_view text,
                       std::size_t first, std::size_t second) {
  const __m128i one = _mm_set1_epi8(text[first]);
  const __m128i two = _mm_set1_epi8(text[second]);
  const std::size_t places = bytes.size() - text.size() + 1;  // at which it can stand
  std::size_t at = from;
  for (; at + 16 <= places; at += 16) {
    const char* here = bytes.data() + at;
    fetch_ahead(here);
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(here + first));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(here + second));
    const auto mask = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, one), _mm_cmpeq_epi8(b, two))));
    if (const std::size_t bit = first_of(mask, here, text); bit < kNone) {
      return at + bit;
    }
  }
  return bytes.find(text, at);
}

__attribute__((target("avx2"))) std::size_t find_by_32(std::string_view bytes, std::size_t from,
                                                       std::string_view text, std::size_t first,
                                                       std::size_t second) {
  const __m256i one = _mm256_set1_epi8(text[first]);
  const __m256i two = _mm256_set1_epi8(text[second]);
  const std::size_t places = bytes.size() - text.size() + 1;
  std::size_t at = from;
  for (; at + 32 <= places; at += 32) {
    const char* here = bytes.data() + at;
    fetch_ahead(here);
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(here + first));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(here + second));
    const auto mask = static_cast<unsigned>(_mm256_movemask_epi8(
        _mm256_and_si256(_mm256_cmpeq_epi8(a, one), _mm256_cmpeq_epi8(b, two))));
    if (const std::size_t bit = first_of(mask, here, text); bit < kNone) {
      return at + bit;
    }
  }
  return find_by_16(bytes, at, text, first, second);
}
#endif

}  // namespace

std::vector<FindByPair> ways_to_find() {
  std::vector<FindByPair> ways;
#ifdef __SSE2__
  if (__builtin_cpu_supports("avx2") != 0) {
    ways.push_back(find_by_32);
  }
  ways.push_back(find_by_16);
#endif
  ways.push_back(find_by_library);
  return ways;
}

}  // namespace forktail::story
