#include "cli/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

namespace forktail::cli {
namespace {

// `@` stands where the tables go: the commands' names, the values of options, the words of
// commands.
constexpr std::string_view kFrame =
    R"(# Completes forktail's commands and options. Made by `forktail completion bash`; it runs nothing.
_forktail() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= i
    # bash takes --option=value for three words.
    [[ $word != = ]] || word=
    [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD-2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case $command/${COMP_WORDS[i]} in
@            command+=/${COMP_WORDS[i]} ;;
        esac
    done
    _forktail_choose() { COMPREPLY=($(compgen -W "$1" -- "$word")); }
    COMPREPLY=()
    case $command:$before in
@@    esac
    case $command in
@    esac
    if [[ $word == -* || $words != -* ]]; then
        _forktail_choose "$words"
    else
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}
complete -F _forktail forktail
)";

bool is_hidden(const CLI::App& command) { return command.get_group().empty(); }

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App* one) { return !is_hidden(*one); })) {
    commands.push_back(command);
  }
  return commands;
}

std::vector<std::string> names_of_option(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) {
    names.push_back("--" + name);
  }
  for (const std::string& name : option.get_snames()) {
    names.push_back("-" + name);
  }
  return names;
}

// A type's name without what its checks add to it: "N:INT in [1 - 64]".
std::string type_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

// The words of a type that is spelled as them: "preload|lazy|exec". Of "URL|SOCKET", none.
std::string words_of_type(std::string type) {
  const bool lists = std::all_of(type.begin(), type.end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || c == '|'; });
  std::replace(type.begin(), type.end(), '|', ' ');
  return lists ? type : std::string();
}

bool is_file(const std::string& type) {
  return type.starts_with("FILE") || type.starts_with("PATH") || type == "DIR";
}

struct Tables {
  std::string commands;
  std::string values;       // of options that have a few
  std::string free_values;  // the options that take what nobody can guess
  std::string words;
};

void append(std::string& alternatives, const std::string& one) {
  alternatives += alternatives.empty() ? "        " : " | \\\n        ";
  alternatives += one;
}

// What follows an option that takes a value.
void add_values(Tables& tables, const std::string& path, const CLI::Option& option) {
  const std::string type = type_of(option);
  if (option.get_expected_max() == 0 || is_file(type)) {
    return;
  }
  const std::string values = words_of_type(type);
  for (const std::string& name : names_of_option(option)) {
    const std::string place = fmt::format("{}:{}", path, name);
    if (values.empty()) {
      append(tables.free_values, place);
    } else {
      tables.values +=
          fmt::format("        {}) _forktail_choose \"{}\"; return ;;\n", place, values);
    }
  }
}

void add_command(Tables& tables, const CLI::App& app, const std::string& path) {
  std::string words;
  for (const CLI::App* command : commands_of(app)) {
    const std::string below = path + "/" + command->get_name();
    append(tables.commands, below);
    words += command->get_name() + " ";
    add_command(tables, *command, below);
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      words += words_of_type(type_of(*option)) + " ";
    }
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : names_of_option(*option)) {
      words += name + " ";
    }
    if (option->nonpositional()) {
      add_values(tables, path, *option);
    }
  }
  words.erase(0, words.find_first_not_of(' '));
  tables.words += fmt::format("        \"{}\") words=\"{}\" ;;\n", path, words);
}

}  // namespace

std::string bash_completion(const CLI::App& forktail) {
  Tables tables;
  add_command(tables, forktail, "");
  std::string script(kFrame);
  std::size_t at = 0;
  for (const std::string& table : {tables.commands + ")\n", tables.values,
                                   tables.free_values + ") return ;;\n", tables.words}) {
    at = script.find('@', at);
    script.replace(at, 1, table);
    at += table.size();
  }
  return script;
}

void add_completion_command(CLI::App& forktail) {
  CLI::App* command = forktail.add_subcommand(
      "completion", "print what makes a shell complete forktail's commands and options");
  command->add_option("shell")->required()->check(CLI::IsMember({"bash"}))->type_name("bash");
  command->footer(
      "In a shell: . <(forktail completion bash). An installed forktail has it in place.\n"
      "Exit code: 0 printed, 2 the command line is wrong.");
  command->callback([&forktail] { fmt::print("{}", bash_completion(forktail)); });
}

}  // namespace forktail::cli
