// nginx's log_format, used backwards: from a line to the values of its variables.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "story/read/json_pairs.h"

namespace forktail::story {

class AccessFormat {
 public:
  // `text` is what stands behind the name in a log_format directive, without quotes and `escape=`.
  AccessFormat(std::string name, std::string_view text);

  // The variables of `line`, in their order; none when it is not of this format.
  [[nodiscard]] std::optional<std::vector<Pair>> match(std::string_view line) const;
  [[nodiscard]] const std::string& name() const { return name_; }
  // One that is JSON or LTSV tells its names itself.
  [[nodiscard]] bool names_itself() const;

 private:
  struct Part {
    std::string literal;   // stands before
    std::string variable;  // the last part has none
  };
  std::string name_;
  std::vector<Part> parts_;
};

using AccessFormats = std::vector<AccessFormat>;

// nginx's `combined`, with and without what people append to it, and ingress-nginx's.
AccessFormats known_formats();

// The log_formats of an nginx configuration and the files that it includes. What can not be read is
// left out, and told in `trouble`.
AccessFormats formats_of_configuration(const std::string& path, std::string& trouble);

}  // namespace forktail::story
