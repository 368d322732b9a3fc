// INI files as uWSGI's users write them, for CLI11.
//
//   ; a comment          # another one
//   [forktail]           or [uwsgi]; other sections are other programs' and are passed over
//   socket = /run/shop.sock
//   env = NAME=a value with blanks
//   lazy-apps = true
//
// A key may come several times where the option may; of another's the last one counts. A value is
// the rest of the line, without the blanks around it. There are no continued lines, and no quotes:
// a value that stands in them is refused. So are placeholders, which uWSGI has, in a [uwsgi]
// section. A flag alone on its line is set.
#pragma once

#include <CLI/CLI.hpp>
#include <istream>
#include <string>
#include <utility>
#include <vector>

namespace forktail::cli {

class Ini : public CLI::Config {
 public:
  // `options` knows the names, `file` is named in messages.
  Ini(const CLI::App& options, std::string file) : options_(options), file_(std::move(file)) {}

  // Throws CLI::FileError naming file, line, and for an unknown key the nearest known one.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

  // Never asked for: nothing here writes a configuration through CLI11.
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

 private:
  [[noreturn]] void refuse_key(int line, const std::string& key) const;
  void check_value(int line, const std::string& key, const std::string& value, bool of_uwsgi) const;
  [[noreturn]] void refuse(int line, const std::string& why) const;

  const CLI::App& options_;
  std::string file_;
};

// The long names of all options of `app`.
std::vector<std::string> names_of(const CLI::App& app);

// The name among `known` that `name` most probably was meant to be; empty when none is near.
std::string nearest(const std::string& name, const std::vector<std::string>& known);

}  // namespace forktail::cli
