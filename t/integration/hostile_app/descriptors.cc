// Descriptors: those of others closed, too many of one's own.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

std::vector<int> open_descriptors() {
  std::vector<int> all;
  if (DIR* folder = opendir("/proc/self/fd")) {
    while (const dirent* entry = readdir(folder)) {
      const int descriptor = std::atoi(entry->d_name);
      if (entry->d_name[0] != '.' && descriptor != dirfd(folder)) {
        all.push_back(descriptor);
      }
    }
    closedir(folder);
  }
  return all;
}

int first_of(const Parameters& given) { return static_cast<int>(number(given, "from", 3)); }

// Opens anonymous files until there are `count`, or no more can be had.
std::vector<int> open_many(long count) {
  std::vector<int> all;
  for (long i = 0; i < count; ++i) {
    const int descriptor = memfd_create("hostile", MFD_CLOEXEC);
    if (descriptor < 0) {
      break;
    }
    all.push_back(descriptor);
  }
  return all;
}

void make_blocking() {
  for (const int descriptor : open_descriptors()) {
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  }
}

Response large_answer(const std::string& as) {
  constexpr std::size_t kSize = 16U << 20;
  if (as == "stream") {
    return Response::stream(200, "text/plain", [](forktail::Writer& writer) {
      const std::string piece(1U << 16, 'a');
      for (std::size_t i = 0; i < kSize / piece.size() && writer.write(piece); ++i) {
      }
    });
  }
  if (as == "file") {
    const int file = memfd_create("hostile", 0);
    static_cast<void>(ftruncate(file, kSize));
    return Response::file("/proc/self/fd/" + std::to_string(file), "text/plain");
  }
  return done(std::string(kSize, 'a'));
}

// A message with as many descriptors as one may have. False when it is not taken.
bool send_noise(int socket, std::minstd_rand& noise, long descriptors) {
  std::vector<char> text(1 + noise() % 2100);
  std::generate(text.begin(), text.end(), [&noise] { return static_cast<char>(noise() >> 8); });
  iovec part{text.data(), text.size()};
  std::vector<int> passed(static_cast<std::size_t>(descriptors), socket);
  std::vector<char> control(CMSG_SPACE(passed.size() * sizeof(int)));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!passed.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(passed.size() * sizeof(int));
    std::memcpy(CMSG_DATA(head), passed.data(), passed.size() * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

bool keeps_boundaries(int descriptor) {
  int type = 0;
  socklen_t size = sizeof(type);
  return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

long flood(const Parameters& given) {
  std::minstd_rand noise(static_cast<unsigned>(number(given, "seed", 1)));
  long sent = 0;
  for (const int descriptor : open_descriptors()) {
    for (long i = 0; i < number(given, "count", 2000) && keeps_boundaries(descriptor); ++i) {
      sent += send_noise(descriptor, noise, number(given, "descriptors", 200)) ? 1 : 0;
    }
  }
  return sent;
}

constexpr Misbehaviour kTable[] = {
    {"/descriptors/close", Harm::ends, "closes the descriptors `from` (3) to `to` (all)",
     [](const Parameters& given) {
       close_range(static_cast<unsigned>(first_of(given)),
                   static_cast<unsigned>(number(given, "to", -1)), 0);
       return done();
     }},
    {"/descriptors/replace", Harm::ends, "puts /dev/null in the place of all from `from` (3) on",
     [](const Parameters& given) {
       const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
       for (const int descriptor : open_descriptors()) {
         if (descriptor >= first_of(given) && descriptor != null) {
           dup2(null, descriptor);
         }
       }
       return done();
     }},
    {"/descriptors/fill", Harm::lasts, "opens files until there are no descriptors left",
     [](const Parameters&) { return done(std::to_string(open_many(1L << 20).size()) + "\n"); }},
    {"/descriptors/many", Harm::none, "opens `count` (900) files of its own and writes to each",
     [](const Parameters& given) {
       const std::vector<int> all = open_many(number(given, "count", 900));
       long written = 0;
       for (const int descriptor : all) {
         written += write(descriptor, "mine alone\n", 11) == 11 ? 1 : 0;
       }
       for (const int descriptor : all) {
         close(descriptor);
       }
       return done(std::to_string(written) + "\n");
     }},
    {"/descriptors/leak", Harm::lasts, "opens `count` (100) files and forgets them",
     [](const Parameters& given) {
       return done(std::to_string(open_many(number(given, "count", 100)).size()) + "\n");
     }},
    {"/descriptors/non-blocking", Harm::lasts, "makes all that is open non-blocking",
     [](const Parameters&) {
       for (const int descriptor : open_descriptors()) {
         fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
       }
       return done();
     }},
    {"/descriptors/blocking", Harm::lasts, "makes all that is open blocking",
     [](const Parameters&) {
       make_blocking();
       return done();
     }},
    {"/descriptors/blocking-answer", Harm::lasts,
     "the same, and answers with 16 megabytes `as` string, file or stream",
     [](const Parameters& given) {
       make_blocking();
       return large_answer(given.get("as").value_or("string"));
     }},
    {"/descriptors/inheritable", Harm::lasts, "takes FD_CLOEXEC from all that is open",
     [](const Parameters&) {
       for (const int descriptor : open_descriptors()) {
         fcntl(descriptor, F_SETFD, 0);
       }
       return done();
     }},
    {"/descriptors/shutdown", Harm::ends, "shuts every socket that it finds down",
     [](const Parameters&) {
       for (const int descriptor : open_descriptors()) {
         shutdown(descriptor, SHUT_RDWR);
       }
       return done();
     }},
    {"/descriptors/flood", Harm::ends,
     "sends `count` (2000) messages of noise, with descriptors, into every pair of sockets",
     [](const Parameters& given) { return done(std::to_string(flood(given)) + "\n"); }},
    {"/descriptors/limit", Harm::lasts, "lowers the limit of open files to `count` (16)",
     [](const Parameters& given) {
       const auto count = static_cast<rlim_t>(number(given, "count", 16));
       const rlimit limit{count, count};
       setrlimit(RLIMIT_NOFILE, &limit);
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> descriptors() { return kTable; }

}  // namespace hostile
