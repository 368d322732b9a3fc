// What an application implements. A whole one:
//
//   #include <forktail/app.h>
//
//   class Hello : public forktail::App {
//    public:
//     forktail::Response handle(const forktail::Request&, forktail::Context& context) override {
//       return {200, "text/plain", "hello, " + std::string(context.id()) + "\n"};
//     }
//   };
//   FORKTAIL_APP(Hello)
//
// built as a shared object (g++ -shared -fPIC hello.cc $(pkg-config --cflags --libs forktail)) and
// started with `forktail serve --app ./libhello.so --socket /run/hello.sock`.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "forktail/api.h"
#include "forktail/context.h"
#include "forktail/fork_safe.h"
#include "forktail/per_worker.h"
#include "forktail/request.h"
#include "forktail/response.h"
#include "forktail/router.h"

namespace forktail {

// One application. The constructor is the load: it runs once in the template in `preload` mode (so
// what it makes is shared, copy on write, by all workers) and once in each worker in `lazy` and
// `exec` mode. It may throw to refuse to start; the server then says so and keeps the generation
// that it has.
class App {
 public:
  App() = default;
  virtual ~App() =
      default;  // never called by the server: workers end by on_worker_stop() and _exit()
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // In each worker after the fork, before its first request: open what must not be shared (sockets,
  // threads, random generators). May throw: in a generation that starts, that fails the start, or
  // the reload, which keeps the old generation; later the worker ends and is started again with
  // back-off.
  virtual void on_worker_start(const Worker&) {}

  // Answers one request. With `threads` above 1 it is called by several threads at once. An
  // exception becomes a 500 that bears the id; its what() goes to the log, not to the client.
  virtual Response handle(const Request& request, Context& context) = 0;

  // When a request has taken `harakiri`, in a thread of its own, while handle() is still at it: say
  // in the log what it waits for, break off what can be broken off. The worker is killed when the
  // request has not ended within `harakiri-grace`. May throw; that is logged.
  virtual void on_timeout(const Context&) {}

  // In each worker after its last request, on every orderly end.
  virtual void on_worker_stop() {}
};

// The server refuses a shared object whose stamp differs from its own, and says in which part: the
// classes above cross the border by value, so both sides must agree on their layout. Compilers that
// keep to the Itanium C++ ABI and use the same standard library do: g++ and clang are one here.
struct AbiStamp {
  std::uint32_t version;                 // raised with each incompatible change of these headers
  std::uint32_t library;                 // 1: libstdc++, 2: another
  std::uint32_t string_abi;              // _GLIBCXX_USE_CXX11_ABI
  std::array<std::uint32_t, 5> sizes{};  // of the classes that cross, in bytes
};

template <typename... Types>
constexpr std::array<std::uint32_t, sizeof...(Types)> abi_sizes() {
  return {static_cast<std::uint32_t>(sizeof(Types))...};
}

#ifdef __GLIBCXX__
constexpr AbiStamp kAbiStamp{3, 1, _GLIBCXX_USE_CXX11_ABI,
                             abi_sizes<Request, Response, Context, Parameters::iterator, Router>()};
#else
constexpr AbiStamp kAbiStamp{3, 2, 0,
                             abi_sizes<Request, Response, Context, Parameters::iterator, Router>()};
#endif

// What FORKTAIL_APP puts into the shared object under the name `forktail_app_entry`.
struct AppEntry {
  AbiStamp stamp;
  App* (*load)();  // constructs the application; may throw
};

}  // namespace forktail

// The text of a macro: its name when it is not defined.
#define FORKTAIL_TEXT_OF(macro) FORKTAIL_TEXT(macro)
#define FORKTAIL_TEXT(text) #text

#define FORKTAIL_APP(Type)                                               \
  static_assert(sizeof(FORKTAIL_TEXT_OF(SPDLOG_HEADER_ONLY)) > 1,        \
                "forktail needs the compiled spdlog: build with "        \
                "`pkg-config --cflags --libs forktail`, or link "        \
                "forktail::forktail in CMake");                          \
  extern "C" FORKTAIL_API const ::forktail::AppEntry forktail_app_entry; \
  extern "C" const ::forktail::AppEntry forktail_app_entry = {           \
      ::forktail::kAbiStamp, []() -> ::forktail::App* { return new Type(); }};
