// GET /, GET /sleep/MS: the application that every server of the dispatch bench has.
#include <forktail/app.h>
#include <unistd.h>

#include <charconv>

class Bench : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    constexpr std::string_view kSleep = "/sleep/";
    if (request.path().starts_with(kSleep)) {
      const std::string_view text = request.path().substr(kSleep.size());
      unsigned ms = 0;
      std::from_chars(text.data(), text.data() + text.size(), ms);
      usleep(ms * 1000);
    }
    return {200, "text/plain", "hello\n"};
  }
};

FORKTAIL_APP(Bench)
