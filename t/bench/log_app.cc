// GET /, GET /talk: an application that says nothing of a request, or five lines.
#include <forktail/app.h>
#include <spdlog/spdlog.h>

class Talker : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/talk") {
      for (int line = 1; line <= 5; ++line) {
        SPDLOG_INFO("order {} of customer {} is {}", line, 4711, "packed and on its way");
      }
    }
    return {200, "text/plain", "hello\n"};
  }
};

FORKTAIL_APP(Talker)
