#include "doctor/app/measure.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "doctor/app/server.h"
#include "wire/address.h"
#include "wire/client.h"

namespace forktail::doctor {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Enough that each worker has done what it does at its first requests.
constexpr int kWarmUp = 20;

struct Memory {
  std::int64_t proportional_kib = 0;
  std::int64_t private_kib = 0;
};

Memory memory_in_kib(pid_t pid) {
  Memory memory;
  std::ifstream rollup(fmt::format("/proc/{}/smaps_rollup", pid));
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kib = 0;
    words >> name >> kib;
    if (name == "Pss:") {
      memory.proportional_kib = kib;
    } else if (name == "Private_Clean:" || name == "Private_Dirty:") {
      memory.private_kib += kib;
    }
  }
  return memory;
}

// It and all below it.
std::int64_t proportional_kib_of_all(pid_t pid) {
  std::int64_t sum = memory_in_kib(pid).proportional_kib;
  std::ifstream list(fmt::format("/proc/{}/task/{}/children", pid, pid));
  for (pid_t child = 0; list >> child;) {
    sum += proportional_kib_of_all(child);
  }
  return sum;
}

class Measured {
 public:
  Measured(const AppOptions& options, const std::string& app, const std::string& mode,
           Patience& patience)
      : options_(options),
        patience_(patience),
        began_(steady_clock::now()),
        server_({app, mode, options.processes, 0, false}, patience) {}

  // From the start of the program to the end of the first answer.
  double first_response_ms() {
    while (access(server_.socket().c_str(), F_OK) != 0 && server_.alive()) {
      patience_.pause(milliseconds(1));
    }
    ask();
    const std::chrono::duration<double, std::milli> time = steady_clock::now() - began_;
    server_.wait_ready();
    return time.count();
  }

  void warm_up() {
    for (int i = 0; i < kWarmUp * options_.processes; ++i) {
      ask();
    }
  }

  Table::Cell pss_kib() { return proportional_kib_of_all(server_.pid()); }

  Table::Cell private_kib_of_a_worker() {
    std::int64_t sum = 0;
    std::int64_t count = 0;
    for (const auto& [id, pid] : server_.workers()) {
      sum += memory_in_kib(pid).private_kib;
      ++count;
    }
    return count == 0 ? 0 : sum / count;
  }

  // Forks a new generation from a worker that has served. Returns what the server said when it
  // could not.
  std::string refork() {
    const wire::Address address = wire::parse_address(server_.control());
    const int connection = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string answer;
    if (connection >= 0 && connect(connection, address.get(), address.size) == 0) {
      constexpr std::string_view kOrder = "refork\n";
      send(connection, kOrder.data(), kOrder.size(), MSG_NOSIGNAL);
      answer = read_answer(connection);
    }
    close(connection);
    return answer.starts_with("ok ") ? "" : answer.empty() ? "no answer" : answer;
  }

  void stop() { server_.stop(); }

 private:
  void ask() {
    wire::Client client(wire::parse_address(server_.socket()));
    wire::ClientRequest request;
    if (!options_.requests.empty()) {
      const std::string& line = options_.requests.front();
      request.method = line.substr(0, line.find(' '));
      request.uri = line.substr(line.find(' ') + 1);
    }
    try {
      client.request(request, std::max(patience_.left(), milliseconds(1)));
    } catch (const wire::ClientError& error) {
      const std::string said = server_.complaint();
      throw std::runtime_error(said.empty() ? error.what() : said);
    }
  }

  std::string read_answer(int connection) {
    std::string answer;
    std::array<char, 1024> part{};
    for (;;) {
      const ssize_t size = recv(connection, part.data(), part.size(), MSG_DONTWAIT);
      if (size > 0) {
        answer.append(part.data(), static_cast<std::size_t>(size));
      } else if (size == 0) {
        break;
      } else {
        patience_.pause(milliseconds(5));
      }
    }
    while (answer.ends_with('\n')) {
      answer.pop_back();
    }
    return answer;
  }

  const AppOptions& options_;
  Patience& patience_;
  steady_clock::time_point began_;
  AppServer server_;
};

}  // namespace

void measure(Report& report, const AppOptions& options, Patience& patience) {
  const std::string app = std::filesystem::absolute(options.app);
  Table table;
  table.name = fmt::format("start and memory with {} workers", options.processes);
  table.columns = {"mode", "first_response_ms", "pss_kib", "private_kib"};
  for (const char* mode : {"preload", "lazy", "exec"}) {
    try {
      Measured measured(options, app, mode, patience);
      const double first = measured.first_response_ms();
      measured.warm_up();
      table.rows.push_back({mode, first, measured.pss_kib(), measured.private_kib_of_a_worker()});
      if (mode == std::string_view("preload")) {
        if (const std::string failure = measured.refork(); !failure.empty()) {
          report.notes.push_back("not measured after a refork: " + failure);
        } else {
          measured.warm_up();
          table.rows.push_back({"preload, after a refork", "-", measured.pss_kib(),
                                measured.private_kib_of_a_worker()});
        }
      }
      measured.stop();
    } catch (const OutOfPatience&) {
      report.tables.push_back(std::move(table));
      throw;
    } catch (const std::exception& error) {
      report.notes.push_back(fmt::format("not measured in mode {}: {}", mode, error.what()));
    }
  }
  report.notes.push_back(
      "pss_kib is the memory of all the server's processes, shared pages counted once; private_kib "
      "is what one worker has for itself alone. Measured after the first requests");
  report.tables.push_back(std::move(table));
}

}  // namespace forktail::doctor
