#include "server/master/upgrade_old.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "server/os/fork_error.h"

namespace forktail::server {

namespace {

std::vector<int> descriptors_of(const UpgradeDescription& description, int memfd) {
  std::vector<int> all{description.channel, memfd, description.ledger};
  for (const auto* sockets : {&description.listeners, &description.endpoints}) {
    for (const UpgradeDescription::Socket& socket : *sockets) {
      all.push_back(socket.descriptor);
    }
  }
  for (const int descriptor :
       {description.log, description.log_maker, description.pidfile, description.tls_queue_in,
        description.tls_queue_out, description.tls_files}) {
    if (descriptor > STDERR_FILENO) {
      all.push_back(descriptor);
    }
  }
  return all;
}

// As this process had it, but for what was meant for this process alone.
std::vector<std::string> environment_for_new_master(const Program& program, int memfd) {
  std::vector<std::string> environment{fmt::format("FORKTAIL_UPGRADE={}", memfd)};
  for (const std::string& variable : program.environment) {
    const std::string_view text = variable;
    if (text.starts_with("WATCHDOG_PID=")) {
      environment.push_back(fmt::format("WATCHDOG_PID={}", getpid()));
    } else if (!text.starts_with("LISTEN_") && !text.starts_with("FORKTAIL_UPGRADE=")) {
      environment.push_back(variable);
    }
  }
  return environment;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) {
    all.push_back(word.data());
  }
  all.push_back(nullptr);
  return all;
}

// In the forked process. Returns why it could not.
std::string exec_program(const Program& program, const UpgradeDescription& description, int memfd) {
  const std::vector<int> inherited = descriptors_of(description, memfd);
  close_all_but(inherited);
  for (const int descriptor : inherited) {
    set_inheritable(descriptor, true);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const std::string name = program.arguments.empty() ? "" : program.arguments.front();
  if (chdir(program.directory.c_str()) != 0) {
    return fmt::format("cannot change to the directory {}: {}", program.directory,
                       std::generic_category().message(errno));
  }
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = environment_for_new_master(program, memfd);
  // Only a name without a slash is looked for; execvpe() would also run any file as a shell script.
  (name.find('/') == std::string::npos ? execvpe : execve)(name.c_str(), pointers(arguments).data(),
                                                           pointers(environment).data());
  return fmt::format("cannot execute {}: {}", name, std::generic_category().message(errno));
}

}  // namespace

UpgradeOld::UpgradeOld(const Program& program, UpgradeDescription description,
                       std::chrono::milliseconds limit, std::chrono::milliseconds mercy)
    : program_(program),
      description_(std::move(description)),
      limit_(limit),
      mercy_(mercy),
      give_up_at_(Clock::now() + limit) {
  std::tie(channel_, theirs_) = Channel::make();
  description_.channel = theirs_.descriptor();
  memfd_ = write_description(description_);
}

bool UpgradeOld::start() {
  if (kill_at_) {
    pid_ = -1;  // it was given up meanwhile
    return false;
  }
  std::fflush(nullptr);
  pid_ = fork();
  if (pid_ < 0) {
    failure_ = "cannot fork: " + fork_error(errno);
  } else if (pid_ > 0) {
    theirs_.close();
    memfd_.reset();
  }
  return pid_ == 0;
}

void UpgradeOld::become_new_master() {
  theirs_.send({MessageType::start_failed, 0, exec_program(program_, description_, memfd_.get())});
  _exit(1);
}

void UpgradeOld::watch(std::vector<pollfd>& watched) const {
  if (channel_.descriptor() >= 0) {
    watched.push_back({channel_.descriptor(), POLLIN, 0});
  }
}

bool UpgradeOld::read_messages() {
  bool serves = false;
  bool ended = channel_.descriptor() < 0;
  while (!ended) {
    const std::optional<Message> message = channel_.receive(ended);
    if (!message) {
      break;
    }
    if (message->type == MessageType::ready) {
      serves = !kill_at_;  // one that was given up has been told to end
    } else if (message->type == MessageType::start_failed && failure_.empty()) {
      failure_ = message->text;
    }
  }
  if (ended) {
    channel_.close();  // its end is about to be reported
  }
  return serves;
}

std::optional<UpgradeOld::Clock::time_point> UpgradeOld::next_deadline() const {
  return kill_at_ ? *kill_at_ : give_up_at_;
}

void UpgradeOld::act_on_deadlines() {
  const Clock::time_point now = Clock::now();
  if (!kill_at_ && give_up_at_ <= now) {
    give_up(fmt::format("it did not serve within upgrade-timeout ({} ms)", limit_.count()));
  } else if (kill_at_ && *kill_at_ <= now) {
    tell(SIGKILL);
    kill_at_ = now + std::chrono::seconds(1);
  }
}

void UpgradeOld::postpone(Clock::duration missed) {
  give_up_at_ += missed;
  if (kill_at_) {
    *kill_at_ += missed;
  }
}

void UpgradeOld::give_up(const std::string& why) {
  if (failure_.empty()) {
    failure_ = why;
  }
  tell(kill_at_ ? SIGKILL : SIGTERM);
  kill_at_ = kill_at_.value_or(Clock::now() + mercy_);
}

// Never to a number that stands for many processes.
void UpgradeOld::tell(int signal) const {
  if (pid_ > 0) {
    ::kill(pid_, signal);
  }
}

std::string UpgradeOld::failure(const std::string& how) const {
  return failure_.empty() ? "it was " + how : failure_;
}

}  // namespace forktail::server
