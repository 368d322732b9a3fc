// The names and values of a query string or of a posted form, decoded as they are read.
//
//   for (const auto& [name, value] : request.query()) { ... }
//   const std::vector<std::string> tags = request.query().all("tag");
//
// Source: application/x-www-form-urlencoded, https://url.spec.whatwg.org/#urlencoded-parsing. What
// comes out are bytes, of any value, in no promised encoding. Nothing that a client sends is an
// error here: a `%` that no two hex digits follow stands for itself.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/api.h"

namespace forktail {

struct Parameter {
  std::string name;
  std::string value;  // empty, too, when there was no `=`
};

// A view: it costs nothing to make and is valid as long as the text that it reads. Only what is
// asked for is decoded, so a hostile form of a million names takes no memory. Each look-up reads
// from the beginning; to take many names from a long form, run through it once.
class FORKTAIL_API Parameters {
 public:
  // Reads forward, once; begin() starts anew.
  class FORKTAIL_API iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Parameter;
    using difference_type = std::ptrdiff_t;

    explicit iterator(std::string_view rest) : rest_(rest) { ++*this; }

    const Parameter& operator*() const { return current_; }
    const Parameter* operator->() const { return &current_; }
    iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return at_end_; }

   private:
    std::string_view rest_;
    Parameter current_;
    bool at_end_ = false;
  };

  Parameters() = default;
  explicit Parameters(std::string_view encoded) : encoded_(encoded) {}

  [[nodiscard]] iterator begin() const { return iterator(encoded_); }
  [[nodiscard]] static std::default_sentinel_t end() { return {}; }
  [[nodiscard]] bool empty() const { return begin() == end(); }

  // The first value of `name`; nothing when there is none.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;

  // Every value of `name`, in the order that they were sent.
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;

 private:
  std::string_view encoded_;
};

}  // namespace forktail
