// The twin comparison: the same request, answered several times by each of several processes that
// were forked from one. What differs from answer to answer within each process, and is equal across
// them, is state that the fork has duplicated.
//
// Pure functions over answers, for any process and thread. They ask nobody.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/finding.h"
#include "forktail/header.h"

namespace forktail::doctor {

// How often each process is to be asked: twice shows that something changes, a third time tells
// counting from chance.
constexpr int kRounds = 3;

// What can not be chance: tokens must be equal in at least this many bits.
constexpr double kSureBits = 20;

struct Answer {
  int status = 0;
  std::vector<Header> headers;
  std::string body;
  std::vector<std::string> log;  // the lines that the process wrote for it, if they are known
  double asked = 0;              // seconds since 1970: before it was asked,
  double answered = 0;           // and when it had answered
};

struct AddressRange {
  std::uint64_t begin;
  std::uint64_t end;
};

// What the comparison has to know of the processes.
struct TwinFacts {
  std::vector<std::string> known;    // values that were sent, or are each request's own: its ids
  std::vector<AddressRange> memory;  // mapped in every one of the processes
  // Between these seconds since 1970 what the processes were forked from was loaded. A time of
  // loading is not looked for when both are 0.
  double load_began = 0;
  double load_ended = 0;
  int loader = 0;  // the pid of what they were forked from; 0: not known
};

// `answers[process][round]`: two processes or more, two rounds or more, as many for each. All
// rounds of one process must have been asked before the first of the next one, so that a clock that
// ticks in whole seconds can not look like duplicated state. One finding for each place that has
// one; `request` ("GET /token") begins its name.
//
// Looked at: headers, body and log lines. Left out: `known` values, the times at which the
// answers were made, Date and Content-Length.
std::vector<Finding> compare_twins(std::string_view request,
                                   const std::vector<std::vector<Answer>>& answers,
                                   const TwinFacts& facts);

// Whether the answers hold something that is the same in all of them and may have been made at
// load: a word with a digit. Another load tells.
bool may_hold_load_values(const std::vector<std::vector<Answer>>& answers, const TwinFacts& facts);

// What is the same in all `answers`, and another in `other`: the answer to the same request of a
// process that was forked from another load. Not what is an address or a time: compare_twins() has
// told that.
std::vector<Finding> compare_loads(std::string_view request,
                                   const std::vector<std::vector<Answer>>& answers,
                                   const Answer& other, const TwinFacts& facts);

}  // namespace forktail::doctor
