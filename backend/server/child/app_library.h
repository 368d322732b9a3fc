// Loads an application: dlopen of its shared object, the stamp check, and its constructor.
#pragma once

#include <string>

#include "forktail/app.h"
#include "log/sink.h"

namespace forktail::server {

// Loads the shared object `path`, or its `copy` (app_image.h) if there is one, and constructs its
// App. Throws std::runtime_error that names the
// file, what is wrong and the cure; an exception of the application's constructor is passed on in
// one. Neither is ever unloaded: a worker ends without running the application's destructors.
App& load_app(const std::string& path, int copy = -1);

// The same, for a process that is to serve: says in the log when lines of the application would not
// come there.
App& load_app(const std::string& path, int copy, log::Sink& sink);

}  // namespace forktail::server
