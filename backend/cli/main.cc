// The program: finds the subcommand and returns its exit code (2 for a wrong usage, whatever the
// command).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/completion.h"
#include "cli/ctl.h"
#include "cli/doctor.h"
#include "cli/ini.h"
#include "cli/logs.h"
#include "cli/request.h"
#include "cli/serve.h"
#include "cli/top.h"
#include "cli/trace.h"
#include "cli/uwsgi_keys.h"
#include "server/os/descriptor.h"

namespace {

// Of an option that `command` does not have: what was probably meant, or what to do instead.
std::string suggestion(const CLI::App& command, const std::string& key) {
  using namespace forktail::cli;
  const bool serves = command.get_name() == "serve" || command.get_name() == "check";
  if (const auto advice = advice_for_uwsgi_key(key); serves && advice) {
    return fmt::format("--{} is an option of uWSGI's that forktail does not have; {}\n", key,
                       *advice);
  }
  if (const std::string meant = nearest(key, names_of(command)); !meant.empty()) {
    return fmt::format("Did you mean --{} instead of --{}?\n", meant, key);
  }
  if (const auto advice = advice_by_prefix(key); serves && advice) {
    return fmt::format("--{} looks like an option of uWSGI's that forktail does not have; {}\n",
                       key, *advice);
  }
  return {};
}

void suggest(const CLI::App& forktail, const std::vector<std::string>& arguments) {
  for (const CLI::App* command : forktail.get_subcommands()) {
    for (const std::string& argument : arguments) {
      const std::string name = argument.substr(0, argument.find('='));
      if (name.starts_with("--") && command->get_option_no_throw(name) == nullptr) {
        fmt::print(stderr, "{}", suggestion(*command, name.substr(2)));
      }
    }
  }
}

int run(int argc, char** argv) {
  using namespace forktail::cli;
  CLI::App forktail("forktail: fork a pool of workers, tail one id through every log", "forktail");
  forktail.set_version_flag("--version", "forktail " FORKTAIL_VERSION);
  forktail.require_subcommand(1);

  constexpr int kUsage = 2;
  int exit_code = 0;
  const std::vector<std::string> arguments(argv + (argc < 2 ? argc : 2), argv + argc);
  add_serve_command(forktail, arguments, exit_code);
  add_check_command(forktail, arguments, exit_code);
  add_worker_command(forktail);
  add_request_command(forktail, exit_code);
  add_ctl_command(forktail, exit_code);
  add_top_command(forktail, exit_code);
  add_trace_command(forktail, exit_code);
  add_slow_command(forktail, exit_code);
  add_errors_command(forktail, exit_code);
  add_at_command(forktail, exit_code);
  add_verify_command(forktail, exit_code);
  add_doctor_command(forktail, exit_code);
  add_completion_command(forktail);
  try {
    forktail.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    forktail.exit(error);
    suggest(forktail, arguments);
    return kUsage;
  } catch (const CLI::ParseError& error) {
    return forktail.exit(error) == 0 ? 0 : kUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  forktail::server::open_standard();
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "forktail: %s\n", error.what());
    return 1;
  }
}
