#include "doctor/app/answers.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "doctor/ask/ask.h"
#include "wire/address.h"

namespace forktail::doctor {

namespace {

using WallClock = std::chrono::system_clock;
using std::chrono::milliseconds;

constexpr milliseconds kGlance{5};
constexpr milliseconds kAWhile{50};

double seconds(WallClock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

// The shape of the ids that nginx sends.
std::string make_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

struct Asked {
  std::string id;
  Answer answer;
};

class Asker {
 public:
  Asker(AppServer& server, Patience& patience) : server_(server), patience_(patience) {
    target_.address = wire::parse_address(server.socket());
  }

  Asked ask(const std::string& request) {
    Asked asked{make_id(), {}};
    asked.answer.asked = seconds(WallClock::now());
    try {
      const milliseconds limit = std::max(patience_.left(), milliseconds(1));
      Question question(target_, request, asked.id, limit);
      if (!question.wait(limit)) {
        throw std::runtime_error(fmt::format("no answer came within {} ms", limit.count()));
      }
      asked.answer.status = question.answer().status;
      asked.answer.headers = question.answer().headers;
      asked.answer.body = question.answer().body;
    } catch (const std::runtime_error& error) {
      std::this_thread::sleep_for(kAWhile);  // the server says who has died, if one has
      const std::string said = server_.complaint();
      throw std::runtime_error(
          fmt::format("{}: {}", request, said.empty() ? error.what() : said.c_str()));
    }
    asked.answer.answered = seconds(WallClock::now());
    return asked;
  }

  // Who answered, and adds what it logged. The server's own line is the last of a request.
  pid_t complete(Asked& asked) {
    for (;;) {
      std::vector<std::string> lines;
      for (const nlohmann::json& line : server_.log()) {
        if (line.value("request_id", "") != asked.id) {
          continue;
        }
        if (line.value("event", "") == "request") {
          asked.answer.log = std::move(lines);
          return line.value("pid", 0);
        }
        if (!line.contains("event")) {
          lines.push_back(line.value("msg", ""));
        }
      }
      patience_.pause(kGlance);
    }
  }

 private:
  AppServer& server_;
  Patience& patience_;
  Target target_;
};

std::vector<AddressRange> memory_of(pid_t pid) {
  std::vector<AddressRange> ranges;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2) {
      ranges.push_back({begin, end});
    }
  }
  return ranges;
}

// What both have.
std::vector<AddressRange> common(const std::vector<AddressRange>& one,
                                 const std::vector<AddressRange>& other) {
  std::vector<AddressRange> both;
  for (const AddressRange& a : one) {
    for (const AddressRange& b : other) {
      const AddressRange range{std::max(a.begin, b.begin), std::min(a.end, b.end)};
      if (range.begin < range.end) {
        both.push_back(range);
      }
    }
  }
  return both;
}

double load_ended(const AppServer& server) {
  struct stat info {};
  if (stat(server.audit().c_str(), &info) != 0) {
    return 0;
  }
  return static_cast<double>(info.st_mtim.tv_sec) + static_cast<double>(info.st_mtim.tv_nsec) / 1e9;
}

// The answers of one worker: [request][round].
using Answers = std::vector<std::vector<Answer>>;

// It has been told to leave by its last request. One that ignores that is killed.
void wait_until_left(pid_t worker, Patience& patience) {
  constexpr milliseconds kMercy{3000};
  const auto mercy_ends = std::chrono::steady_clock::now() + kMercy;
  while (kill(worker, 0) == 0) {
    if (std::chrono::steady_clock::now() > mercy_ends) {
      kill(worker, SIGKILL);
    }
    patience.pause(kGlance);
  }
}

Answers ask_one_worker(Asker& asker, const std::vector<std::string>& requests, TwinFacts& facts,
                       std::vector<pid_t>& workers) {
  std::vector<std::vector<Asked>> asked(requests.size());
  std::optional<pid_t> worker;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      asked[i].push_back(asker.ask(requests[i]));
      const pid_t pid = asker.complete(asked[i].back());
      if (worker && *worker != pid) {
        throw std::runtime_error(fmt::format(
            "{}: the worker (pid {}) was replaced while it was asked", requests[i], *worker));
      }
      if (!worker) {
        worker = pid;
        const std::vector<AddressRange> memory = memory_of(pid);
        facts.memory = facts.memory.empty() ? memory : common(facts.memory, memory);
      }
      facts.known.push_back(asked[i].back().id);
    }
  }
  workers.push_back(worker.value_or(0));
  Answers answers(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (Asked& one : asked[i]) {
      answers[i].push_back(std::move(one.answer));
    }
  }
  return answers;
}

// What stands in the answer stands in the log too, most often: one value, one finding.
void add_once(std::vector<Finding>& findings, std::vector<Finding> more) {
  const std::size_t before = findings.size();
  for (Finding& finding : more) {
    const auto known =
        std::find_if(findings.begin() + static_cast<std::ptrdiff_t>(before), findings.end(),
                     [&](const Finding& one) {
                       return one.kind == finding.kind && one.evidence == finding.evidence;
                     });
    if (known == findings.end()) {
      findings.push_back(std::move(finding));
    }
  }
}

}  // namespace

int requests_a_worker(const std::vector<std::string>& requests) {
  return static_cast<int>(requests.size()) * kRounds;
}

TwinAnswers ask_twins(AppServer& server, const std::vector<std::string>& requests, int processes,
                      Patience& patience) {
  Asker asker(server, patience);
  TwinAnswers twins;
  twins.facts.load_began = seconds(server.started());
  twins.facts.load_ended = load_ended(server);
  twins.answers.resize(requests.size());
  std::vector<pid_t> asked;
  for (int i = 0; i < processes; ++i) {
    Answers of_one = ask_one_worker(asker, requests, twins.facts, asked);
    for (std::size_t request = 0; request < requests.size(); ++request) {
      twins.answers[request].push_back(std::move(of_one[request]));
    }
    if (i + 1 < processes) {
      wait_until_left(asked.back(), patience);
    }
  }
  return twins;
}

std::vector<Answer> ask_once(AppServer& server, const std::vector<std::string>& requests,
                             Patience& patience) {
  Asker asker(server, patience);
  std::vector<Answer> answers;
  for (const std::string& request : requests) {
    Asked asked = asker.ask(request);
    asker.complete(asked);
    answers.push_back(std::move(asked.answer));
  }
  return answers;
}

std::vector<Finding> compare_workers(const TwinAnswers& twins,
                                     const std::vector<std::string>& requests) {
  std::vector<Finding> findings;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    add_once(findings, compare_twins(requests[i], twins.answers[i], twins.facts));
  }
  return findings;
}

std::vector<Finding> compare_with_other_load(const TwinAnswers& twins,
                                             const std::vector<std::string>& requests,
                                             const std::vector<Answer>& others) {
  std::vector<Finding> findings;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    add_once(findings, compare_loads(requests[i], twins.answers[i], others[i], twins.facts));
  }
  return findings;
}

}  // namespace forktail::doctor
