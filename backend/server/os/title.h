// What ps and top show of a process.
#pragma once

#include <string>
#include <string_view>

namespace forktail::server {

// "PREFIX forktail: WHAT" in place of the calling process's command line, cut to 255 bytes. For a
// process with one thread; children inherit it.
void set_title(const std::string& prefix, std::string_view what);

}  // namespace forktail::server
