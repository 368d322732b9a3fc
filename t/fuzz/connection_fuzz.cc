// A connection's whole life: any script of requests, bodies, garbage and cuts is sent to a
// RequestLoop, and a model that sees the same bytes says which requests the application must get,
// and how many answers the peer.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/request/request_loop.h"
#include "wire/packet.h"

namespace {

using namespace forktail;
using namespace forktail::server;

void require(bool truth) {
  if (!truth) {
    std::abort();
  }
}

constexpr std::uint32_t kMostHead = 600;
constexpr std::uint64_t kMostBody = 1500;

// What the application has been asked.
struct Asked {
  std::string method;
  std::string path;
  std::string body;
  bool operator==(const Asked&) const = default;
};

// What a peer sends, and in which pieces it arrives: each ends at one of the cuts.
struct Sent {
  std::string bytes;
  std::vector<std::size_t> cuts;
};

// Where the piece ends that the byte at `position` comes in.
std::size_t end_of_piece(const Sent& sent, std::size_t position) {
  const auto cut = std::upper_bound(sent.cuts.begin(), sent.cuts.end(), position);
  return cut == sent.cuts.end() ? sent.bytes.size() : *cut;
}

// ---- the script

class Script {
 public:
  explicit Script(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  Sent write() {
    while (!rest_.empty()) {
      switch (byte() % 4) {
        case 0:
          sent_.bytes += raw(byte());
          break;
        case 1:
          if (sent_.cuts.empty() || sent_.cuts.back() < sent_.bytes.size()) {
            sent_.cuts.push_back(sent_.bytes.size());
          }
          break;
        default:
          add_request();
      }
    }
    return std::move(sent_);
  }

 private:
  std::uint8_t byte() {
    if (rest_.empty()) {
      return 0;
    }
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }

  std::string raw(std::size_t size) {
    const auto part = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(part.size());
    return {part.begin(), part.end()};
  }

  // Mostly sound, so that the script gets anywhere. Its body is made of packets: to read one of
  // them as a request would be the gravest of errors.
  void add_request() {
    constexpr std::array<std::string_view, 4> kMethods{"GET", "POST", "HEAD", "B AD"};
    const std::uint8_t kind = byte();
    const std::size_t body_size = std::size_t{byte()} * 8;
    std::string body;
    const Variable smuggled[] = {{"REQUEST_METHOD", "GET"}, {"PATH_INFO", "/smuggled"}};
    while (body.size() < body_size) {
      body += wire::make_packet(0, 0, smuggled);
    }
    body.resize(body_size);
    std::size_t claimed = body_size;
    if ((kind & 0x70) == 0x70) {
      claimed += byte();  // more than there is: what follows belongs to the body
    } else if ((kind & 0x60) == 0x60) {
      claimed -= std::min<std::size_t>(claimed, byte());
    }
    const std::string length = std::to_string(claimed);
    const std::string path = "/" + raw(kind & 7);
    const Variable variables[] = {{"REQUEST_METHOD", kMethods[(kind & 0x80) != 0 ? byte() % 4 : 1]},
                                  {"PATH_INFO", path},
                                  {"CONTENT_LENGTH", length},
                                  {"UWSGI_KEEP_CONN", (kind & 8) != 0 ? "1" : "0"}};
    sent_.bytes += wire::make_packet(0, 0, variables) + body;
  }

  std::span<const std::uint8_t> rest_;
  Sent sent_;
};

// ---- the model

struct Expected {
  std::vector<Asked> asked;
  std::size_t answers = 0;  // HTTP responses
  std::size_t pongs = 0;
};

Expected expect(const Sent& sent) {
  Expected expected;
  const std::string_view all = sent.bytes;
  wire::RequestHead head;
  for (std::size_t at = 0; at < all.size();) {
    const std::string_view rest = all.substr(at);
    ++expected.answers;  // whatever is wrong with it
    if (rest.size() < wire::kHeaderSize) {
      return expected;
    }
    const std::span<const char, wire::kHeaderSize> first(rest.data(), wire::kHeaderSize);
    const wire::PacketHeader header = wire::read_header(first);
    if (wire::recognise_foreign(first).empty() && header.modifier1 == wire::kModifierPing) {
      --expected.answers;
      ++expected.pongs;
      return expected;
    }
    const std::size_t packet = wire::kHeaderSize + header.datasize;
    if (!wire::recognise_foreign(first).empty() || header.modifier1 != wire::kModifierRequest ||
        header.datasize > kMostHead || rest.size() < packet ||
        !wire::read_head(rest.substr(wire::kHeaderSize, header.datasize), head).empty() ||
        head.content_length > kMostBody || rest.size() - packet < head.content_length) {
      return expected;
    }
    const std::size_t size = packet + head.content_length;
    expected.asked.push_back({std::string(head.method), std::string(head.path),
                              std::string(rest.substr(packet, head.content_length))});
    at += size;
    // What came together with the request's last byte was not asked for.
    if (!head.keep || end_of_piece(sent, at - 1) != at) {
      return expected;
    }
  }
  return expected;
}

// ---- the server

class Recorder : public App {
 public:
  Response handle(const Request& request, Context&) override {
    asked.push_back(
        {std::string(request.method()), std::string(request.path()), std::string(request.body())});
    return {200, "text/plain", "ok"};
  }
  std::vector<Asked> asked;
};

// Arrival in pieces, for the recv() below: what has been received so far of what was sent.
const Sent* arriving = nullptr;
std::size_t arrived = 0;

int listen_somewhere(sockaddr_un& address, socklen_t& size) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  address.sun_family = AF_UNIX;
  require(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
  require(listen(listener, 8) == 0);
  require(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return listener;
}

Options make_options() {
  Options options;
  options.buffer_size = kMostHead;
  options.body_limit = kMostBody;
  return options;
}

// One worker's thread, and, with the mailbox that nobody else reads, its master.
class Server {
 public:
  Server() { require(watch(share_.epoll.get(), EPOLL_CTL_ADD, listener_, event_of_listener(0))); }

  std::string exchange(const Sent& sent) {
    app_.asked.clear();
    arriving = &sent;
    arrived = 0;
    const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(peer, reinterpret_cast<sockaddr*>(&address_), address_size_) == 0);
    require(write(peer, sent.bytes.data(), sent.bytes.size()) == std::ssize(sent.bytes));
    shutdown(peer, SHUT_WR);
    while (loop_.serve_within(std::chrono::milliseconds(0))) {
    }
    std::string answers;
    std::array<char, 4096> part;
    for (ssize_t size = 0; (size = read(peer, part.data(), part.size())) > 0;) {
      answers.append(part.data(), static_cast<std::size_t>(size));
    }
    close(peer);
    for (Mail mail; share_.mailboxes.take(0, mail) == Mailboxes::Taken::letter;) {
      mail.descriptor.reset();
    }
    require(!ready_.any_idle());
    require(slots_.slot(1, 0).state() == SlotState::idle);
    return answers;
  }

  [[nodiscard]] const std::vector<Asked>& asked() const { return app_.asked; }

 private:
  static constexpr int kBase = 500;
  static constexpr int kCapacity = 4;

  sockaddr_un address_{};
  socklen_t address_size_ = sizeof(address_);
  int listener_ = listen_somewhere(address_, address_size_);
  DispatchShare share_{Descriptor(epoll_create1(EPOLL_CLOEXEC)),
                       {listener_},
                       KeptTable({kBase, kCapacity}, 1),
                       Mailboxes(1)};
  const Options options_ = make_options();
  const Worker worker_{1, 1, 1, ForkMode::preload};
  Slots slots_{1, 1};
  log::Sink sink_{"/dev/null", log::Format::json};
  ReadyList ready_{share_, 1, std::chrono::hours(1), std::chrono::hours(1), sink_};
  Recorder app_;
  RequestLoop loop_{app_, options_, worker_, ready_, sink_, slots_.slot(1, 0), slots_.board(), 0};
};

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos;
       at += what.size()) {
    ++found;
  }
  return found;
}

}  // namespace

// In place of libc's, in this program: no call gets bytes of more than one piece.
extern "C" ssize_t recv(int descriptor, void* out, std::size_t size, int flags) {
  const std::size_t piece = end_of_piece(*arriving, arrived) - arrived;
  const ssize_t got = syscall(SYS_recvfrom, descriptor, out,
                              piece == 0 ? size : std::min(size, piece), flags, nullptr, nullptr);
  arrived += got > 0 ? static_cast<std::size_t>(got) : 0;
  return got;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static Server server;
  const Sent sent = Script({bytes, size}).write();
  if (sent.bytes.size() > 100'000) {
    return -1;  // more than the socket takes at once
  }
  const Expected expected = expect(sent);
  const std::string answers = server.exchange(sent);
  require(server.asked() == expected.asked);
  require(count(answers, "HTTP/1.1 ") == expected.answers);
  require(count(answers, std::string_view("\x64\0\0\1", 4)) == expected.pongs);
  return 0;
}
