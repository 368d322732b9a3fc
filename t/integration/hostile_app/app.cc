#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "hostile.h"

namespace hostile {

long number(const Parameters& given, std::string_view name, long otherwise) {
  const auto text = given.get(name);
  return text ? std::strtol(text->c_str(), nullptr, 0) : otherwise;
}

namespace {

std::string_view to_string(Harm harm) {
  constexpr std::array<std::string_view, 4> kNames{"none", "lasts", "ends", "hangs"};
  return kNames.at(static_cast<std::size_t>(harm));
}

std::array<std::span<const Misbehaviour>, 11> tables() {
  return {descriptors(), ends(),        forks(),   libraries(), memory(), process(),
          signals(),     standard_io(), threads(), throws(),    times()};
}

std::string catalogue() {
  std::string text;
  for (const auto table : tables()) {
    for (const Misbehaviour& one : table) {
      text.append(one.path).append("\t").append(to_string(one.harm));
      text.append("\t").append(one.what).append("\n");
    }
  }
  return text;
}

Response commit(std::string_view path, const Parameters& given) {
  for (const auto table : tables()) {
    for (const Misbehaviour& one : table) {
      if (one.path == path) {
        return one.commit(given);
      }
    }
  }
  return {404, "text/plain", "GET /catalogue lists what there is\n"};
}

void commit_from_environment(const char* name) {
  if (const char* words = std::getenv(name)) {
    const std::string_view text = words;
    const std::size_t end = std::min(text.find('?'), text.size());
    commit(text.substr(0, end), Parameters(text.substr(std::min(end + 1, text.size()))));
  }
}

class Hostile : public forktail::App {
 public:
  Hostile() { commit_from_environment("HOSTILE_AT_LOAD"); }

  void on_worker_start(const forktail::Worker&) override {
    commit_from_environment("HOSTILE_AT_START");
  }

  Response handle(const forktail::Request& request, forktail::Context& context) override {
    if (request.path() == "/catalogue") {
      return done(catalogue());
    }
    if (request.path() == "/") {  // what a test asks before and after
      return done(std::to_string(getpid()) + "\n");
    }
    if (request.path() == "/log") {
      spdlog::info("plain {}", context.id());
      context.log().info("own {}", context.id());
      return done();
    }
    return commit(request.path(), request.query());
  }

  void on_timeout(const forktail::Context&) override {
    commit_from_environment("HOSTILE_ON_TIMEOUT");
  }

  void on_worker_stop() override { commit_from_environment("HOSTILE_AT_STOP"); }
};

}  // namespace

}  // namespace hostile

FORKTAIL_APP(hostile::Hostile)
