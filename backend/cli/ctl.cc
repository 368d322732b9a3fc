#include "cli/ctl.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "cli/ask.h"
#include "cli/values.h"

namespace forktail::cli {

namespace {

int run(const std::string& control, const std::string& line) {
  constexpr std::string_view kDone = "ok ";
  constexpr std::string_view kFailed = "failed ";
  std::string answer;
  try {
    answer = ask(control, line + "\n", "control", 0);
    while (!answer.empty() && answer.back() == '\n') {
      answer.pop_back();
    }
  } catch (const std::exception& error) {
    answer = fmt::format("{}{}", kFailed, error.what());
  }
  if (answer.starts_with(kDone)) {
    fmt::print("{}\n", answer.substr(kDone.size()));
    return 0;
  }
  fmt::print(stderr, "forktail ctl: {}\n",
             answer.starts_with(kFailed) ? answer.substr(kFailed.size())
                                         : "the server ended before it answered");
  return 1;
}

}  // namespace

void add_ctl_command(CLI::App& forktail, int& exit_code) {
  CLI::App* command =
      forktail.add_subcommand("ctl", "ask a running server for something and wait for the outcome");
  command->require_subcommand(1);
  command->footer("Exit code: 0 done, 1 failed with the reason, 2 the command line is wrong.");
  const auto control = std::make_shared<std::string>();
  command->add_option("-c,--control", *control, "the server's control socket")
      ->envname("FORKTAIL_CONTROL")
      ->required()
      ->type_name("PATH");
  const auto add = [&](const char* verb, const char* help) {
    CLI::App* sub = command->add_subcommand(verb, help);
    sub->fallthrough();
    return sub;
  };
  for (const auto& [verb, help] :
       {std::pair("reload", "start a new generation; done when it serves"),
        std::pair("stop", "answer what has come in, then end"),
        std::pair("reopen", "reopen the logs; done when every worker has"),
        std::pair("upgrade", "start the binary anew, as it is now on disk; done when it serves"),
        std::pair("refork",
                  "fork a new generation from a worker that has served, with what it has cached"),
        std::pair("status", "print the server's state as JSON")}) {
    add(verb, help)->callback([control, name = std::string(verb), &exit_code] {
      exit_code = run(*control, name);
    });
  }
  const auto workers = std::make_shared<int>(0);
  CLI::App* scale = add("scale", "change the number of workers; done when they are ready");
  scale->add_option("workers", *workers)->required()->check(in_range(1, 1000))->type_name("N");
  scale->callback([control, workers, &exit_code] {
    exit_code = run(*control, fmt::format("scale {}", *workers));
  });
  const auto mode = std::make_shared<std::string>();
  CLI::App* switch_mode = add("mode", "switch the fork mode by a reload; done when it serves");
  switch_mode->add_option("mode", *mode)
      ->required()
      ->check(CLI::IsMember({"preload", "lazy", "exec"}))
      ->type_name("preload|lazy|exec");
  switch_mode->callback(
      [control, mode, &exit_code] { exit_code = run(*control, "mode " + *mode); });
}

}  // namespace forktail::cli
