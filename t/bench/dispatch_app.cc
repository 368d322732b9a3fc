// GET /, /sleep/MS, /bytes/N, and POST /: the application that every server of the benches has.
#include <forktail/app.h>
#include <unistd.h>

#include <charconv>
#include <string>

class Bench : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (const auto ms = number_after("/sleep/", request.path())) {
      usleep(ms * 1000);
    } else if (const auto size = number_after("/bytes/", request.path())) {
      return {200, "text/plain", std::string(size, 'x')};
    }
    return {200, "text/plain", "hello\n"};
  }

 private:
  static unsigned number_after(std::string_view prefix, std::string_view path) {
    unsigned number = 0;
    if (path.starts_with(prefix)) {
      std::from_chars(path.data() + prefix.size(), path.data() + path.size(), number);
    }
    return number;
  }
};

FORKTAIL_APP(Bench)
