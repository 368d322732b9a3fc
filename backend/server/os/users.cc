#include "server/os/users.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace forktail::server {

namespace {

std::optional<id_t> number(const std::string& text) {
  id_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

struct FoundUser {
  std::string name;  // empty for a number that has no name
  uid_t uid;
  std::optional<gid_t> primary_group;
};

FoundUser find_user(const std::string& text) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer;
  const std::optional<id_t> uid = number(text);
  if (uid) {
    getpwuid_r(*uid, &entry, buffer.data(), buffer.size(), &found);
  } else {
    getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found != nullptr) {
    return {entry.pw_name, entry.pw_uid, entry.pw_gid};
  }
  if (!uid) {
    throw std::runtime_error(fmt::format("there is no user `{}`", text));
  }
  return {"", *uid, std::nullopt};
}

gid_t find_group(const std::string& text) {
  if (const std::optional<id_t> gid = number(text)) {
    return *gid;
  }
  group entry{};
  group* found = nullptr;
  std::array<char, 16384> buffer;
  getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    throw std::runtime_error(fmt::format("there is no group `{}`", text));
  }
  return entry.gr_gid;
}

[[noreturn]] void refuse(const char* call, const std::string& whom) {
  throw std::runtime_error(
      fmt::format("cannot become {}: {}: {}", whom, call, std::generic_category().message(errno)));
}

}  // namespace

UserAndGroup find_user_and_group(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : text.substr(colon + 1);
  constexpr auto kUnchanged = static_cast<id_t>(-1);
  return {user.empty() ? kUnchanged : find_user(user).uid,
          group.empty() ? kUnchanged : find_group(group)};
}

Identity find_identity(const std::string& uid, const std::string& gid) {
  Identity identity;
  if (!uid.empty()) {
    const FoundUser user = find_user(uid);
    identity.uid = user.uid;
    identity.gid = user.primary_group;
    identity.name = user.name;
  }
  if (!gid.empty()) {
    identity.gid = find_group(gid);
  }
  if (identity.uid && !identity.gid && getuid() == 0) {
    throw std::runtime_error(
        fmt::format("uid {} is no user that this system knows, so it has no group, and would keep "
                    "root's: name one with `gid`",
                    uid));
  }
  return identity;
}

void become(const Identity& identity) {
  const std::string whom = fmt::format("uid {}, gid {}", identity.uid ? *identity.uid : getuid(),
                                       identity.gid ? *identity.gid : getgid());
  if (!identity.uid && !identity.gid) {
    return;
  }
  if (getuid() == 0) {
    const bool dropped = !identity.name.empty() && identity.gid
                             ? initgroups(identity.name.c_str(), *identity.gid) == 0
                             : setgroups(0, nullptr) == 0;
    if (!dropped) {
      refuse("setgroups", whom);
    }
  }
  if (identity.gid && setgid(*identity.gid) != 0) {
    refuse("setgid", whom);
  }
  if (identity.uid && setuid(*identity.uid) != 0) {
    refuse("setuid", whom);
  }
  // Who has been another user leaves no core dump otherwise, and nobody may look at its memory, not
  // even this server, which tells how much that is. One that holds a key hides it itself.
  prctl(PR_SET_DUMPABLE, 1);
}

}  // namespace forktail::server
