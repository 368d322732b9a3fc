// Users and groups by name or number, and becoming one of them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace forktail::server {

struct UserAndGroup {
  uid_t uid;
  gid_t gid;
};

// "USER", "USER:GROUP" or ":GROUP", each a name or a number; what is not given is -1 (leave as it
// is). Throws std::runtime_error naming an unknown one.
UserAndGroup find_user_and_group(const std::string& text);

// Whom `uid` and `gid` (names or numbers, empty: unchanged) mean. The group is `gid`, or else that
// user's own. Throws std::runtime_error for one that does not exist, and for a number without a
// name and a group when this is root: it would go on with root's.
struct Identity {
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
  std::string name = {};  // of the user, whose supplementary groups there are; empty: none
};
Identity find_identity(const std::string& uid, const std::string& gid);

// Makes this process run as that, without any right that it had before, and lets it dump core.
// Throws std::runtime_error.
void become(const Identity& identity);

}  // namespace forktail::server
