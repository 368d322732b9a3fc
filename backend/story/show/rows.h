// Lists of requests, and what verify has found, as tables and as JSON.
#pragma once

#include <string>
#include <vector>

#include "story/join/gather.h"
#include "story/join/verify.h"
#include "story/show/terminal.h"

namespace forktail::story {

// One line a request. With `phases`: where the time went; else: what went wrong.
std::string rows_as_text(const std::vector<Row>& rows, bool phases, const TerminalOptions& options);
std::string rows_as_json(const std::vector<Row>& rows);

std::string verification_as_text(const Verification& verification, const TerminalOptions& options);
std::string verification_as_json(const Verification& verification);

}  // namespace forktail::story
