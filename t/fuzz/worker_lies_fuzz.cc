// What a worker can send and write: any script of letters, of messages on its channel, and of bytes
// in the memory that it shares with the master. The master must live, must show only texts that
// fit, and must keep no descriptor that it was sent beyond those of the table of kept connections.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/kept_connections.h"
#include "server/shared/channel.h"
#include "server/shared/describe.h"
#include "server/shared/log_groups.h"
#include "server/shared/slots.h"

namespace {

using namespace forktail;
using namespace forktail::server;

constexpr int kSeats = 3;
constexpr int kThreads = 2;
constexpr KeptNumbers kNumbers{600, 4};

void require(bool truth) {
  if (!truth) {
    std::abort();
  }
}

int open_descriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  require(folder != nullptr);
  while (readdir(folder) != nullptr) {
    ++count;
  }
  closedir(folder);
  return count;
}

class Script {
 public:
  explicit Script(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  [[nodiscard]] bool over() const { return rest_.empty(); }
  std::uint8_t byte() {
    const auto part = bytes(1);
    return part.empty() ? 0 : part.front();
  }
  std::span<const std::uint8_t> bytes(std::size_t count) {
    const auto part = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(part.size());
    return part;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// Memory as a worker has it.
class Shared {
 public:
  explicit Shared(int memfd) {
    struct stat status {};
    require(fstat(memfd, &status) == 0);
    size_ = static_cast<std::size_t>(status.st_size);
    void* base = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    require(base != MAP_FAILED);
    base_ = static_cast<std::uint8_t*>(base);
  }
  ~Shared() { munmap(base_, size_); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  void scribble(Script& script) {
    const std::size_t place = (std::size_t{script.byte()} << 8 | script.byte()) * 8 % size_;
    const auto bytes = script.bytes(script.byte());
    const std::size_t times = 1 + std::size_t{script.byte()} * 16;
    for (std::size_t at = place, i = 0; i < times * bytes.size() && at < size_; ++at, ++i) {
      base_[at] = bytes[i % bytes.size()];
    }
  }

 private:
  std::uint8_t* base_ = nullptr;
  std::size_t size_ = 0;
};

// A letter, or a message, as somebody sends it who does not keep to the rules.
void send_anything(int socket, std::span<const std::uint8_t> text, int count, int passed) {
  iovec part{const_cast<std::uint8_t*>(text.data()), text.size()};
  std::array<int, 12> all;
  all.fill(passed);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(all))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    const std::size_t size = sizeof(int) * std::min(all.size(), static_cast<std::size_t>(count));
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(head), all.data(), size);
  }
  sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

class Master {
 public:
  explicit Master(int listener)
      : kept_({listener}, kNumbers, kSeats, sink_), channel_(Channel::make()) {}

  void obey(Script& script) {
    switch (script.byte() % 10) {
      case 0:
        return send_anything(kept_.share().mailboxes.descriptors()[1],
                             script.bytes(script.byte() % 64), script.byte() % 4, sockets_[0]);
      case 1:
        return letter(script);
      case 2:
        return table_.scribble(script);
      case 3:
        return slots_memory_.scribble(script);
      case 4:
        return kept_.admit(1 + script.byte() % kSeats);
      case 5:
        return leave(1 + script.byte() % kSeats);
      case 6:
        kept_.read_mail();
        kept_.act_on_deadlines();
        return static_cast<void>(kept_.take_liars());
      case 7:
        return kept_.give_back_idle();
      case 8:
        send_anything(channel_.second.descriptor(), script.bytes(std::size_t{script.byte()} * 9),
                      script.byte() % 12, sockets_[0]);
        return hear();
      default:
        slots_.restore_board(false, false, 0);
        return show();
    }
  }

  [[nodiscard]] int held() const { return kept_.held(); }

 private:
  // One that is well-formed, so that the script gets anywhere.
  void letter(Script& script) {
    Mail mail;
    mail.kind = static_cast<MailKind>(script.byte() % 5);
    mail.id = {script.byte() % 6U, script.byte() % 4U};
    mail.seat = script.byte() % 5 - 1;
    const bool with = script.byte() % 2 == 0;
    static_cast<void>(
        kept_.share().mailboxes.post(0, mail, with ? sockets_[script.byte() % 3] : -1));
  }

  void leave(int seat) {
    const auto resumed =
        kept_.resume(seat, kThreads, KeptConnections::Clock::now(), [&](int thread, bool waiting) {
          return slots_.slot(seat, thread).between_requests(waiting);
        });
    require(resumed.size() == kThreads);
    kept_.dismiss(seat);
    for (int thread = 0; thread < kThreads; ++thread) {
      look(slots_.slot(seat, thread).last_request());
      slots_.slot(seat, thread).clear();
    }
  }

  void show() {
    for (int seat = 1; seat <= kSeats; ++seat) {
      for (int thread = 0; thread < kThreads; ++thread) {
        look(slots_.snapshot(seat, thread));
      }
    }
  }

  static void look(const SlotRequest& request) {
    require(request.id.size() <= 128 && request.path.size() <= 65535);
    for (const std::int64_t now : {std::int64_t{0}, std::numeric_limits<std::int64_t>::max()}) {
      require(request.age_ns(now) >= 0);
      require(!server::describe(request, now).empty());
    }
  }

  void hear() {
    bool ended = false;
    while (const auto message = channel_.first.receive(ended)) {
      require(message->text.size() <= 2000);
    }
  }

  log::Sink sink_{"/dev/null", log::Format::json};
  KeptConnections kept_;
  Slots slots_{kSeats, kThreads};
  std::pair<Channel, Channel> channel_;
  Shared table_{kept_.share().kept.memfd()};
  Shared slots_memory_{slots_.memfd()};
  // What is passed: two connected sockets, and what is none.
  static inline const std::array<int, 3> sockets_ = [] {
    std::array<int, 3> all{};
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, all.data()) == 0);
    all[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return all;
  }();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int listener = [] {
    const int one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr address{};
    address.sa_family = AF_UNIX;
    require(bind(one, &address, sizeof(sa_family_t)) == 0 && listen(one, 1) == 0);
    return one;
  }();
  Script script({data, size});
  int before = 0;
  {
    Master master(listener);
    before = open_descriptors();
    for (int i = 0; i < 200 && !script.over(); ++i) {
      master.obey(script);
    }
    require(open_descriptors() <= before + master.held());
    require(master.held() <= kNumbers.count);
  }
  return 0;
}
