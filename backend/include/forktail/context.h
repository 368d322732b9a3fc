// Who a request is: its id, its trace, and the worker that serves it.
//
// A Context is a value of a few hundred bytes. Copy it to carry it into another thread, where a
// Scope makes it the current one; the copy stays valid after the request has ended.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/api.h"
#include "forktail/response.h"

namespace spdlog {
class logger;
}

namespace forktail {

enum class ForkMode {
  preload,  // loaded once in the template, before the workers are forked
  lazy,     // loaded in each worker, after the fork
  exec,     // loaded in each worker, after fork and exec: an address space of its own
};

FORKTAIL_API std::string_view to_string(ForkMode mode);

// The worker process that a piece of code runs in.
struct Worker {
  int id = 0;          // 1 to `processes`; a respawned worker has the id of its predecessor
  int generation = 0;  // 1 from start, one more with each reload
  int threads = 1;
  ForkMode mode = ForkMode::preload;
};

// W3C Trace Context (https://www.w3.org/TR/trace-context/); both empty when the request has no
// trace.
struct Trace {
  std::string_view trace_id;  // 32 lowercase hex digits
  std::string_view span_id;   // 16 lowercase hex digits: the span that nginx opened for this server
};

class FORKTAIL_API Context {
 public:
  using Clock = std::chrono::steady_clock;

  // `id` is 1 to 128 characters; `traceparent` is a valid header value or empty.
  Context(std::string_view id, std::string_view traceparent, const Worker& worker,
          Clock::time_point deadline);

  // The request's id, the same as on nginx's lines. Lives as long as this Context.
  [[nodiscard]] std::string_view id() const FORKTAIL_LIFETIMEBOUND {
    return {id_.data(), id_size_};
  }

  [[nodiscard]] Trace trace() const;

  // The logger that spdlog::info() and friends write to as well, and that stays when the
  // application shuts spdlog down: its lines bear the id of the *current* request of the calling
  // thread.
  [[nodiscard]] spdlog::logger& log() const;

  // When the server will give this request up (`harakiri`); time_point::max() when it never will.
  [[nodiscard]] Clock::time_point deadline() const { return deadline_; }

  [[nodiscard]] const Worker& worker() const { return worker_; }

  // The headers that carry this request's id on in an outgoing call: X-Request-ID, and traceparent
  // when there is a trace.
  [[nodiscard]] std::vector<Header> propagate() const;

 private:
  std::array<char, 128> id_;
  std::array<char, 55> traceparent_;
  unsigned char id_size_;
  bool traced_;
  Worker worker_;
  Clock::time_point deadline_;
};

// The context of the request that the calling thread is working for; null outside of a request.
FORKTAIL_API const Context* current() noexcept;

// Makes a context the calling thread's current one until the end of the block:
//
//   std::thread([context] {            // a copy
//     forktail::Scope scope(context);
//     spdlog::info("bears the id");
//   });
//
// Scopes nest; each must end in the thread that began it. `context` must outlive the Scope.
class FORKTAIL_API Scope {
 public:
  explicit Scope(const Context& context) noexcept;
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  const Context* outer_;
};

}  // namespace forktail
