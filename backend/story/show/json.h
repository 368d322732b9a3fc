// A story as one JSON object: docs/story.md is its contract.
#pragma once

#include <string>

#include "story/source/source.h"
#include "story/tell/story.h"

namespace forktail::story {

std::string as_json(const Story& story, const Sources& sources, const Found& reading,
                    const std::string& query);

}  // namespace forktail::story
