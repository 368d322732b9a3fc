#include "doctor/twin.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "doctor/align.h"
#include "doctor/token.h"

namespace forktail::doctor {

namespace {

// One place in the answers, seen as a table of processes and rounds.
struct Spot {
  std::string_view request;
  std::string_view part;  // "body", "header set-cookie", "log line 2"
  std::string_view label;
  std::vector<std::vector<std::string_view>> values;  // [process][round]
};

using Values = std::vector<std::vector<std::string_view>>;

template <typename Test>
bool all_values(const Values& values, Test test) {
  return std::all_of(values.begin(), values.end(), [&](const auto& rounds) {
    return std::all_of(rounds.begin(), rounds.end(), test);
  });
}

bool constant(const Values& values) {
  return all_values(values, [&](std::string_view one) { return one == values[0][0]; });
}

bool equal_across(const Values& values) {
  return std::all_of(values.begin(), values.end(),
                     [&](const auto& rounds) { return rounds == values[0]; });
}

// Is a value of one process among those of another?
std::optional<std::string_view> met_again(const Values& values) {
  for (std::size_t p = 0; p < values.size(); ++p) {
    for (std::size_t q = p + 1; q < values.size(); ++q) {
      for (const std::string_view value : values[p]) {
        if (std::find(values[q].begin(), values[q].end(), value) != values[q].end()) {
          return value;
        }
      }
    }
  }
  return std::nullopt;
}

// Whether no process gave one value twice.
bool always_new(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](const auto& rounds) {
    return std::set<std::string_view>(rounds.begin(), rounds.end()).size() == rounds.size();
  });
}

// Each process counts up, all by the same step.
bool counts_up(const Values& values) {
  std::optional<std::uint64_t> step;
  for (const auto& rounds : values) {
    for (std::size_t i = 0; i + 1 < rounds.size(); ++i) {
      const auto now = as_number(rounds[i]);
      const auto next = as_number(rounds[i + 1]);
      if (!now || !next || *next <= *now || (step && *step != *next - *now)) {
        return false;
      }
      step = *next - *now;
    }
  }
  // A larger step is rather a measurement, and two values that go up may do so by chance.
  const std::uint64_t largest_step = values[0].size() == 2 ? 1 : 16;
  return step && *step <= largest_step;
}

// The bits that are equal in `values`, when they are so round by round.
double equal_bits(const Values& values) {
  const auto& rounds = values[0];
  double bits = 0;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const std::string_view other = rounds[i == 0 ? 1 : i - 1];
    bits += bits_of(rounds[i], differing_length(rounds[i], other));
  }
  return bits * static_cast<double>(values.size() - 1);
}

double bits_of_one(const Values& values, std::string_view value) {
  for (const auto& rounds : values) {
    for (const std::string_view other : rounds) {
      if (other != value) {
        return bits_of(value, differing_length(value, other));
      }
    }
  }
  return 0;
}

std::string shown(std::string_view value) {
  constexpr std::size_t kMost = 64;
  return value.size() <= kMost ? std::string(value) : fmt::format("{}...", value.substr(0, kMost));
}

std::string rounds_in_words(const Values& values) {
  std::string words;
  for (const std::string_view value : values[0]) {
    words += fmt::format("{}{}", words.empty() ? "" : ", ", shown(value));
  }
  return words;
}

std::string place_of(const Spot& spot) {
  return spot.label.empty() ? std::string(spot.part)
                            : fmt::format("{} {}", spot.part, shown(spot.label));
}

Finding finding_at(const Spot& spot, Kind kind, std::string_view what, std::string evidence) {
  const std::string place = place_of(spot);
  return make_finding(kind, fmt::format("{} {}", spot.request, place),
                      fmt::format("{}: {} ({})", spot.request, what, place), std::move(evidence));
}

std::optional<Finding> address_at(const Spot& spot, const TwinFacts& facts) {
  const auto address = as_address(spot.values[0][0]);
  const auto holds = [&](const AddressRange& range) {
    return *address >= range.begin && *address < range.end;
  };
  if (!address || std::none_of(facts.memory.begin(), facts.memory.end(), holds)) {
    return std::nullopt;
  }
  return finding_at(spot, Kind::address, "an address is the same in every worker",
                    fmt::format("{} in {} of {} workers, and mapped in all of them",
                                shown(spot.values[0][0]), spot.values.size(), spot.values.size()));
}

