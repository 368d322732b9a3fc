#include "cli/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "cli/uwsgi_keys.h"

namespace forktail::cli {

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

bool is_flag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

// From end to end, as other programs' files have it.
bool in_quotes(std::string_view value) {
  return value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
         value.front() == value.back();
}

// What uWSGI would fill in: %(name), $(VARIABLE), @(file), and letters behind a % such as %n
// (https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html#magic-variables).
std::string_view find_placeholder(std::string_view value) {
  constexpr std::string_view kLetters = "vVhtToOfsSpPxXdDeEnNcauUgGijk";
  for (std::size_t at = 0; at + 1 < value.size(); ++at) {
    const bool name = value[at + 1] == '(' && std::string_view("%$@").find(value[at]) != value.npos;
    if (name) {
      return value.substr(at, std::min(value.find(')', at), value.size() - 1) - at + 1);
    }
    if (value[at] == '%' && kLetters.find(value[at + 1]) != value.npos) {
      return value.substr(at, 2);
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    const auto& own = option->get_lnames();
    names.insert(names.end(), own.begin(), own.end());
  }
  return names;
}

std::string nearest(const std::string& name, const std::vector<std::string>& known) {
  const auto found = std::min_element(
      known.begin(), known.end(),
      [&](const auto& a, const auto& b) { return distance(name, a) < distance(name, b); });
  const std::size_t tolerated = std::max<std::size_t>(2, name.size() / 3);
  return found != known.end() && distance(name, *found) <= tolerated ? *found : std::string();
}

std::vector<CLI::ConfigItem> Ini::from_config(std::istream& input) const {
  std::vector<CLI::ConfigItem> settings;
  std::map<const CLI::Option*, std::size_t> places;  // in `settings`: an option can have more names
  bool in_section = false;
  bool of_uwsgi = false;
  bool ours = false;
  bool found = false;
  int number = 0;
  for (std::string text; std::getline(input, text);) {
    ++number;
    const std::string_view line = trim(text);
    if (line.empty() || line.front() == ';' || line.front() == '#') {
      continue;
    }
    if (line.front() == '[') {
      if (line.back() != ']') {
        refuse(number, fmt::format("`{}` is no section: it lacks the closing ]", line));
      }
      in_section = true;
      of_uwsgi = line == "[uwsgi]";
      ours = of_uwsgi || line == "[forktail]";
      found = found || ours;
      continue;
    }
    if (!in_section) {
      refuse(number,
             fmt::format("`{}` stands before the first section: begin with [forktail]", line));
    }
    if (!ours) {
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string key(trim(line.substr(0, equals)));
    const CLI::Option* option = options_.get_option_no_throw("--" + key);
    if (option == nullptr) {
      refuse_key(number, key);
    }
    if (equals == std::string_view::npos && !is_flag(*option)) {
      refuse(number, fmt::format("`{}` is no setting: write `key = value`", line));
    }
    const std::string value(equals == std::string_view::npos ? "true"
                                                             : trim(line.substr(equals + 1)));
    check_value(number, key, value, of_uwsgi);
    const auto [place, fresh] = places.try_emplace(option, settings.size());
    if (fresh) {
      settings.emplace_back();
      settings.back().name = key;
    }
    // The parser takes one item an option.
    std::vector<std::string>& values = settings[place->second].inputs;
    if (option->get_items_expected_max() <= 1) {
      values.clear();  // the last one counts
    }
    values.push_back(value);
  }
  if (!found) {
    throw CLI::FileError(fmt::format("{}: has no section [forktail] or [uwsgi]", file_));
  }
  return settings;
}

void Ini::refuse_key(int line, const std::string& key) const {
  if (const auto advice = advice_for_uwsgi_key(key)) {
    refuse(line,
           fmt::format("`{}` is a key of uWSGI's that forktail does not have; {}", key, *advice));
  }
  const std::string meant = nearest(key, names_of(options_));
  if (const auto advice = advice_by_prefix(key); meant.empty() && advice) {
    refuse(line, fmt::format("`{}` looks like a key of uWSGI's that forktail does not have; {}",
                             key, *advice));
  }
  refuse(line, fmt::format("unknown key `{}`{}", key,
                           meant.empty() ? "; `forktail serve --help` lists the keys"
                                         : fmt::format("; did you mean `{}`?", meant)));
}

void Ini::check_value(int line, const std::string& key, const std::string& value,
                      bool of_uwsgi) const {
  if (in_quotes(value)) {
    refuse(line, fmt::format("the value of `{}` is in quotes, which would be a part of it: "
                             "write it without, {} = {}",
                             key, key, value.substr(1, value.size() - 2)));
  }
  if (const auto placeholder = find_placeholder(value); of_uwsgi && !placeholder.empty()) {
    refuse(line, fmt::format("`{}` has a placeholder, `{}`, which forktail does not fill in: "
                             "write what it stands for",
                             key, placeholder));
  }
}

void Ini::refuse(int line, const std::string& why) const {
  throw CLI::FileError(fmt::format("{}:{}: {}", file_, line, why));
}

}  // namespace forktail::cli
