// The table of the preloaded object: who made what. For the functions that stand in front of the C
// library's, from any thread of the program; a call that is made while another is being recorded by
// the same thread is not recorded.
#pragma once

#include <dlfcn.h>

#include <cstdint>

#include "doctor/audit/recorder.h"

namespace forktail::doctor::preload {

// Notes the calling stack under this number, unless nothing is recorded now; errno stays as it is.
// What had the number before is forgotten.
void note(Made made, std::int64_t number) noexcept;
// The same, unless the number is noted already: for what is done again and again.
void note_first(Made made, std::int64_t number) noexcept;
// The same for a thing that has a descriptor of its own.
void note_with(Made made, std::int64_t number, std::int64_t descriptor) noexcept;
// The descriptor that the calling thread noted last.
std::int64_t last_descriptor() noexcept;
// The thing is gone.
void forget(Made made, std::int64_t number) noexcept;
// Whether a note would be taken now.
bool recording() noexcept;

// For a thing whose number is not known yet: the stack now, the number later. Null when nothing is
// recorded.
Record* reserve(Made made) noexcept;
void settle(Record* record, std::int64_t number) noexcept;
bool settled(const Record* record) noexcept;
void drop(Record* record) noexcept;

// What the program would have called without us.
template <typename Function>
Function* next(const char* name) noexcept {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace forktail::doctor::preload

// Defines a function that does as the C library's `name`, `real` in its body.
#define FORKTAIL_EXPORT extern "C" __attribute__((visibility("default")))
#define FORKTAIL_REAL(name) \
  static auto* const real = ::forktail::doctor::preload::next<decltype(name)>(#name)
