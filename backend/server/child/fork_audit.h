// `fork-audit`: says at each load what the fork of the loaded process will duplicate.
//
// In the template, by its one thread.
#pragma once

#include "forktail/app.h"
#include "log/sink.h"
#include "server/shared/options.h"

namespace forktail::server {

// Loads the application as load_app() does, and logs each finding that counts and how to silence
// it. Throws as load_app() does, and with `fork-audit = fail` when something was found.
App& load_and_audit(const Options& options, int copy, log::Sink& sink);

}  // namespace forktail::server
