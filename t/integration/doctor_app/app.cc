#include <forktail/app.h>

#include "fixture.h"

namespace fixture {

[[gnu::weak]] void at_load() {}
[[gnu::weak]] void at_worker_start() {}
[[gnu::weak]] void at_worker_stop() {}
[[gnu::weak]] std::string answer() { return "hello\n"; }

}  // namespace fixture

namespace {

class Fixture : public forktail::App {
 public:
  Fixture() { fixture::at_load(); }
  void on_worker_start(const forktail::Worker&) override { fixture::at_worker_start(); }
  void on_worker_stop() override { fixture::at_worker_stop(); }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "text/plain", fixture::answer()};
  }
};

}  // namespace

FORKTAIL_APP(Fixture)
