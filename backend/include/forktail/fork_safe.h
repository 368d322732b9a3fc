// How an application declares that something which a fork duplicates is meant to be so.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "forktail/api.h"

namespace forktail {

// One declaration.
struct ForkSafe {
  std::string name;  // of what is duplicated: "connection 10.0.0.7:5432"
  std::string why;   // for whoever reads the declarations
};

// Called by the application, or by a library that it uses, in its constructor: what has this name
// is meant to be duplicated, for this reason. `forktail doctor` prints the names of all that it
// finds, and tells what is declared as declared; `fork-audit` is silent about it. The name may be a
// pattern, as of fnmatch(3): "connection *:5432", "thread metrics*". To be called by the thread
// that loads the application; a second call with the same name replaces the reason. Throws
// std::invalid_argument when either is empty.
FORKTAIL_API void fork_safe(std::string_view name, std::string_view why);

// All declarations of this process, in their order; inherited over a fork.
FORKTAIL_API std::span<const ForkSafe> fork_safe_declarations() noexcept;

}  // namespace forktail
