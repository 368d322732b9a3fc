// What the makers of well-known libraries say about forks.
//
// A table, and pure functions over it; any process and thread.
#pragma once

#include <string>
#include <string_view>

#include "doctor/audit/audit.h"

namespace forktail::doctor {

struct KnownCure {
  std::string_view library;  // as its users call it
  std::string_view object;   // the beginning of its shared object's file name; empty: none is known
  std::string_view symbol;   // a part of its functions' names, for what is linked in; may be empty
  std::string_view thread;   // the beginning of its threads' names; may be empty
  std::string_view cure;
  std::string_view source;
};

// The library that made a thing: known by the objects and symbols of its stack, the nearest to the
// thing first, or by its threads' names. Null when it is none that is known.
const KnownCure* known_cure(const AuditFinding& found);

// The cure, whose it is and where it is said.
std::string cure_in_words(const KnownCure& known);

}  // namespace forktail::doctor
