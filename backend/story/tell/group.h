// The events of one id as requests: several may share an id.
#pragma once

#include <vector>

#include "story/tell/story.h"

namespace forktail::story {

// Each with its events, in no order, and the span of time that its lines tell. Lines that two
// sources have both carried are there once.
std::vector<Request> group_requests(std::vector<Event> events);

// Adds those of `bystanders` that belong to the request by process, connection or client, and time.
void draw_in(Request& request, const std::vector<Event>& bystanders);

}  // namespace forktail::story