std::optional<Finding> load_time_at(const Spot& spot, const TwinFacts& facts, double now) {
  const auto moment = as_moment(spot.values[0][0], now);
  if (!moment || facts.load_ended == 0) {
    return std::nullopt;
  }
  // Kernel's times of start come in hundredths of a second.
  constexpr double kTick = 0.02;
  const bool before_the_fork = moment->seconds + moment->resolution <= facts.load_ended + kTick;
  if (!before_the_fork || moment->seconds < facts.load_began - moment->resolution - kTick) {
    return std::nullopt;
  }
  return finding_at(
      spot, Kind::load_time, "a time before the fork is the same in every worker",
      fmt::format("{} in {} of {} workers, of which the first was forked {:.1f} s later",
                  shown(spot.values[0][0]), spot.values.size(), spot.values.size(),
                  std::max(facts.load_ended - moment->seconds, 0.0)));
}

// The pid of what loaded the application. Whose children the workers are, they may mean it.
std::optional<Finding> loader_at(const Spot& spot, const TwinFacts& facts) {
  constexpr int kAmbiguous = 100;  // smaller numbers are many things
  if (facts.loader < kAmbiguous || spot.values[0][0] != std::to_string(facts.loader)) {
    return std::nullopt;
  }
  return finding_at(
      spot, Kind::load_value, "the pid of the process that the workers were forked from",
      fmt::format("{} in {} of {} workers", facts.loader, spot.values.size(), spot.values.size()));
}

// Long enough to name something, and more than a word of a language.
bool may_be_of_a_load(std::string_view word) {
  return word.size() >= 3 && word.find_first_of("0123456789") != std::string_view::npos;
}

std::optional<Finding> changing_at(const Spot& spot) {
  const Values& values = spot.values;
  const std::optional<std::string_view> twice = met_again(values);
  if (!twice) {
    return std::nullopt;
  }
  if (counts_up(values)) {
    return finding_at(
        spot, Kind::counter, "every worker counts by itself, from the same number",
        equal_across(values)
            ? fmt::format("{} in each of {} workers", rounds_in_words(values), values.size())
            : fmt::format("{} came from more than one worker", shown(*twice)));
  }
  const bool same = equal_across(values);
  const double bits = same ? equal_bits(values) : bits_of_one(values, *twice);
  if (bits < kSureBits || (!same && !always_new(values))) {
    return std::nullopt;
  }
  return finding_at(
      spot, Kind::random, "what differs from answer to answer is equal across workers",
      same ? fmt::format("{} in each of {} workers: equal in at most {:.0f} bits",
                         rounds_in_words(values), values.size(), bits)
           : fmt::format("{} came from more than one worker: equal in at most {:.0f} bits",
                         shown(*twice), bits));
}

std::optional<Finding> finding_in(const Spot& spot, const TwinFacts& facts, const Answer& first,
                                  const Answer& last) {
  const bool known = !all_values(spot.values, [&](std::string_view value) {
    return std::find(facts.known.begin(), facts.known.end(), value) == facts.known.end();
  });
  if (known) {
    return std::nullopt;
  }
  if (constant(spot.values)) {
    auto known_kind = address_at(spot, facts);
    known_kind = known_kind ? known_kind : load_time_at(spot, facts, last.answered);
    return known_kind ? known_kind : loader_at(spot, facts);
  }
  const auto is_time = [&](std::string_view value) {
    return is_time_of_day(value) || as_moment(value, first.asked).has_value();
  };
  return all_values(spot.values, is_time) ? std::nullopt : changing_at(spot);
}

// What the answers say in one part: nothing where not all of them have it.
using Part = std::pair<std::string, std::vector<std::string_view>>;

std::optional<std::string_view> header_value(const Answer& answer, const std::string& name,
                                             std::size_t which) {
  for (const Header& header : answer.headers) {
    if (strcasecmp(header.name.c_str(), name.c_str()) == 0 && which-- == 0) {
      return header.value;
    }
  }
  return std::nullopt;
}

void add_headers(std::vector<Part>& parts, const std::vector<const Answer*>& answers) {
  std::vector<std::string> seen;
  for (const Header& header : answers.front()->headers) {
    std::string name = header.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto which = static_cast<std::size_t>(std::count(seen.begin(), seen.end(), name));
    seen.push_back(name);
    if (name == "date" || name == "content-length" || name == "status" || name == "server") {
      continue;
    }
    Part part{"header " + name, {}};
    for (const Answer* answer : answers) {
      if (const auto value = header_value(*answer, name, which)) {
        part.second.push_back(*value);
      }
    }
    parts.push_back(std::move(part));
  }
}

