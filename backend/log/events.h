// The events of log/event_table.h by name: each line that the server itself writes is about one,
// and the event decides the line's level. Any process; plain values.
#pragma once

#include <spdlog/common.h>

#include <string_view>

namespace forktail::log {

#define SECTION(title)
#define EVENT(name, level, when, fields) name,
enum class EventKind {
#include "log/event_table.h"
};
#undef EVENT
#undef SECTION

// As it stands in the line's field `event`.
std::string_view to_string(EventKind kind) noexcept;
spdlog::level::level_enum level_of(EventKind kind) noexcept;

}  // namespace forktail::log
