// A generator made at load, whose numbers only the log shows.
#include <spdlog/spdlog.h>

#include <random>

#include "fixture.h"

namespace {

std::mt19937_64 generator(std::random_device{}());

}  // namespace

std::string fixture::answer() {
  spdlog::info("drew {}", generator());
  return "drawn\n";
}
