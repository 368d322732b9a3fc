#include "log/events.h"

#include <array>

namespace forktail::log {

namespace {

namespace levels {
constexpr auto info = spdlog::level::info;
constexpr auto warn = spdlog::level::warn;
constexpr auto error = spdlog::level::err;
constexpr auto critical = spdlog::level::critical;
}  // namespace levels

struct Description {
  std::string_view name;
  spdlog::level::level_enum level;
};

#define SECTION(title)
#define EVENT(name, level, when, fields) Description{#name, levels::level},
constexpr std::array kEvents{
#include "log/event_table.h"
};
#undef EVENT
#undef SECTION

const Description& description(EventKind kind) { return kEvents[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view to_string(EventKind kind) noexcept { return description(kind).name; }

spdlog::level::level_enum level_of(EventKind kind) noexcept { return description(kind).level; }

}  // namespace forktail::log
