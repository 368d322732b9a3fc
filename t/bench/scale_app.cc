// GET /: an application whose load takes 100 MB of memory, as a model or a large table does.
#include <forktail/app.h>

#include <vector>

class Large : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    return {200, "text/plain", table_[request.path().size()] == 0 ? "empty\n" : "hello\n"};
  }

 private:
  static constexpr std::size_t kBytes = 100'000'000;
  std::vector<char> table_ = std::vector<char>(kBytes, 'x');
};

FORKTAIL_APP(Large)
