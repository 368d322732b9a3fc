// Points in time as logs write them, and as they are shown.
//
// Pure functions, except that local_offset() asks for the machine's time zone; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace forktail::story {

// Microseconds, since the Unix epoch where it is a point in time.
using Micros = std::int64_t;

constexpr Micros kUnknown = INT64_MIN;
constexpr Micros kMillisecond = 1'000;
constexpr Micros kSecond = 1'000'000;

// Something that happened in [at, at + grain). Without a zone, `at` is as if the zone were UTC.
struct Stamp {
  Micros at = kUnknown;
  Micros grain = 1;
  bool zoned = true;
};

// The stamp that `text` begins with; `used` becomes its length. Known are RFC 3339 and its
// relatives (blank for T, comma for the point, no zone), nginx's error log, the common log format,
// asctime (`Sat Nov 28 06:02:00 2026`), and syslog's `Nov 28 06:00:03`, whose year is the one that
// puts it nearest to `now`.
std::optional<Stamp> stamp_at(std::string_view text, std::size_t& used, Micros now);

// The first stamp near the beginning of a line: at its start, or behind a blank, `[`, `"` or `:`.
std::optional<Stamp> find_stamp(std::string_view line, Micros now);

// Seconds, milliseconds, micro- or nanoseconds since the epoch, told apart by their size. Only of
// years 2001 to 2096: other numbers are not times.
std::optional<Stamp> epoch_stamp(std::string_view text);

// What people write on the command line: any of the above, `06:00:03[.5]` (the last such time
// before `now`), `-5m`, `@EPOCH`. Zone-less ones are of the machine's zone.
std::optional<Stamp> stamp_from_human(std::string_view text, Micros now);

// What the machine's zone is ahead of UTC at that time.
Micros local_offset(Micros at);

Micros now_in_micros();

// "2026-11-28 05:19:31.112", as exact as `grain` allows, in UTC.
std::string date_and_time(Micros at, Micros grain);
std::string time_of_day(Micros at, Micros grain);
std::string rfc3339(Micros at);

// "850 us", "12 ms", "2.1 s", "3 min 20 s": three digits at most.
std::string duration_text(Micros duration);

}  // namespace forktail::story
