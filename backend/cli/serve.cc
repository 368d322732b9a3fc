#include "cli/serve.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/serve_options.h"
#include "server/child/exec_worker.h"
#include "server/master/serve.h"
#include "server/master/systemd_sockets.h"

namespace forktail::cli {

namespace {

struct Unread {
  server::Options options;
  std::string file;
};

}  // namespace

void add_serve_command(CLI::App& forktail, const std::vector<std::string>& arguments,
                       int& exit_code) {
  CLI::App* command = forktail.add_subcommand("serve", "run the prefork server");
  // These are for --help and for refusing what is unknown; read_serve_options() reads the values.
  const auto unread = std::make_shared<Unread>();
  declare_config_option(*command, unread->file);
  declare_serve_options(*command, unread->options);
  command->footer(
      "Exit code: 0 it was told to stop and has, 1 it could not start or go on, 2 the command "
      "line\n"
      "or the file is wrong.");
  command->callback([unread, &arguments, &exit_code] {
    const std::string directory = std::filesystem::current_path().string();
    const bool handed_over = server::sockets_are_handed_over();
    const auto read_options = [arguments, directory, handed_over] {
      return read_serve_options(arguments, directory, handed_over);
    };
    server::Options options = read_options();
    try {
      exit_code = server::serve(std::move(options), read_options);
    } catch (const std::exception& error) {
      fmt::print(stderr, "forktail serve: {}\n", error.what());
      exit_code = 1;
    }
  });
}

void add_check_command(CLI::App& forktail, const std::vector<std::string>& arguments,
                       int& exit_code) {
  CLI::App* command = forktail.add_subcommand("check", "test a configuration without serving");
  const auto unread = std::make_shared<Unread>();
  declare_config_option(*command, unread->file);
  declare_serve_options(*command, unread->options);
  command->footer(
      "Exit code: 0 the configuration is good, 1 it is not, 2 the command line is wrong.");
  command->callback([unread, &arguments, &exit_code] {
    try {
      const server::Options options =
          read_serve_options(arguments, std::filesystem::current_path().string(), true);
      server::check(options);
      fmt::print("forktail check: the configuration is good{}\n",
                 options.sockets.empty() ? ", if systemd hands over a socket; it names none" : "");
    } catch (const std::exception& error) {
      fmt::print(stderr, "forktail check: {}\n", error.what());
      exit_code = 1;
    }
  });
}

void add_worker_command(CLI::App& forktail) {
  CLI::App* command = forktail.add_subcommand("worker", "");
  command->group("");  // not in --help
  const auto descriptor = std::make_shared<int>(-1);
  command->add_option("descriptor", *descriptor)->required();
  command->callback([descriptor] {
    const server::ExecWorker self = server::read_exec_worker(*descriptor);
    server::run_exec_worker(self, read_options_text(self.options));
  });
}

}  // namespace forktail::cli
