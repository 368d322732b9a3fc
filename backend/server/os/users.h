// Users and groups by name or number, and becoming one of them.
#pragma once

#include <sys/types.h>

#include <string>

namespace forktail::server {

struct UserAndGroup {
  uid_t uid;
  gid_t gid;
};

// "USER", "USER:GROUP" or ":GROUP", each a name or a number; what is not given is -1 (leave as it
// is). Throws std::runtime_error naming an unknown one.
UserAndGroup find_user_and_group(const std::string& text);

// Makes this process run as `uid` and `gid` (names or numbers, empty: unchanged), with that user's
// supplementary groups. Throws std::runtime_error.
void become(const std::string& uid, const std::string& gid);

}  // namespace forktail::server
