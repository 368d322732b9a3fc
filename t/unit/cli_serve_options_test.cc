#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "cli/serve_options.h"
#include "gtest/gtest.h"

namespace forktail::cli {
namespace {

struct Shown {
  std::string setting;  // name = value
  bool is_example;      // and no default
};

// What conf/forktail.ini shows behind semicolons: a line of its comments that ends in "For
// example:" tells that the settings behind it are no defaults.
std::vector<Shown> settings_of_the_example() {
  std::ifstream file(FORKTAIL_SOURCE "/conf/forktail.ini");
  std::vector<Shown> found;
  const std::regex setting("^;([a-z][a-z-]+ = .*)$");
  std::string before;
  for (std::string line; std::getline(file, line); before = line) {
    std::smatch match;
    if (std::regex_match(line, match, setting)) {
      const bool is_example = before.ends_with("example:");
      found.push_back({match[1], is_example});
    }
  }
  return found;
}

server::Options with(const std::string& setting) {
  server::Options options = read_options_text("[forktail]\n" + setting + "\n");
  options.as_ini.clear();
  return options;
}

TEST(ForktailIni, HasManyDefaultsAndManyExamples) {
  int examples = 0;
  for (const Shown& shown : settings_of_the_example()) {
    examples += shown.is_example ? 1 : 0;
  }
  EXPECT_GT(examples, 15);
  EXPECT_GT(static_cast<int>(settings_of_the_example().size()) - examples, 15);
}

TEST(ForktailIni, ShowsAsDefaultWhatChangesNothing) {
  for (const Shown& shown : settings_of_the_example()) {
    if (!shown.is_example) {
      EXPECT_TRUE(with(shown.setting) == with("")) << shown.setting << ": is no default";
    }
  }
}

TEST(ForktailIni, ShowsAsExampleWhatChangesSomething) {
  for (const Shown& shown : settings_of_the_example()) {
    if (shown.is_example) {
      EXPECT_FALSE(with(shown.setting) == with("")) << shown.setting << ": is the default";
    }
  }
}

}  // namespace
}  // namespace forktail::cli