std::vector<Part> parts_of(const std::vector<const Answer*>& answers) {
  std::vector<Part> parts;
  add_headers(parts, answers);
  Part body{"body", {}};
  for (const Answer* answer : answers) {
    body.second.push_back(answer->body);
  }
  parts.push_back(std::move(body));
  for (std::size_t line = 0; line < answers.front()->log.size(); ++line) {
    Part log{fmt::format("log line {}", line + 1), {}};
    for (const Answer* answer : answers) {
      if (line < answer->log.size()) {
        log.second.push_back(answer->log[line]);
      }
    }
    parts.push_back(std::move(log));
  }
  return parts;
}

using Answers = std::vector<std::vector<Answer>>;

std::vector<const Answer*> flat(const Answers& answers) {
  std::vector<const Answer*> all;
  for (const auto& rounds : answers) {
    for (const Answer& answer : rounds) {
      all.push_back(&answer);
    }
  }
  return all;
}

// Calls `visit` with each place that all of `all` have: `answers` are the first of them.
template <typename Visit>
void each_spot(std::string_view request, const Answers& answers,
               const std::vector<const Answer*>& all, Visit visit) {
  const std::size_t rounds = answers[0].size();
  for (const auto& [part, texts] : parts_of(all)) {
    if (texts.size() != all.size()) {
      continue;
    }
    for (const Place& place : align(texts)) {
      Spot spot{request, part, place.label, {}};
      for (std::size_t p = 0; p < answers.size(); ++p) {
        const auto from = place.words.begin() + static_cast<std::ptrdiff_t>(p * rounds);
        spot.values.emplace_back(from, from + static_cast<std::ptrdiff_t>(rounds));
      }
      visit(spot, place);
    }
  }
}

bool comparable(const Answers& answers) { return answers.size() >= 2 && answers[0].size() >= 2; }

// The same in all of them, and not told by another name.
bool may_be_of_a_load(const Spot& spot, const TwinFacts& facts, const Answer& first) {
  const std::string_view value = spot.values[0][0];
  return constant(spot.values) && may_be_of_a_load(value) &&
         std::find(facts.known.begin(), facts.known.end(), value) == facts.known.end() &&
         !as_moment(value, first.asked) && !address_at(spot, facts);
}

}  // namespace

std::vector<Finding> compare_twins(std::string_view request, const Answers& answers,
                                   const TwinFacts& facts) {
  std::vector<Finding> findings;
  if (!comparable(answers)) {
    return findings;
  }
  const std::vector<const Answer*> all = flat(answers);
  each_spot(request, answers, all, [&](const Spot& spot, const Place&) {
    if (auto finding = finding_in(spot, facts, *all.front(), *all.back())) {
      findings.push_back(std::move(*finding));
    }
  });
  return findings;
}

bool may_hold_load_values(const Answers& answers, const TwinFacts& facts) {
  bool may = false;
  if (comparable(answers)) {
    each_spot({}, answers, flat(answers), [&](const Spot& spot, const Place&) {
      may = may || may_be_of_a_load(spot, facts, answers[0][0]);
    });
  }
  return may;
}

std::vector<Finding> compare_loads(std::string_view request, const Answers& answers,
                                   const Answer& other, const TwinFacts& facts) {
  std::vector<Finding> findings;
  if (!comparable(answers)) {
    return findings;
  }
  std::vector<const Answer*> all = flat(answers);
  all.push_back(&other);
  each_spot(request, answers, all, [&](const Spot& spot, const Place& place) {
    const std::string_view value = spot.values[0][0];
    const std::string_view again = place.words.back();
    if (!may_be_of_a_load(spot, facts, answers[0][0]) || differing_length(value, again) < 2 ||
        !may_be_of_a_load(again)) {
      return;
    }
    findings.push_back(finding_at(
        spot, Kind::load_value, "made at the load: every worker gives the same",
        fmt::format("{} in {} of {} workers, and {} when it was loaded again", shown(value),
                    spot.values.size(), spot.values.size(), shown(again))));
  });
  return findings;
}

}  // namespace forktail::doctor
