#include "doctor/probe.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include "doctor/memory.h"
#include "doctor/shared_files.h"
#include "doctor/stopper.h"
#include "doctor/twin.h"

namespace forktail::doctor {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kShortPatience{150};
constexpr milliseconds kFirstLongPatience{600};
constexpr milliseconds kMostPatience{2000};  // less than Stopper::kLongest
constexpr milliseconds kDrain{3000};
constexpr milliseconds kForOneWorker{15000};
constexpr std::size_t kMostWorkers = 16;  // more of them tell no more

struct Asking {
  const Target& target;
  Stopper& stopper;
  Clock::time_point end;
  bool in_turn;                  // a lock decides who accepts
  std::vector<std::string> ids;  // that were sent
};

Answer to_answer(const wire::ClientResponse& response, double asked) {
  Answer answer;
  answer.status = response.status;
  answer.headers = response.headers;
  answer.body = response.body;
  answer.asked = asked;
  answer.answered = seconds_now();
  return answer;
}

const std::string& next_id(Asking& asking) {
  return asking.ids.emplace_back(fmt::format("forktail-doctor-{}-{}", getpid(), asking.ids.size()));
}

// Asks while all others stand still. Empty when no answer came in time: the event may have woken
// one that stands still. Then all go on, so that it answers what it has taken, and another try is
// free to reach the one that was meant.
std::vector<Answer> try_once(Asking& asking, pid_t worker, const std::string& request,
                             milliseconds patience, std::size_t rounds) {
  std::vector<Answer> answers;
  std::unique_ptr<Question> pending;
  if (asking.stopper.stop_all_but(worker)) {
    const auto end = Clock::now() + patience;
    while (answers.size() < rounds) {
      const auto left =
          std::max(std::chrono::ceil<milliseconds>(end - Clock::now()), milliseconds(1));
      const double asked = seconds_now();
      pending = std::make_unique<Question>(asking.target, request, next_id(asking), left);
      if (!pending->wait(left)) {
        break;
      }
      answers.push_back(to_answer(pending->answer(), asked));
    }
  }
  asking.stopper.go_on();
  if (answers.size() == rounds) {
    return answers;
  }
  if (pending) {
    pending->wait(kDrain);
  }
  return {};
}

// Most tries are short. Every third is longer than the last of these, for applications that take
// their time.
milliseconds patience_of(int attempt) {
  if (attempt % 3 != 2) {
    return kShortPatience;
  }
  return std::min(kFirstLongPatience * (1 << std::min(attempt / 3, 4)), kMostPatience);
}

bool anybody_waits(const std::vector<Process>& workers) {
  return std::any_of(workers.begin(), workers.end(),
                     [](const Process& one) { return waits_for_events(one.pid); });
}

// Whether a lock decides who accepts (uWSGI's thunder-lock, Apache's mutex): of workers that have
// nothing to do its holder alone waits for a connection.
bool a_lock_decides(const std::vector<Process>& workers, Server server) {
  constexpr int kLooks = 3;
  bool always = server != Server::forktail;  // whose idle workers wait in another way
  for (int i = 0; i < kLooks && always; ++i) {
    const auto waiting = std::count_if(workers.begin(), workers.end(), [](const Process& one) {
      return waits_for_events(one.pid);
    });
    always = waiting == 1 && workers.size() > 1;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return always;
}

// Where a lock decides, none but its holder can be asked, and one answer is all that it gives: it
// hands the lock on when it has accepted. Others that hold it meanwhile are asked too, so that it
// goes round. Fewer answers than were wanted when the time is up.
std::vector<Answer> ask_in_turn(Asking& asking, const std::vector<Process>& workers, pid_t worker,
                                const std::string& request) {
  std::vector<Answer> answers;
  const auto end = std::min(asking.end, Clock::now() + kForOneWorker);
  while (answers.size() < kRounds && Clock::now() < end) {
    if (waits_for_events(worker)) {
      for (Answer& answer : try_once(asking, worker, request, kFirstLongPatience, 1)) {
        answers.push_back(std::move(answer));
      }
    } else if (anybody_waits(workers)) {
      Question other(asking.target, request, next_id(asking), kDrain);
      other.wait(kDrain);
    }
    for (int i = 0; i < 50 && !anybody_waits(workers); ++i) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  return answers.size() == kRounds ? answers : std::vector<Answer>();
}

// Throws std::runtime_error when the worker is not reached.
std::vector<Answer> ask_worker(Asking& asking, const std::vector<Process>& workers, pid_t worker,
                               const std::string& request) {
  if (asking.in_turn) {
    if (auto answers = ask_in_turn(asking, workers, worker, request); !answers.empty()) {
      return answers;
    }
  }
  std::string problem = "it did not take the request";
  const auto end = std::min(asking.end, Clock::now() + kForOneWorker);
  for (int attempt = 0; Clock::now() < end; ++attempt) {
    try {
      if (auto answers = try_once(asking, worker, request, patience_of(attempt), kRounds);
          !answers.empty()) {
        return answers;
      }
    } catch (const std::runtime_error& error) {
      asking.stopper.go_on();
      problem = error.what();
    }
  }
  throw std::runtime_error(fmt::format(
      "{}: worker {} gave no answer while the others stood still: {}", request, worker, problem));
}

void probe_request(Asking& asking, const std::vector<Process>& workers, const std::string& request,
                   TwinFacts facts, Server server, Probe& result) {
  std::vector<std::vector<Answer>> answers;
  std::set<int> statuses;
  for (const Process& worker : workers) {
    answers.push_back(ask_worker(asking, workers, worker.pid, request));
    statuses.insert(answers.back().front().status);
  }
  facts.known = asking.ids;
  for (Finding& finding : compare_twins(request, answers, facts)) {
    finding.cure = cure_for(finding.kind, server);
    result.findings.push_back(std::move(finding));
  }
  std::string seen;
  for (const int status : statuses) {
    seen += fmt::format("{}{}", seen.empty() ? "" : ", ", status);
  }
  result.notes.push_back(fmt::format("{} was asked {} times of each of {} workers: status {}",
                                     request, kRounds, workers.size(), seen));
}

TwinFacts facts_of_family(const Family& family, const std::vector<Process>& workers) {
  TwinFacts facts;
  facts.memory = common_addresses(family);
  facts.loader = family.loader.pid;
  facts.load_began = family.master.started;
  facts.load_ended = workers.front().started;
  for (const Process& worker : workers) {
    facts.load_ended = std::min(facts.load_ended, worker.started);
  }
  return facts;
}

// "0.0.0.0:80" and "[::]:80" take what is sent to any address.
bool listens_at(const SocketFacts& facts, const Target& target) {
  if (!facts.listening) {
    return false;
  }
  if (target.address.is_unix()) {
    return facts.is_unix && facts.local == target.address.path();
  }
  const std::string numeric = text_of(*target.address.get());
  const std::string port = numeric.substr(numeric.rfind(':'));
  return facts.local == numeric || facts.local == "0.0.0.0" + port || facts.local == "[::]" + port;
}

}  // namespace

std::vector<Process> acceptors(const Family& family, const std::vector<OpenFile>& files,
                               const SocketTable& sockets, const Target& target) {
  std::vector<Process> found;
  // Of its listeners the one that most workers have, should the target's be a router's.
  for (const bool any : {false, true}) {
    for (const OpenFile& file : files) {
      const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets.find(file.inode) : nullptr;
      if (facts == nullptr || !facts->listening || !(any || listens_at(*facts, target))) {
        continue;
      }
      std::vector<Process> holders;
      for (const Process& worker : family.workers) {
        if (file.held_by(worker.pid)) {
          holders.push_back(worker);
        }
      }
      if (holders.size() > found.size()) {
        found = std::move(holders);
      }
    }
    if (found.size() > 1) {
      return found;
    }
  }
  return found.empty() ? family.workers : found;
}

Probe probe(const Family& family, const std::vector<OpenFile>& files, const SocketTable& sockets,
            const Target& target, const std::vector<std::string>& requests, milliseconds limit) {
  Probe result;
  std::vector<Process> workers = acceptors(family, files, sockets, target);
  if (workers.size() < 2) {
    result.failures.emplace_back("--probe: two workers are needed to compare them, here is one");
    return result;
  }
  std::vector<pid_t> pids;
  for (const Process& worker : workers) {
    pids.push_back(worker.pid);
  }
  workers.resize(std::min(workers.size(), kMostWorkers));
  try {
    Stopper stopper(pids);
    Asking asking{
        target, stopper, Clock::now() + limit, a_lock_decides(workers, family.server), {}};
    for (const std::string& request : requests) {
      probe_request(asking, workers, request, facts_of_family(family, workers), family.server,
                    result);
    }
  } catch (const std::runtime_error& error) {
    result.failures.emplace_back(fmt::format("--probe: {}", error.what()));
  }
  return result;
}

}  // namespace forktail::doctor
