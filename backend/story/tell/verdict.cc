#include "story/tell/verdict.h"

#include <fmt/format.h>

#include <algorithm>

#include "story/tell/spans.h"
#include "story/text.h"

namespace forktail::story {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The facts that sentences are made of.
struct Facts {
  const Event* access = nullptr;
  const Event* served = nullptr;  // the server's line of the request
  const Event* lost = nullptr;
  int losses = 0;
  const Event* harakiri = nullptr;
  const Event* oom = nullptr;
  const Event* killed = nullptr;  // by somebody else's words: uWSGI's, gunicorn's
  const Event* crash = nullptr;
  const Event* complaint = nullptr;  // of the server's about the request or its response
  bool app_lines = false;
  std::string worker;
};

Facts facts_of(const Request& request) {
  Facts facts;
  facts.access = find_kind(request, Kind::access);
  facts.lost = find_event(request, "lost");
  facts.harakiri = find_event(request, "harakiri_kill");
  facts.oom = find_event(request, "oom");
  facts.killed = find_event(request, "killed");
  facts.crash = find_event(request, "crash");
  for (const Event& event : request.events) {
    if (event.kind == Kind::request) {
      facts.served = &event;  // the last: a retry's
    }
    // Text that bears the id is the application's, if it tells its time or not.
    facts.app_lines |= event.kind == Kind::app || (event.kind == Kind::plain && !event.drawn);
    const bool complains = event.event == "app_threw" || event.event == "bad_request" ||
                           event.event == "body_not_stored" || event.event == "bad_response";
    if (complains && facts.complaint == nullptr) {
      facts.complaint = &event;
    }
    facts.losses += event.event == "lost" ? 1 : 0;
    if (event.event == "harakiri" && event.kind == Kind::death) {
      facts.harakiri = &event;  // uWSGI's, gunicorn's
    }
  }
  const int worker = facts.lost != nullptr ? loss_of(*facts.lost).worker : request.worker;
  facts.worker = worker != 0        ? fmt::format("worker {}", worker)
                 : request.pid != 0 ? fmt::format("process {}", request.pid)
                                    : "the worker";
  return facts;
}

// nginx's error line whose message has one of these parts.
const Event* error_with(const Request& request, std::initializer_list<std::string_view> parts) {
  for (const Event& event : request.events) {
    if (event.kind != Kind::nginx_error) {
      continue;
    }
    for (const std::string_view part : parts) {
      if (contains(event.message, part)) {
        return &event;
      }
    }
  }
  return nullptr;
}

std::string took(const Request& request) {
  return request.timed ? duration_text(request.end - request.start) : std::string();
}

// "answered 502: ", or what can be said without an access line.
std::string lead(const Request& request, const Facts& facts) {
  if (facts.access != nullptr && request.status > 0) {
    return fmt::format("answered {}: ", request.status);
  }
  return facts.access != nullptr ? "closed without an answer: " : "";
}

std::string death_sentence(const Facts& facts) {
  if (facts.harakiri != nullptr) {
    return fmt::format("{} was killed by harakiri while handling it", facts.worker);
  }
  if (facts.oom != nullptr) {
    return fmt::format("{} was killed by the kernel, which was out of memory, while handling it",
                       facts.worker);
  }
  if (facts.lost != nullptr) {
    const Loss loss = loss_of(*facts.lost);
    if (loss.how.empty()) {
      return fmt::format("{} died while handling it", facts.worker);
    }
    const std::string again =
        facts.losses > 1 ? fmt::format(", the first of {} that died of it", facts.losses) : "";
    return fmt::format("{} {} while {} it{}", facts.worker,
                       loss.how.starts_with("killed") ? "was " + loss.how : loss.how, loss.doing,
                       again);
  }
  if (facts.killed != nullptr) {
    return fmt::format("{} was killed while handling it", facts.worker);
  }
  return fmt::format("{} crashed while handling it", facts.worker);
}

bool judge_death(Request& request, const Facts& facts) {
  const bool died = facts.lost != nullptr || facts.oom != nullptr || facts.killed != nullptr ||
                    (facts.harakiri != nullptr && facts.served == nullptr);
  if (!died) {
    return false;
  }
  // A second try may have saved it.
  if (request.status > 0 && request.status < 500 && facts.served != nullptr) {
    request.outcome = Outcome::answered;
    request.verdict = fmt::format("answered {} at the second try: at the first {}", request.status,
                                  death_sentence(facts));
    return true;
  }
  request.outcome = request.status == 499 ? Outcome::client_left : Outcome::failed;
  request.verdict = lead(request, facts) + death_sentence(facts);
  return true;
}

bool judge_queue(Request& request) {
  const Event* full = error_with(request, {"the queue is full: \"forktail_queue\""});
  const Event* late = error_with(request, {"has waited too long: \"forktail_queue\""});
  const Event* access = find_kind(request, Kind::access);
  const Micros waited = access == nullptr                 ? kUnknown
                        : access->nginx_queue != kUnknown ? access->nginx_queue
                                                          : access->duration;
  if (full == nullptr && late == nullptr) {
    return false;
  }
  request.outcome = Outcome::refused;
  const std::string answer =
      request.status > 0 ? fmt::format("answered {}: ", request.status) : std::string();
  if (full != nullptr) {
    request.verdict = answer + "nginx's queue was full; it never reached a worker";
  } else {
    request.verdict =
        answer + fmt::format(
                     "it waited {} in nginx's queue, until its time was over; it never "
                     "reached a worker",
                     waited == kUnknown ? "too long" : duration_text(waited));
  }
  return true;
}

bool judge_left(Request& request, const Facts& facts) {
  if (request.status != 499) {
    return false;
  }
  request.outcome = Outcome::client_left;
  const std::string after = took(request);
  std::string where = "; it had not reached a worker";
  if (facts.served != nullptr) {
    where = fmt::format("; {} finished it all the same", facts.worker);
  } else if (facts.app_lines) {
    where = fmt::format(", while {} was at it", facts.worker);
  } else if (facts.access->nginx_queue != kUnknown && facts.access->upstreams.empty()) {
    where = ", while it waited in nginx's queue";
  }
  request.verdict = "the client left" + (after.empty() ? "" : " after " + after) + where;
  return true;
}

std::string upstream_reason(const Request& request, const Facts& facts) {
  const bool reached = facts.served != nullptr || facts.app_lines;
  const std::string never = reached ? "" : "; it never reached a worker";
  if (error_with(request, {"(111: Connection refused)"}) != nullptr) {
    return "the upstream refused the connection" + never;
  }
  if (error_with(request, {"(11: Resource temporarily unavailable)"}) != nullptr) {
    return "the upstream's listen queue was full" + never;
  }
  if (error_with(request, {"(2: No such file or directory) while connecting"}) != nullptr) {
    return "the upstream's socket does not exist" + never;
  }
  if (error_with(request, {"(13: Permission denied) while connecting"}) != nullptr) {
    return "nginx may not open the upstream's socket" + never;
  }
  if (error_with(request, {"no live upstreams"}) != nullptr) {
    return "all upstreams were taken for dead" + never;
  }
  if (error_with(request, {"upstream timed out"}) != nullptr || request.status == 504) {
    const std::string and_then = facts.served != nullptr
                                     ? fmt::format("; {} finished it too late", facts.worker)
                                 : reached ? fmt::format("; {} was at it", facts.worker)
                                           : "; no worker's line tells of it";
    return fmt::format("the upstream did not answer within {}", took(request)) + and_then;
  }
  if (error_with(request, {"prematurely closed", "(104: Connection reset"}) != nullptr) {
    return "the upstream closed the connection without an answer" +
           std::string(reached ? "" : "; no worker's line tells of it");
  }
  return {};
}

bool judge_upstream(Request& request, const Facts& facts) {
  if (facts.access == nullptr && error_with(request, {" upstream"}) == nullptr) {
    return false;
  }
  const std::string reason = upstream_reason(request, facts);
  if (reason.empty()) {
    return false;
  }
  if (request.status > 0 && request.status < 500) {
    if (facts.access == nullptr || facts.access->upstreams.size() < 2) {
      return false;
    }
    request.outcome = Outcome::answered;
    request.verdict =
        fmt::format("answered {} at try {}: before, {}", request.status,
                    facts.access->upstreams.size(), reason.substr(0, reason.find(';')));
    return true;
  }
  request.outcome = Outcome::failed;
  request.verdict = lead(request, facts) + reason;
  return true;
}

void judge_answer(Request& request, const Facts& facts) {
  const int status = request.status;
  const std::string in = took(request);
  request.outcome = status >= 500   ? Outcome::failed
                    : status >= 400 ? Outcome::refused
                                    : Outcome::answered;
  request.verdict = fmt::format("answered {}", status) + (in.empty() ? "" : " in " + in);
  if (facts.complaint != nullptr && status >= 400) {
    request.verdict =
        fmt::format("answered {}: {}", status, printable(facts.complaint->message, 200));
  } else if (facts.served != nullptr) {
    const Micros handled = facts.served->handle;
    request.verdict += fmt::format(" by {}", facts.worker);
    request.verdict +=
        handled == kUnknown ? "" : fmt::format(", which handled it for {}", duration_text(handled));
  } else if (facts.app_lines) {
    request.verdict += request.worker + request.pid != 0 ? " by " + facts.worker : "";
  } else if (facts.access != nullptr && facts.access->upstreams.empty() &&
             contains(facts.access->raw, "upstream")) {
    request.verdict += " by nginx itself: no upstream was asked";
  } else if (status >= 500) {
    request.verdict += "; no worker's line tells of it";
  }
}

void judge_without_answer(Request& request, const Facts& facts) {
  request.outcome = Outcome::unknown;
  if (facts.access != nullptr) {
    request.outcome = Outcome::failed;
    request.verdict = "closed without an answer";
  } else if (facts.served != nullptr) {
    judge_answer(request, facts);
  } else if (facts.app_lines) {
    request.verdict = fmt::format("{} began it; no line tells its end", facts.worker);
  } else {
    request.verdict = "seen, but no line tells its end";
  }
}

void note_missing(Request& request, const Facts& facts) {
  const bool worker_lines = facts.served != nullptr || facts.app_lines || facts.lost != nullptr;
  const bool by_nginx = facts.access != nullptr && facts.access->upstreams.empty() &&
                        contains(facts.access->raw, "upstream");
  if (facts.access == nullptr) {
    request.missing.push_back(
        "no access line: nginx has not ended it, or its access log is not among those read");
  }
  if (!worker_lines && !by_nginx) {
    request.missing.push_back(
        "no app line: the request never reached a worker, or its log is not among those read");
  }
}

}  // namespace

void judge(Request& request) {
  const Facts facts = facts_of(request);
  note_missing(request, facts);
  if (judge_death(request, facts) || judge_queue(request) || judge_left(request, facts) ||
      judge_upstream(request, facts)) {
    return;
  }
  if (request.status > 0) {
    judge_answer(request, facts);
  } else {
    judge_without_answer(request, facts);
  }
}

}  // namespace forktail::story
