// What happened, in one sentence, from the lines alone.
#pragma once

#include "story/tell/story.h"

namespace forktail::story {

// Fills verdict, outcome and what is missing. Spans must have been made.
void judge(Request& request);

}  // namespace forktail::story
