// The names that log formats have for things, in one table, and an event made of named values.
//
// JSON, LTSV, nginx's log_format and `name=value` texts all come here as pairs.
#pragma once

#include <string>
#include <string_view>

#include "story/event.h"

namespace forktail::story {

class EventBuilder {
 public:
  EventBuilder(Event& event, Micros now) : event_(event), now_(now) {}

  // Unknown names are ignored; of two that mean one thing the better one counts, else the first.
  void add(std::string_view name, std::string_view value);

  // Takes apart what stands for several things, and decides what kind of line it is.
  void finish();

 private:
  void add_time(std::string_view value, int rank);
  void add_id(std::string_view value, int rank);
  void add_upstream(std::string_view name, std::string_view value);
  void add_number(int field, std::string_view value);
  void add_text(int field, std::string_view value);
  void decide_kind();

  Event& event_;
  Micros now_;
  int time_rank_ = 99;
  int id_rank_ = 99;
  std::string request_;
  std::string addresses_, statuses_, connects_, headers_, responses_;
};

// The parts of nginx's upstream lists: "a, b : c".
std::string_view next_in_list(std::string_view& list);

// "GET /orders?id=7 HTTP/1.1" as method and path.
void split_request(std::string_view request, Event& event);

// What stands in a traceparent's place for the trace id; empty when it is none.
std::string_view trace_id_of(std::string_view traceparent);

}  // namespace forktail::story
