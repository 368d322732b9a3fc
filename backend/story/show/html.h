// A story as one page that needs nothing else: the waterfall as inline SVG, the lines below it. No
// script; everything that came from a log is escaped.
#pragma once

#include <string>

#include "story/source/source.h"
#include "story/tell/story.h"

namespace forktail::story {

std::string as_html(const Story& story, const Sources& sources);

}  // namespace forktail::story
