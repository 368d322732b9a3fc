// The keys of uWSGI's that an ini for it may well have and forktail does not.
#pragma once

#include <optional>
#include <string>

namespace forktail::cli {

// What to do about `key`: "remove the line: there always is a master". Nothing when it is no key of
// uWSGI's, or one that forktail has as well.
std::optional<std::string> advice_for_uwsgi_key(const std::string& key);

}  // namespace forktail::cli
