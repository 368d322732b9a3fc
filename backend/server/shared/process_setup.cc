#include "server/shared/process_setup.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "server/os/limits.h"
#include "server/os/signals.h"

namespace forktail::server {

namespace {

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur =
      std::max(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, limits::kEnoughDescriptors));
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Identity identity_of_workers(const Options& options) {
  Identity identity = find_identity(options.uid, options.gid);
  if (geteuid() == 0 && identity.uid.value_or(0) == 0 && !options.allow_root) {
    throw std::runtime_error(
        "refuses to run the application as root: name its user with `uid`, or say "
        "`allow-root = true`");
  }
  return identity;
}

void prepare_process(const Options& options) {
  undo_inherited_signals();
  disregard(signals_of_writes());
  raise_descriptor_limit();
  apply_umask(options);
}

void change_directory(const Options& options) {
  if (!options.chdir.empty() && chdir(options.chdir.c_str()) != 0) {
    throw std::runtime_error(fmt::format("cannot change to the directory {} (chdir): {}",
                                         options.chdir, std::generic_category().message(errno)));
  }
}

}  // namespace forktail::server
