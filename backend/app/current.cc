// The calling thread's request: the one piece of state that a log line reaches for.
#include "forktail/context.h"

namespace forktail {

namespace {
thread_local const Context* current_context = nullptr;
}  // namespace

const Context* current() noexcept { return current_context; }

Scope::Scope(const Context& context) noexcept : outer_(current_context) {
  current_context = &context;
}

Scope::~Scope() { current_context = outer_; }

}  // namespace forktail
