// An application whose worker dies now and then, in the middle of a request: each thousandth that a
// worker serves. Nothing of it is in the application's log.
#include <forktail/app.h>
#include <signal.h>
#include <unistd.h>

#include <string>

class Flaky : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request&, forktail::Context& context) override {
    if (++served_ % kEvery == 0) {
      kill(getpid(), SIGKILL);
    }
    return {200, "text/plain", "hello, " + std::string(context.id()) + "\n"};
  }

 private:
  static constexpr int kEvery = 1000;
  int served_ = 0;
};
FORKTAIL_APP(Flaky)
