#include "cli/ini.h"

#include <fmt/format.h>

#include <algorithm>
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
  bool ours = false;
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
      ours = line == "[forktail]" || line == "[uwsgi]";
      continue;
    }
    if (!ours) {
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      refuse(number, fmt::format("`{}` is no setting: write `key = value`", line));
    }
    const std::string key(trim(line.substr(0, equals)));
    if (options_.get_option_no_throw("--" + key) == nullptr) {
      if (const auto advice = advice_for_uwsgi_key(key)) {
        refuse(number, fmt::format("`{}` is a key of uWSGI's that forktail does not have; {}", key,
                                   *advice));
      }
      const std::string meant = nearest(key, names_of(options_));
      refuse(number, fmt::format("unknown key `{}`{}", key,
                                 meant.empty() ? "; `forktail serve --help` lists the keys"
                                               : fmt::format("; did you mean `{}`?", meant)));
    }
    CLI::ConfigItem item;
    item.name = key;
    item.inputs = {std::string(trim(line.substr(equals + 1)))};
    settings.push_back(std::move(item));
  }
  return settings;
}

void Ini::refuse(int line, const std::string& why) const {
  throw CLI::FileError(fmt::format("{}:{}: {}", file_, line, why));
}

}  // namespace forktail::cli
