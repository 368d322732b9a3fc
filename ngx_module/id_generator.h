// This process's maker of ids.
#pragma once

#include "id/generate.h"

namespace forktail {

// Made on first use, which is in a worker: the master serves no request, so nothing that it drew
// can reach two workers. Never destroyed, so that no exit handler stays behind in a module that
// nginx has unloaded.
id::Generator& generator();

}  // namespace forktail
