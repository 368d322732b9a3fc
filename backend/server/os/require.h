// What must hold of the memory that processes share: required by who writes it, and again by the
// other one that reads it.
//
// For workers, whose end costs the requests that they have: what is not met ends the process by
// SIGABRT, and its crash line says what it was. The master asks the same of what workers can write,
// and decides by the answer; it requires nothing.
#pragma once

namespace forktail::server {

// `what` must be a literal: it is read while the process dies.
void require(bool met, const char* what) noexcept;

// What was not met in this process; null when all was. For a signal handler.
const char* unmet() noexcept;

}  // namespace forktail::server
