// Whether a log's lines were carried by something that cuts them in parts.
//
// Reads a page; any thread.
#pragma once

#include "story/source/source.h"

namespace forktail::story {

// Docker's and CRI's logs: a line is whole only together with those before it, so that such a log
// has to be read from its beginning, by one thread. `source` must be seekable.
bool carried_in_parts(const Source& source);

}  // namespace forktail::story
