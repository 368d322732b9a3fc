// One header field of a request or a response.
#pragma once

#include <string>

namespace forktail {

struct Header {
  std::string name;
  std::string value;
};

}  // namespace forktail
