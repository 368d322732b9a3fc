// Reads logs whole, on all cores.
#pragma once

#include <vector>

#include "story/search/find.h"

namespace forktail::story {

// Reads those of `sources` that `wanted` names; `into` and `reports` have an entry for each source.
void scan_sources(const Sources& sources, const std::vector<std::size_t>& wanted,
                  const IdQuery& query, const FindOptions& options, std::vector<Collected>& into,
                  std::vector<SourceReport>& reports);

}  // namespace forktail::story
