#include "story/time.h"

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <chrono>
#include <cstdlib>

#include "story/text.h"

namespace forktail::story {
namespace {

constexpr Micros kDay = 86'400 * kSecond;

// Reads a line from its front; every step fails for good once one has failed.
struct Cursor {
  std::string_view text;
  std::size_t at = 0;
  bool good = true;

  char peek() const { return at < text.size() ? text[at] : '\0'; }
  bool take(char c) {
    if (!good || peek() != c) {
      return good = false;
    }
    ++at;
    return true;
  }
  bool take_any(std::string_view set) {
    if (!good || at >= text.size() || set.find(text[at]) == std::string_view::npos) {
      return good = false;
    }
    ++at;
    return true;
  }
  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i, ++at) {
      if (!good || !is_digit(peek())) {
        good = false;
        return 0;
      }
      value = value * 10 + (peek() - '0');
    }
    return value;
  }
};

struct Civil {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

bool sane(const Civil& c) {
  return c.year >= 1971 && c.year <= 2200 && c.month >= 1 && c.month <= 12 && c.day >= 1 &&
         c.day <= 31 && c.hour <= 23 && c.minute <= 59 && c.second <= 60;
}

Micros micros_of(const Civil& c) {
  namespace chr = std::chrono;
  const chr::sys_days days = chr::year(c.year) / chr::month(static_cast<unsigned>(c.month)) /
                             chr::day(static_cast<unsigned>(c.day));
  const std::int64_t seconds =
      days.time_since_epoch().count() * INT64_C(86'400) + c.hour * 3600 + c.minute * 60 + c.second;
  return seconds * kSecond;
}

int take_month(Cursor& in) {
  static constexpr std::array<std::string_view, 12> kNames{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (in.text.substr(in.at, 3) == kNames[i]) {
      in.at += 3;
      return static_cast<int>(i) + 1;
    }
  }
  in.good = false;
  return 0;
}

void take_clock(Cursor& in, Civil& civil) {
  civil.hour = in.digits(2);
  in.take(':');
  civil.minute = in.digits(2);
  in.take(':');
  civil.second = in.digits(2);
}

// ".385883" or ",749"; the grain becomes what its last digit is worth.
Micros take_fraction(Cursor& in, Micros& grain) {
  grain = kSecond;
  const char mark = in.peek();
  if ((mark != '.' && mark != ',') || in.at + 1 >= in.text.size() ||
      !is_digit(in.text[in.at + 1])) {
    return 0;
  }
  ++in.at;
  Micros fraction = 0;
  for (; is_digit(in.peek()); ++in.at) {
    if (grain > 1) {
      grain /= 10;
      fraction += (in.peek() - '0') * grain;
    }
  }
  return fraction;
}

// "Z", "+01:00", "+0100" or "+01", behind an optional blank; false when there is none.
bool take_zone(Cursor& in, Micros& offset) {
  Cursor trial = in;
  if (trial.peek() == ' ') {
    ++trial.at;
  }
  const char sign = trial.peek();
  ++trial.at;
  offset = 0;
  if (sign == 'Z' && !is_letter(trial.peek())) {
    in = trial;
    return true;
  }
  if (sign != '+' && sign != '-') {
    return false;
  }
  const int hours = trial.digits(2);
  int minutes = 0;
  if (trial.peek() == ':') {
    ++trial.at;
    minutes = trial.digits(2);
  } else if (is_digit(trial.peek())) {
    minutes = trial.digits(2);
  }
  if (!trial.good || is_digit(trial.peek()) || hours > 14 || minutes > 59) {
    return false;
  }
  offset = (hours * 3600 + minutes * 60) * kSecond * (sign == '-' ? -1 : 1);
  in = trial;
  return true;
}

std::optional<Stamp> finish(Cursor& in, const Civil& civil, std::size_t& used) {
  if (!in.good || !sane(civil)) {
    return std::nullopt;
  }
  Stamp stamp;
  const Micros fraction = take_fraction(in, stamp.grain);
  Micros offset = 0;
  stamp.zoned = take_zone(in, offset);
  stamp.at = micros_of(civil) + fraction - offset;
  used = in.at;
  return stamp;
}

// 2026-11-28T06:00:03.934Z, 2026-11-28 06:00:03,749, 2026/11/28 05:19:31
std::optional<Stamp> numeric_stamp(std::string_view text, std::size_t& used) {
  Cursor in{text};
  Civil civil;
  civil.year = in.digits(4);
  const char separator = in.peek();
  in.take_any("-/");
  civil.month = in.digits(2);
  in.take(separator);
  civil.day = in.digits(2);
  in.take_any("T ");
  take_clock(in, civil);
  return finish(in, civil, used);
}

// 28/Nov/2026:05:19:31 +0000, and with a blank for the first colon, as Python's servers have it
std::optional<Stamp> common_stamp(std::string_view text, std::size_t& used) {
  Cursor in{text};
  Civil civil;
  civil.day = in.digits(2);
  in.take('/');
  civil.month = in.good ? take_month(in) : 0;
  in.take('/');
  civil.year = in.digits(4);
  in.take_any(": ");
  take_clock(in, civil);
  return finish(in, civil, used);
}

int take_padded_day(Cursor& in) {
  if (in.peek() == ' ') {
    ++in.at;
    return in.digits(1);
  }
  return is_digit(in.at + 1 < in.text.size() ? in.text[in.at + 1] : '\0') ? in.digits(2)
                                                                          : in.digits(1);
}

// Sat Nov 28 06:02:00 2026, and Nov 28 06:00:03 of an unknown year
std::optional<Stamp> worded_stamp(std::string_view text, std::size_t& used, Micros now) {
  static constexpr std::string_view kWeekdays = "Mon Tue Wed Thu Fri Sat Sun";
  Cursor in{text};
  const bool with_weekday =
      text.size() > 4 && text[3] == ' ' && kWeekdays.find(text.substr(0, 3)) % 4 == 0;
  if (with_weekday) {
    in.at = 4;
  }
  Civil civil;
  civil.month = take_month(in);
  in.take(' ');
  civil.day = in.good ? take_padded_day(in) : 0;
  in.take(' ');
  take_clock(in, civil);
  if (!in.good) {
    return std::nullopt;
  }
  Cursor year = in;
  year.take(' ');
  civil.year = year.digits(4);
  if (year.good && with_weekday) {
    in = year;
    return finish(in, civil, used);
  }
  civil.year = std::atoi(date_and_time(now, kSecond).c_str());
  for (; sane(civil) && micros_of(civil) > now + kDay; --civil.year) {
  }
  return finish(in, civil, used);
}

}  // namespace

std::optional<Stamp> stamp_at(std::string_view text, std::size_t& used, Micros now) {
  if (text.size() < 15) {
    return std::nullopt;
  }
  if (is_digit(text[0])) {
    return text[2] == '/' ? common_stamp(text, used) : numeric_stamp(text, used);
  }
  return is_letter(text[0]) ? worded_stamp(text, used, now) : std::nullopt;
}

std::optional<Stamp> find_stamp(std::string_view line, Micros now) {
  constexpr std::size_t kReach = 256;
  constexpr std::string_view kBefore = " [\":\t=(";
  for (std::size_t i = 0; i < line.size() && i < kReach; ++i) {
    if (i == 0 || kBefore.find(line[i - 1]) != std::string_view::npos) {
      std::size_t used = 0;
      if (const auto stamp = stamp_at(line.substr(i), used, now)) {
        return stamp;
      }
    }
  }
  return std::nullopt;
}

std::optional<Stamp> epoch_stamp(std::string_view text) {
  constexpr Micros kFirst = INT64_C(1'000'000'000) * kSecond;
  constexpr Micros kLast = INT64_C(4'000'000'000) * kSecond;
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const auto number = whole_number(whole);
  if (!number) {
    return std::nullopt;
  }
  Stamp stamp;
  if (whole.size() == 10) {
    const auto exact = seconds_as_micros(text);
    if (!exact) {
      return std::nullopt;
    }
    stamp.at = *exact;
    stamp.grain = kSecond;
    for (std::size_t i = whole.size() + 1; i < text.size() && stamp.grain > 1; ++i) {
      stamp.grain /= 10;
    }
  } else if (whole.size() == 13) {
    stamp = {*number * kMillisecond, kMillisecond, true};
  } else if (whole.size() == 16) {
    stamp = {*number, 1, true};
  } else if (whole.size() == 19) {
    stamp = {*number / 1000, 1, true};
  } else {
    return std::nullopt;
  }
  return stamp.at >= kFirst && stamp.at < kLast ? std::optional(stamp) : std::nullopt;
}

std::optional<Stamp> stamp_from_human(std::string_view text, Micros now) {
  if (text.starts_with('@')) {
    return epoch_stamp(text.substr(1));
  }
  if (text.starts_with('-') && text.size() > 2) {
    const std::string_view units = "smhd";
    const std::size_t unit = units.find(text.back());
    const auto count = seconds_as_micros(text.substr(1, text.size() - 2));
    constexpr std::array<int, 4> kWorth{1, 60, 3600, 86'400};
    if (unit == std::string_view::npos || !count) {
      return std::nullopt;
    }
    return Stamp{now - *count * kWorth[unit], 1, true};
  }
  std::size_t used = 0;
  auto stamp = stamp_at(text, used, now);
  if (!stamp && text.size() >= 8 && text[2] == ':') {
    const Micros today = now + local_offset(now);
    const std::string full = date_and_time(today, kSecond).substr(0, 11).append(text);
    stamp = stamp_at(full, used, now);
    used -= stamp ? 11 : 0;
    if (stamp && !stamp->zoned && stamp->at > today) {
      stamp->at -= kDay;
    }
  }
  if (!stamp) {
    const auto epoch = epoch_stamp(text);
    return epoch;
  }
  if (used != text.size()) {
    return std::nullopt;
  }
  if (!stamp->zoned) {
    stamp->at -= local_offset(stamp->at);
    stamp->zoned = true;
  }
  return stamp;
}

Micros local_offset(Micros at) {
  const auto seconds = static_cast<time_t>(at / kSecond);
  tm parts{};
  localtime_r(&seconds, &parts);
  return parts.tm_gmtoff * kSecond;
}

Micros now_in_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string time_of_day(Micros at, Micros grain) {
  const Micros in_day = ((at % kDay) + kDay) % kDay;
  const Micros second = in_day / kSecond;
  std::string text = fmt::format("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
  if (grain < kMillisecond) {
    return text + fmt::format(".{:06}", in_day % kSecond);
  }
  if (grain < kSecond) {
    return text + fmt::format(".{:03}", in_day % kSecond / kMillisecond);
  }
  return text;
}

std::string date_and_time(Micros at, Micros grain) {
  namespace chr = std::chrono;
  const Micros day = at / kDay - (at % kDay < 0 ? 1 : 0);
  const chr::year_month_day date{chr::sys_days(chr::days(day))};
  return fmt::format("{:04}-{:02}-{:02} {}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time_of_day(at, grain));
}

std::string rfc3339(Micros at) {
  std::string text = date_and_time(at, 1) + "Z";
  text[10] = 'T';
  return text;
}

std::string duration_text(Micros duration) {
  if (duration < 0) {
    return "-" + duration_text(-duration);
  }
  if (duration < kMillisecond) {
    return fmt::format("{} us", duration);
  }
  const double millis = static_cast<double>(duration) / 1000;
  if (millis < 9.95) {
    return fmt::format("{:.1f} ms", millis);
  }
  if (millis < 999.5) {
    return fmt::format("{:.0f} ms", millis);
  }
  if (millis < 59'950) {
    return millis < 9'950 ? fmt::format("{:.2g} s", millis / 1000)
                          : fmt::format("{:.1f} s", millis / 1000);
  }
  const Micros seconds = (duration + kSecond / 2) / kSecond;
  return seconds < 3600 ? fmt::format("{} min {} s", seconds / 60, seconds % 60)
                        : fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

}  // namespace forktail::story
