#include "server/child/exec_worker.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "server/child/worker.h"
#include "server/dispatch/orders.h"
#include "server/shared/exec_state.h"
#include "server/shared/logging.h"
#include "server/shared/thrown_by.h"

namespace forktail::server {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ExecWorker, share, worker, channel, log, app_copy, options,
                                   log_path)

namespace {

// All but standard error, which every program has.
std::vector<int> inherited_by(const ExecWorker& self) {
  ShareDescription share = self.share;
  std::vector<int> all = share.listeners;
  for (const int* part : share.parts()) {
    all.push_back(*part);
  }
  all.push_back(self.channel);
  for (const int one : {self.log, self.app_copy}) {
    if (one > STDERR_FILENO) {
      all.push_back(one);
    }
  }
  return all;
}

}  // namespace

std::string exec_worker(const GenerationShare& share, int worker, const Channel& channel) {
  ExecWorker self;
  self.share = ShareDescription(share);
  self.worker = worker;
  self.channel = channel.descriptor();
  self.log = share.sink.descriptor();
  self.app_copy = share.app_copy;
  self.options = share.options.as_ini;
  self.log_path = share.sink.target();

  Descriptor memfd;
  if (const auto thrown = thrown_by([&] {
        memfd = write_exec_state("the worker to its new process", nlohmann::json(self));
      })) {
    return *thrown;
  }
  set_inheritable(memfd.get(), true);
  for (const int fd : inherited_by(self)) {
    set_inheritable(fd, true);
  }
  const std::string number = std::to_string(memfd.get());
  execl("/proc/self/exe", "forktail", "worker", number.c_str(), static_cast<char*>(nullptr));
  return "cannot exec /proc/self/exe: " + std::generic_category().message(errno);
}

ExecWorker read_exec_worker(int descriptor) {
  const Descriptor memfd(descriptor);
  try {
    return read_exec_state(memfd.get()).get<ExecWorker>();
  } catch (const nlohmann::json::exception&) {
    throw std::runtime_error(
        "`forktail worker` is started by the server itself, in exec mode; use `forktail serve`");
  }
}

void run_exec_worker(const ExecWorker& self, Options options) {
  options.logto = self.log_path;
  prctl(PR_SET_NAME, "forktail");  // it is `exe` by now
  for (const int fd : inherited_by(self)) {
    set_inheritable(fd, false);
  }
  reserve({self.share.kept_base, self.share.kept_capacity});
  orders::install_signals();
  const auto sink = inherit_logging(options, self.log);
  const JoinedShare joined(self.share, options, *sink);
  GenerationShare share = joined.share();
  share.app_copy = self.app_copy;
  run_worker(share, self.worker, Channel(Descriptor(self.channel)), nullptr);
}

}  // namespace forktail::server
