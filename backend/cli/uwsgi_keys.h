// The keys of uWSGI's that an ini for it, or a command line, may well have and forktail does not.
//
// A key that forktail lacks is answered by the first of these that has an answer: the name as it is
// (advice_for_uwsgi_key), an own key that is near (nearest, in cli/ini.h), the way it begins
// (advice_by_prefix). So a misspelt own key, such as `log-formt`, is not taken for one of uWSGI's.
#pragma once

#include <optional>
#include <string>

namespace forktail::cli {

// What to do about `key`, for an INI line and an argument alike: "use `body-limit`", "remove it:
// forktail always does so". Nothing when it is no key of uWSGI's, or one that forktail has as well.
std::optional<std::string> advice_for_uwsgi_key(const std::string& key);

// The same for a key that only begins as uWSGI's do: `http-`, `emperor`, `py`.
std::optional<std::string> advice_by_prefix(const std::string& key);

}  // namespace forktail::cli
