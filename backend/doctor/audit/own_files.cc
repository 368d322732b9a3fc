#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include "doctor/audit/snapshot.h"

namespace forktail::doctor {

namespace {

constexpr std::string_view kDeletedMark = " (deleted)";

std::string unix_address_in_words(const sockaddr_un& address, socklen_t size) {
  if (size <= offsetof(sockaddr_un, sun_path)) {
    return "unix socket without a name";
  }
  const std::string_view path(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  return path.front() == '\0' ? fmt::format("@{}", path.substr(1))
                              : std::string(path.substr(0, path.find('\0')));
}

std::string address_in_words(const sockaddr_storage& storage, socklen_t size) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(address.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(address.sin6_port));
  }
  if (storage.ss_family == AF_UNIX) {
    return unix_address_in_words(reinterpret_cast<const sockaddr_un&>(storage), size);
  }
  return fmt::format("address family {}", storage.ss_family);
}

void read_socket(OwnFile& file) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (getsockname(file.descriptor, any, &size) == 0) {
    file.family = address.ss_family;
    file.local = address_in_words(address, size);
  }
  size = sizeof(address);
  if (getpeername(file.descriptor, any, &size) == 0) {
    file.peer = address_in_words(address, size);
  }
  int listening = 0;
  size = sizeof(listening);
  if (getsockopt(file.descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0) {
    file.listening = listening != 0;
  }
}

// "lock:  1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF": the three words.
std::string lock_in(std::istringstream& words) {
  std::string number;
  std::string kind;
  std::string force;
  std::string type;
  words >> number >> kind >> force >> type;
  return fmt::format("{} {} {}", kind, force, type);
}

void read_info(OwnFile& file) {
  std::ifstream info(fmt::format("/proc/self/fdinfo/{}", file.descriptor));
  for (std::string line; std::getline(info, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "pos:") {
      words >> file.position;
    } else if (name == "flags:") {
      std::string octal;
      words >> octal;
      file.flags = static_cast<int>(std::strtol(octal.c_str(), nullptr, 8));
    } else if (name == "lock:") {
      file.locks.push_back(lock_in(words));
    }
  }
}

std::string target_of(int descriptor) {
  std::array<char, 4096> target{};
  const std::string link = fmt::format("/proc/self/fd/{}", descriptor);
  const ssize_t size = readlink(link.c_str(), target.data(), target.size());
  return {target.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
}

OwnFile read_file(int descriptor) {
  OwnFile file;
  file.descriptor = descriptor;
  file.target = target_of(descriptor);
  struct stat info {};
  if (fstat(descriptor, &info) == 0) {
    file.mode = info.st_mode;
    file.device = info.st_dev;
    file.inode = info.st_ino;
  }
  file.deleted = S_ISREG(file.mode) && info.st_nlink == 0;
  if (file.deleted && file.target.ends_with(kDeletedMark)) {
    file.target.resize(file.target.size() - kDeletedMark.size());
  }
  if (S_ISSOCK(file.mode)) {
    read_socket(file);
  }
  read_info(file);
  return file;
}

}  // namespace

std::map<int, OwnFile> own_files() {
  std::map<int, OwnFile> files;
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) {
    return files;
  }
  while (const dirent* entry = readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): its own folder
    char* end = nullptr;
    const int descriptor = static_cast<int>(std::strtol(entry->d_name, &end, 10));
    if (*end == '\0' && descriptor != dirfd(folder)) {
      files[descriptor] = read_file(descriptor);
    }
  }
  closedir(folder);
  return files;
}

}  // namespace forktail::doctor
