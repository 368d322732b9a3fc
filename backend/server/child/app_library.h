// Loads an application: dlopen of its shared object, the stamp check, and its constructor.
#pragma once

#include <string>

#include "forktail/app.h"

namespace forktail::server {

// Loads the shared object `path` and constructs its App. Throws std::runtime_error that names the
// file, what is wrong and the cure; an exception of the application's constructor is passed on in
// one. Neither is ever unloaded: a worker ends without running the application's destructors.
App& load_app(const std::string& path);

}  // namespace forktail::server
