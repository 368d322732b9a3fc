// What may be thrown besides a decent exception.
#include <pthread.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "hostile.h"

namespace hostile {

namespace {

class Speechless : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};

// Throws again when the one who caught it lets go of it.
struct Bomb {
  Bomb() = default;
  Bomb(const Bomb&) {}
  ~Bomb() noexcept(false) {
    if (std::uncaught_exceptions() == 0) {
      throw std::runtime_error("out of a destructor");
    }
  }
};

std::string binary_text() {
  std::string text("\xff\xfe{\"ts\":\"forged\"}\n\x1b[2J\r\n");
  text.push_back('\0');
  return text + "behind a zero";
}

Response stream(void (*produce)(forktail::Writer&)) {
  return Response::stream(200, "text/plain", produce);
}

int number_of(const std::string& text) noexcept { return std::stoi(text); }

constexpr Misbehaviour kTable[] = {
    {"/throw/exception", Harm::none, "a std::runtime_error",
     [](const Parameters&) -> Response { throw std::runtime_error("as was to be expected"); }},
    {"/throw/int", Harm::none, "an int", [](const Parameters&) -> Response { throw 7; }},
    {"/throw/pointer", Harm::none, "a null pointer",
     [](const Parameters&) -> Response { throw static_cast<const char*>(nullptr); }},
    {"/throw/null-what", Harm::none, "an exception whose what() is null",
     [](const Parameters&) -> Response { throw Speechless(); }},
    {"/throw/long-what", Harm::none, "an exception whose what() has a megabyte",
     [](const Parameters&) -> Response { throw std::runtime_error(std::string(1 << 20, 'w')); }},
    {"/throw/binary-what", Harm::none, "an exception whose what() would forge lines",
     [](const Parameters&) -> Response { throw std::runtime_error(binary_text()); }},
    {"/throw/bomb", Harm::none, "something whose destructor throws",
     [](const Parameters&) -> Response { throw Bomb(); }},
    {"/throw/nested", Harm::none, "an exception within an exception",
     [](const Parameters&) -> Response {
       try {
         throw std::runtime_error("inner");
       } catch (const std::exception&) {
         std::throw_with_nested(std::logic_error("outer"));
       }
     }},
    {"/throw/in-stream", Harm::none, "an int, before the first byte of a stream",
     [](const Parameters&) { return stream([](forktail::Writer&) { throw 7; }); }},
    {"/throw/in-begun-stream", Harm::none, "a null what(), within a stream",
     [](const Parameters&) {
       return stream([](forktail::Writer& writer) {
         writer.write("begun");
         throw Speechless();
       });
     }},
    {"/throw/bad-response", Harm::none, "no exception: a header that would split the response",
     [](const Parameters&) { return done().add_header("X-Split", "a\r\nSet-Cookie: b"); }},
    {"/throw/pthread-exit", Harm::ends, "pthread_exit(), which unwinds like an exception",
     [](const Parameters&) -> Response { pthread_exit(nullptr); }},
    {"/throw/in-thread", Harm::ends, "an int, out of a thread: std::terminate()",
     [](const Parameters&) {
       std::thread([] { throw 7; }).join();
       return done();
     }},
    {"/throw/from-noexcept", Harm::ends,
     "an exception, out of a noexcept function: std::terminate()",
     [](const Parameters&) { return done(std::to_string(number_of("none"))); }},
};

}  // namespace

std::span<const Misbehaviour> throws() { return kTable; }

}  // namespace hostile
