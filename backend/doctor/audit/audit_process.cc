#include "doctor/audit/audit_process.h"

#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "doctor/audit/audit_files.h"
#include "doctor/audit/filebuf.h"

namespace forktail::doctor {

namespace {

// The objects that a stack goes through, which tell one maker from another.
std::string makers_of(const std::vector<Frame>& stack) {
  std::string text;
  for (const Frame& frame : stack) {
    text += fmt::format("{}+{} ", frame.object, frame.offset);
  }
  return text;
}

std::string signal_name(int number) {
  const char* abbreviation = sigabbrev_np(number);
  return abbreviation == nullptr ? fmt::format("signal {}", number)
                                 : fmt::format("SIG{}", abbreviation);
}

std::string handler_in_words(const HandlerOf& handler) {
  if (handler.function == reinterpret_cast<void*>(SIG_DFL)) {
    return "the default";
  }
  if (handler.function == reinterpret_cast<void*>(SIG_IGN)) {
    return "ignored";
  }
  const Frame frame = frame_of(handler.function);
  return fmt::format("a handler in {}{}{}", frame.object.empty() ? "no known object" : frame.object,
                     frame.symbol.empty() ? "" : ", ", frame.symbol);
}

// What the server does with a signal once the worker has been forked.
void explain_handler(Finding& finding, int number) {
  constexpr std::array kObeyed{SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGINT, SIGHUP};
  constexpr std::array kCrashes{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  if (std::find(kObeyed.begin(), kObeyed.end(), number) != kObeyed.end()) {
    finding.why = "each worker installs the server's own handler over it: it is never called";
    finding.cure = "leave this signal to the server, or take another one in on_worker_start()";
  } else if (std::find(kCrashes.begin(), kCrashes.end(), number) != kCrashes.end()) {
    finding.harm = false;
    finding.why = "the server's report of a crash is not written where a handler stands already";
    finding.cure = "none is needed if it is meant";
  } else {
    finding.why =
        "every worker inherits the handler, but not what it was made for: the thread, the timer "
        "or the pipe of the process that installed it";
    finding.cure = "install it in on_worker_start()";
  }
}

}  // namespace

void compare_threads(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings) {
  struct Group {
    std::vector<Frame> stack;
    std::string name;
    std::string ids;
    int count = 0;
  };
  std::map<std::string, Group> groups;  // a pool's threads have one maker and one name
  for (const auto& [id, name] : after.threads) {
    if (!before.threads.contains(id)) {
      std::vector<Frame> stack = stack_of(Made::thread, id);
      Group& group = groups[name + '\n' + makers_of(stack)];
      group.stack = std::move(stack);
      group.name = name;
      group.ids += fmt::format("{}{}", group.ids.empty() ? "" : ", ", id);
      ++group.count;
    }
  }
  for (auto& [key, group] : groups) {
    findings.push_back(
        {make_finding(Kind::thread, group.name,
                      group.count == 1
                          ? fmt::format("a thread was started while loading: {}", group.name)
                          : fmt::format("{} threads were started while loading: {}", group.count,
                                        group.name),
                      fmt::format("{} {}", group.count == 1 ? "thread" : "threads", group.ids)),
         std::move(group.stack)});
  }
  if (after.async_logging && !before.async_logging) {
    findings.push_back(
        {make_finding(Kind::async_logger, "spdlog",
                      "spdlog's pool for asynchronous logging was made while loading",
                      "spdlog::thread_pool() is set"),
         {}});
    for (const AuditFinding& one : findings) {
      const auto by_pool = [](const Frame& frame) {
        return frame.symbol.find("spdlog") != std::string::npos ||
               frame.object.find("libspdlog") != std::string::npos;
      };
      if (one.finding.kind == Kind::thread &&
          std::any_of(one.stack.begin(), one.stack.end(), by_pool)) {
        findings.back().stack = one.stack;
      }
    }
  }
}

void compare_buffers(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings) {
  for (const auto& [stream, pending] : after.streams) {
    const auto known = before.streams.find(stream);
    if (known != before.streams.end() && known->second.bytes >= pending.bytes) {
      continue;
    }
    const std::string name = name_of(after, pending.descriptor);
    findings.push_back(
        {make_finding(Kind::stdio, name,
                      fmt::format("unwritten bytes are left in a stdio buffer: {}", name),
                      fmt::format("{} bytes, descriptor {}", pending.bytes, pending.descriptor)),
         stack_of(Made::descriptor, pending.descriptor)});
  }
  for (const PendingFilebuf& pending : pending_filebufs()) {
    const std::string name = name_of(after, pending.descriptor);
    findings.push_back(
        {make_finding(Kind::ofstream, name,
                      fmt::format("unwritten bytes are left in a std::ofstream: {}", name),
                      fmt::format("{} bytes, descriptor {}", pending.bytes, pending.descriptor)),
         pending.stack});
  }
}

void compare_timers(const Snapshot& before, const Snapshot& after,
                    std::vector<AuditFinding>& findings) {
  constexpr std::array<const char*, 3> kNames{"ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (after.itimers[i] && !before.itimers[i]) {
      findings.push_back({make_finding(Kind::interval_timer, kNames[i],
                                       fmt::format("a timer was set while loading: {}", kNames[i]),
                                       "getitimer() says that it runs"),
                          stack_of(Made::itimer, static_cast<int>(i))});
    }
  }
  for (const int timer : after.posix_timers) {
    if (std::find(before.posix_timers.begin(), before.posix_timers.end(), timer) !=
        before.posix_timers.end()) {
      continue;
    }
    std::vector<Frame> stack = stack_of(Made::posix_timer, timer);
    if (stack.empty()) {
      stack = stack_of(Made::posix_timer, -1);
    }
    findings.push_back({make_finding(Kind::posix_timer, "", "a POSIX timer was made while loading",
                                     fmt::format("/proc/{}/timers has ID {}", getpid(), timer)),
                        std::move(stack)});
  }
}

void compare_signals(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings) {
  for (int number = 1; number < NSIG; ++number) {
    const HandlerOf& old = before.handlers[static_cast<std::size_t>(number)];
    const HandlerOf& now = after.handlers[static_cast<std::size_t>(number)];
    if (old == now) {
      continue;
    }
    const std::string name = signal_name(number);
    Finding finding = make_finding(
        Kind::signal_handler, name, fmt::format("the action of {} was changed while loading", name),
        fmt::format("was {}, is {}", handler_in_words(old), handler_in_words(now)));
    explain_handler(finding, number);
    findings.push_back({std::move(finding), stack_of(Made::handler, number)});
  }
  if (const std::uint64_t changed = before.blocked ^ after.blocked; changed != 0) {
    std::string names;
    for (int number = 1; number < NSIG; ++number) {
      if ((changed >> (number - 1) & 1) != 0) {
        names += fmt::format("{}{} {}", names.empty() ? "" : ", ", signal_name(number),
                             (after.blocked >> (number - 1) & 1) != 0 ? "blocked" : "unblocked");
      }
    }
    findings.push_back(
        {make_finding(Kind::signal_mask, "",
                      fmt::format("the signal mask was changed while loading: {}", names),
                      fmt::format("was {:016x}, is {:016x}", before.blocked, after.blocked)),
         stack_of(Made::mask, 0)});
  }
}

void compare_mappings(const Snapshot& before, const Snapshot& after,
                      std::vector<AuditFinding>& findings) {
  for (const auto& [begin, mapping] : after.mappings) {
    if (before.mappings.contains(begin)) {
      continue;
    }
    const std::string thing = mapping.path.empty() ? "anonymous" : mapping.path;
    findings.push_back(
        {make_finding(
             Kind::shared_mapping, thing,
             fmt::format("memory was mapped while loading that all workers share: {}", thing),
             fmt::format("{} KiB at {:#x}, writable and shared", mapping.size >> 10, begin)),
         stack_of(Made::mapping, static_cast<std::int64_t>(begin))});
  }
}

void compare_settings(const Snapshot& before, const Snapshot& after,
                      std::vector<AuditFinding>& findings) {
  if (before.libc_random != after.libc_random) {
    Finding finding =
        make_finding(Kind::libc_random, "rand()",
                     "libc's random numbers were seeded or drawn from while loading",
                     "the state of rand(), random() or drand48() is another than before");
    finding.why =
        "other prefork servers give every worker the same numbers from here on; forktail seeds "
        "each worker anew, so a seed that was chosen at load is lost";
    findings.push_back({std::move(finding), stack_of(Made::random, 0)});
  }
  std::set<std::string> names;
  for (const auto* environment : {&before.environment, &after.environment}) {
    for (const auto& [name, value] : *environment) {
      names.insert(name);
    }
  }
  for (const std::string& name : names) {
    const auto old = before.environment.find(name);
    const auto now = after.environment.find(name);
    const bool was = old != before.environment.end();
    const bool is = now != after.environment.end();
    if (was && is && old->second == now->second) {
      continue;
    }
    // Values may be secrets: they are not shown.
    findings.push_back(
        {make_finding(Kind::environment, name,
                      fmt::format("the variable {} was {} while loading", name,
                                  !was ? "set"
                                  : is ? "changed"
                                       : "removed"),
                      fmt::format("its value is {} characters long, and was {}",
                                  is ? now->second.size() : 0, was ? old->second.size() : 0)),
         stack_of(Made::environment, hash_of_name(name.c_str()))});
  }
  if (before.umask != after.umask) {
    findings.push_back(
        {make_finding(Kind::umask, "", "the umask was changed while loading",
                      fmt::format("was {:03o}, is {:03o}", before.umask, after.umask)),
         stack_of(Made::umask, 0)});
  }
}

}  // namespace forktail::doctor
