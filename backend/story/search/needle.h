// Finds a short text in many bytes, as fast as memory gives them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace forktail::story {

class Needle {
 public:
  // 1 to 128 characters.
  explicit Needle(std::string text);

  // Looks at a piece of what is to be searched: which two of its characters stand there together
  // the most seldom? A place is looked at by these first.
  void suit(std::string_view sample);

  // Where it first stands in `bytes` at `from` or behind; npos when it does not.
  [[nodiscard]] std::size_t find(std::string_view bytes, std::size_t from = 0) const;
  [[nodiscard]] std::size_t size() const { return text_.size(); }

 private:
  std::string text_;
  std::size_t first_ = 0;  // the places of its two characters that are looked for
  std::size_t second_ = 0;
};

}  // namespace forktail::story
