// The catalogue of misbehaviours: one path each, by which a test, or chance, asks for it.
//
// GET /catalogue lists them, a line each: path, harm, and what it does, with a TAB between any two.
// A path takes arguments in its query (`/descriptors/close?from=3`). The same words in an
// environment variable make the application misbehave elsewhere: HOSTILE_AT_LOAD, HOSTILE_AT_START,
// HOSTILE_AT_STOP, HOSTILE_ON_TIMEOUT. To add one, write a line in the table of its file.
#pragma once

#include <forktail/app.h>

#include <span>
#include <string>
#include <string_view>

namespace hostile {

// What is left of the worker behind it.
enum class Harm {
  none,   // it answers, and is what it was
  lasts,  // it answers, and serves on as something else: a library, a descriptor, a signal has
          // changed
  ends,   // the worker ends, and the request is lost
  hangs,  // until harakiri
};

using forktail::Parameters;
using forktail::Response;

struct Misbehaviour {
  std::string_view path;
  Harm harm;
  std::string_view what;
  Response (*commit)(const Parameters& given);
};

// The number under `name`, or `otherwise`.
long number(const Parameters& given, std::string_view name, long otherwise);

inline Response done(std::string text = "done\n") { return {200, "text/plain", std::move(text)}; }

// One table a file.
std::span<const Misbehaviour> descriptors();
std::span<const Misbehaviour> ends();
std::span<const Misbehaviour> forks();
std::span<const Misbehaviour> libraries();
std::span<const Misbehaviour> memory();
std::span<const Misbehaviour> process();
std::span<const Misbehaviour> signals();
std::span<const Misbehaviour> standard_io();
std::span<const Misbehaviour> threads();
std::span<const Misbehaviour> throws();
std::span<const Misbehaviour> times();

}  // namespace hostile
