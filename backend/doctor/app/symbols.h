// From a call in an object's file to a function's name and a line of source, by debug information
// where there is any.
//
// Owns what it has read of the objects. For one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "doctor/audit/makers.h"

namespace forktail::doctor {

class Symbols {
 public:
  Symbols();
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  struct Place {
    std::string function;      // demangled; empty: not known
    std::string line;          // "shop.cc:12"; empty: no debug information
    bool of_a_header = false;  // of the system's
  };
  Place find(const Frame& frame);

 private:
  struct Objects;
  std::unique_ptr<Objects> objects_;
};

// Who made it, in one line: the library that called the system and, if that is another, the place
// in `app` that called the library. Empty when the stack is.
std::string maker_in_words(const std::vector<Frame>& stack, const std::string& app,
                           Symbols& symbols);

}  // namespace forktail::doctor
