// Finds out when lines that an application logs by spdlog would go elsewhere than to the server's
// log, where nobody would miss them: another default logger, or another spdlog within an object.
//
// Used by the thread that loads the application; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace forktail::server {

class ForeignLoggers {
 public:
  // Notes what is loaded already. To be made before the application is.
  ForeignLoggers();

  // What the application has brought, a phrase each; empty when all is as it should be.
  [[nodiscard]] std::vector<std::string> found() const;

 private:
  std::vector<std::uintptr_t> loaded_before_;
};

}  // namespace forktail::server
