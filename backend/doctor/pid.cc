#include "doctor/pid.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <thread>

#include "doctor/dropped.h"
#include "doctor/memory.h"
#include "doctor/open_file.h"
#include "doctor/probe.h"
#include "doctor/process.h"
#include "doctor/purpose.h"
#include "doctor/server_kind.h"
#include "doctor/shared_files.h"
#include "doctor/socket_table.h"

namespace forktail::doctor {

namespace {

template <typename Thing>
void add_all(std::vector<Thing>& things, std::vector<Thing> more) {
  std::move(more.begin(), more.end(), std::back_inserter(things));
}

std::string purposes_in_words(const std::map<std::string, int>& on_purpose) {
  std::string words;
  for (const auto& [purpose, count] : on_purpose) {
    words += fmt::format("{}{} {}", words.empty() ? "" : ", ", count, purpose);
  }
  return words;
}

// Why the process has no workers to compare.
std::string no_workers(const Process& master) {
  const auto parent = read_process(master.parent);
  const bool is_worker = parent && parent->program == master.program && master.parent > 1;
  return is_worker ? fmt::format("pid {} has no workers: it is one itself, of the master {}?",
                                 master.pid, master.parent)
                   : fmt::format("pid {} ({}) has no workers: no child runs the same program",
                                 master.pid, master.command);
}

void examine(const Family& family, const std::vector<OpenFile>& files, const SocketTable& sockets,
             Report& report) {
  SharedFiles shared = examine_files(family, files, sockets, mapped_inodes(family));
  add_all(report.findings, std::move(shared.findings));
  const int own_threads = has_gunicorn_control(family, files, sockets) ? 1 : 0;
  add_all(report.findings, examine_dropped(family, files, own_threads));
  SharedMappings mappings = examine_mappings(family);
  add_all(report.findings, std::move(mappings.findings));
  report.tables.push_back(memory_table(family));
  if (!shared.on_purpose.empty()) {
    report.notes.push_back("shared on purpose: " + purposes_in_words(shared.on_purpose));
  }
  if (!mappings.note.empty()) {
    report.notes.push_back(mappings.note);
  }
  if (!sockets.problem().empty()) {
    report.notes.push_back("peers of sockets are unknown: " + sockets.problem());
  }
  if (family.workers.size() == 1) {
    report.notes.emplace_back("there is one worker: what it shares with its master is shown");
  }
}

// A server that has just forked its workers is not done: gunicorn starts its control thread last.
std::vector<Process> settled_descendants(pid_t master) {
  constexpr double kSettled = 1;
  constexpr int kMostLooks = 100;
  std::vector<Process> descendants = descendants_of(master);
  for (int i = 0; i < kMostLooks; ++i) {
    double youngest = 0;
    for (const Process& process : descendants) {
      youngest = std::max(youngest, process.started);
    }
    if (seconds_now() - youngest > kSettled) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    descendants = descendants_of(master);
  }
  return descendants;
}

}  // namespace

Report examine_pid(const PidOptions& options) {
  Report report;
  report.subject = fmt::format("pid {}", options.master);
  const std::optional<Process> master = read_process(options.master);
  if (!master || master->state == 'Z') {
    report.failures.push_back(fmt::format(
        "--pid {}: there is no such process: name the pid of a running master", options.master));
    return report;
  }
  std::vector<Process> descendants = settled_descendants(options.master);
  std::vector<pid_t> pids{options.master};
  for (const Process& process : descendants) {
    pids.push_back(process.pid);
  }
  const OpenFiles files = open_files_of(pids);
  const Server server = recognize(*master, files.files);
  const SocketTable sockets = SocketTable::of(options.master);
  const Family family = family_of(*master, descendants, server, files.files, sockets);
  report.subject = fmt::format("{}, master {}, {} workers", facts_of(server).name, options.master,
                               family.workers.size());
  for (const auto& [pid, why] : files.refused) {
    if (pid == options.master || family.is_worker(pid)) {
      report.failures.push_back(fmt::format(
          "{}: be its user, or root; in a container, allow kcmp(2) (--cap-add SYS_PTRACE)", why));
      return report;
    }
  }
  if (family.workers.empty()) {
    report.failures.push_back(no_workers(*master));
    return report;
  }
  examine(family, files.files, sockets, report);
  if (options.probe) {
    Probe probed =
        probe(family, files.files, sockets, *options.probe, options.requests, options.limit);
    add_all(report.findings, std::move(probed.findings));
    add_all(report.notes, std::move(probed.notes));
    add_all(report.failures, std::move(probed.failures));
  }
  return report;
}

}  // namespace forktail::doctor
