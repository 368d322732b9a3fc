// The application's shared object as it was when its generation began: a copy in memory that nobody
// can change.
//
// A file that is mapped and then written to, as by `cp` instead of `mv`, ends every process that
// has it mapped, by SIGBUS or by running what is half of another program. Made by the template, and
// inherited by the workers that load the application themselves, who share its pages and are sure
// to have what the others have.
#pragma once

#include <string>

#include "server/os/descriptor.h"

namespace forktail::server {

// Without a descriptor when there can be no copy: the file can not be read, or there is no memory;
// or it would not be found what the file is linked with, beside it ($ORIGIN). Then the file itself
// is to be loaded.
Descriptor copy_app(const std::string& path);

// dlopen() of the copy, which bears the name of `path` from then on: in stack traces, to dladdr(),
// and to debuggers. Without a copy, or when it can not be mapped, of `path` itself. Null as
// dlopen(), with dlerror().
void* open_app(const std::string& path, int copy);

}  // namespace forktail::server
