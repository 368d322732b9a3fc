#include "cli/doctor.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "cli/values.h"
#include "doctor/app/app.h"
#include "doctor/limited.h"
#include "doctor/pid.h"

namespace forktail::cli {

namespace {

constexpr int kCouldNotRun = 2;

struct Options {
  doctor::AppOptions app;
  doctor::PidOptions pid;
  std::vector<std::string> requests;
  std::string probe;
  std::vector<std::string> variables;
  std::string expect;
  bool may_stop_workers = false;
  bool json = false;
};

// Checks all requests before the first is sent: "METHOD PATH", or a path alone.
std::vector<std::string> checked_requests(const std::vector<std::string>& requests) {
  std::vector<std::string> checked;
  for (const std::string& request : requests) {
    const std::size_t blank = request.find(' ');
    const bool alone = blank == std::string::npos;
    const std::string path = alone ? request : request.substr(blank + 1);
    if (!path.starts_with('/') || path.find(' ') != std::string::npos || blank == 0) {
      throw CLI::ValidationError(
          "--request", "\"" + request + "\" is not of the form 'METHOD PATH', like 'GET /token'");
    }
    checked.push_back(alone ? "GET " + path : request);
  }
  return checked;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    throw CLI::ValidationError("--expect", "can not read \"" + path + "\": name a readable file");
  }
  return text;
}

// What stands in the file of --expect fails nobody; what stands there for nothing is told.
void apply_expected(doctor::Report& report, const Options& options) {
  if (options.expect.empty()) {
    return;
  }
  for (const std::string& name : doctor::expected_names(read_file(options.expect))) {
    if (doctor::declare(report.findings, name, "expected in " + options.expect) == 0) {
      report.notes.push_back(fmt::format("{}: nothing has the name \"{}\" (any more): take it out",
                                         options.expect, name));
    }
  }
}

int print(const doctor::Report& report, const Options& options) {
  fmt::print("{}", options.json ? as_json(report) : as_text(report));
  return std::fflush(stdout) == 0 ? exit_code(report) : kCouldNotRun;
}

int examine(const Options& options) {
  try {
    doctor::Report report =
        options.app.app.empty() ? examine_pid(options.pid) : examine_app(options.app);
    apply_expected(report, options);
    return print(report, options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "forktail doctor: {}\n", error.what());
    return kCouldNotRun;
  }
}

// A report all the same when there is none to be had.
int print_failure(const Options& options, std::string why) {
  doctor::Report report;
  report.subject = fmt::format("pid {}", options.pid.master);
  report.failures.push_back(std::move(why));
  return print(report, options);
}

// The kernel may let nobody look at a process for as long as it pleases.
int examine_within_limit(const Options& options) {
  constexpr std::chrono::seconds kLook{30};
  const auto limit = kLook + (options.pid.probe ? options.pid.limit : std::chrono::seconds(0));
  const doctor::Limited limited{
      [&] { return examine(options); },
      [&] {
        return print_failure(
            options, fmt::format("not done within {} s: can the server's processes be looked at?",
                                 std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
      },
      [&](int signal) {
        return print_failure(options,
                             fmt::format("the examination was killed by signal {}", signal));
      }};
  return run_limited(limited, limit);
}

void check_probe(Options& options) {
  if (options.probe.empty()) {
    if (options.pid.master != 0 && !options.requests.empty()) {
      throw CLI::ValidationError("--request", "with --pid it needs --probe: where to send it");
    }
    return;
  }
  if (!options.may_stop_workers) {
    throw CLI::ValidationError(
        "--probe",
        "stops all workers but one for the moment of a request, which is for test environments "
        "alone: where it may, add --i-may-stop-workers");
  }
  if (options.requests.empty()) {
    throw CLI::ValidationError("--probe", "needs a --request, like --request 'GET /token'");
  }
  try {
    options.pid.probe = doctor::parse_target(options.probe);
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError("--probe", error.what());
  }
  for (const std::string& variable : options.variables) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw CLI::ValidationError("--var", "\"" + variable + "\" is not of the form NAME=VALUE");
    }
    options.pid.probe->variables.push_back(
        {variable.substr(0, equals), variable.substr(equals + 1)});
  }
}

int run(Options& options) {
  options.app.requests = options.pid.requests = checked_requests(options.requests);
  check_probe(options);
  if (!options.expect.empty()) {
    read_file(options.expect);  // a wrong name is told at once
  }
  return options.app.app.empty() ? examine_within_limit(options) : examine(options);
}

void add_app_options(CLI::App& command, Options& options, CLI::Option*& app) {
  app =
      command.add_option("--app", options.app.app, "examine the application in this shared object")
          ->type_name("FILE");
  command
      .add_option("--processes", options.app.processes, "how many workers to compare (default 2)")
      ->needs(app)
      ->check(in_range(2, 64))
      ->type_name("N");
  command
      .add_flag("--measure", options.app.measure,
                "and how long it takes to start, and how much memory, in each fork mode")
      ->needs(app);
}

void add_pid_options(CLI::App& command, Options& options, CLI::Option* app) {
  CLI::Option* pid = command
                         .add_option("--pid", options.pid.master,
                                     "examine the running prefork server with this master: uWSGI, "
                                     "gunicorn, php-fpm, Apache, Puma, forktail")
                         ->excludes(app)
                         ->check(in_range(1, 1 << 30))
                         ->type_name("MASTER");
  CLI::Option* probe =
      command
          .add_option("--probe", options.probe,
                      "send the requests to each worker: http://HOST:PORT, https://, fcgi://, or a "
                      "uwsgi socket")
          ->needs(pid)
          ->type_name("URL|SOCKET");
  command
      .add_option("--var", options.variables,
                  "a variable of uwsgi or FastCGI, as DOCUMENT_ROOT=/srv/shop; may be given again")
      ->needs(probe)
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE");
  command
      .add_flag("--i-may-stop-workers", options.may_stop_workers,
                "allow --probe to stop workers for milliseconds: for test environments")
      ->needs(probe);
}

}  // namespace

void add_doctor_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = forktail.add_subcommand(
      "doctor", "what does a fork duplicate, in an application or in a running server?");
  CLI::Option* app = nullptr;
  add_app_options(*command, *options, app);
  add_pid_options(*command, *options, app);
  command
      ->add_option("--request", options->requests,
                   "ask each worker for this, and compare the answers; may be given again")
      ->allow_extra_args(false)
      ->type_name("'METHOD PATH'");
  command
      ->add_option("--expect", options->expect,
                   "a file with the names of findings that are known, one a line")
      ->type_name("FILE");
  command
      ->add_option_function<std::string>(
          "--timeout",
          [options](const std::string& text) {
            options->app.limit = options->pid.limit = parse_duration("timeout", text);
          },
          "how long all of it may take (default 30s)")
      ->type_name("TIME");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "The last line is `preload is safe`, or `use lazy, or mend these N`.\n"
      "Exit code: 0 safe; 1 there are findings; 2 it could not be examined, or a wrong usage.");
  command->callback([options, command, &exit_code] {
    if (command->count("--pid") == 0 && options->app.app.empty()) {
      throw CLI::RequiredError("--app FILE or --pid MASTER");
    }
    exit_code = run(*options);
  });
}

}  // namespace forktail::cli
