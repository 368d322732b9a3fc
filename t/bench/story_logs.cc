// Writes the logs of a day as t/bench/story.py searches them: story_logs FOLDER BYTES
//
// Three files of together so many bytes, evenly over the day: nginx's access log, the server's log
// with three lines a request, nginx's error log of one request in ten. Prints the id of a request
// of the day's 14th hour, and the id, not one of ours, of another.
#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

constexpr std::int64_t kDay = INT64_C(86'400'000'000);
constexpr std::int64_t kMidnight = INT64_C(1'795'824'000'000'000);  // 2026-11-28
constexpr std::size_t kBlock = 4U << 20;
constexpr double kBytesOfARequest = 1500;

std::uint64_t state = 42;
std::uint64_t random_bits() {
  state ^= state << 13U;
  state ^= state >> 7U;
  state ^= state << 17U;
  return state;
}

class File {
 public:
  explicit File(const std::string& path)
      : descriptor_(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644)) {
    if (descriptor_ < 0) {
      std::perror(path.c_str());
      std::exit(1);
    }
    bytes_.reserve(kBlock + 4096);
  }
  ~File() {
    flush();
    fdatasync(descriptor_);
    close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void add(const char* line, int size) {
    bytes_.append(line, static_cast<std::size_t>(size));
    if (bytes_.size() >= kBlock) {
      flush();
    }
  }

 private:
  void flush() {
    for (std::size_t at = 0; at < bytes_.size();) {
      const ssize_t count = write(descriptor_, bytes_.data() + at, bytes_.size() - at);
      if (count < 0) {
        std::perror("write");
        std::exit(1);
      }
      at += static_cast<std::size_t>(count);
    }
    bytes_.clear();
  }

  int descriptor_;
  std::string bytes_;
};

struct Clock {
  char iso[32];
  char slashed[32];
  std::int64_t second = -1;

  void set(std::int64_t at) {
    if (at / 1'000'000 != second) {
      second = at / 1'000'000;
      const auto now = static_cast<time_t>(second);
      tm parts{};
      gmtime_r(&now, &parts);
      std::strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%S", &parts);
      std::strftime(slashed, sizeof slashed, "%Y/%m/%d %H:%M:%S", &parts);
    }
  }
};

struct Request {
  std::int64_t number = 0;
  std::int64_t at = 0;  // microseconds
  std::int64_t end = 0;
  int worker = 0;
  char id[64] = {};
};

int fraction(std::int64_t time) { return static_cast<int>(time % 1'000'000); }

class Day {
 public:
  explicit Day(const std::string& folder)
      : access_(folder + "/access.json"),
        server_(folder + "/forktail.json"),
        error_(folder + "/error.log") {}

  void add(const Request& request) {
    clock_.set(request.at);
    add_application_line(request, "begin");
    add_application_line(request, "sold to a customer of the shop, who had asked for it twice");
    clock_.set(request.end);
    add_server_line(request);
    add_access_line(request);
    if (request.number % 10 == 0) {
      add_error_line(request);
    }
  }

 private:
  // What all lines of the server begin with.
  int begin_line(const Request& request, std::int64_t at) {
    return std::snprintf(
        line_, sizeof line_,
        R"({"ts":"%s.%06dZ","level":"info","request_id":"%s","pid":%d,"tid":%d,"worker":%d,"gen":1,"seq":%)" PRId64,
        clock_.iso, fraction(at), request.id, 4700 + request.worker, 4700 + request.worker,
        request.worker, ++seq_[request.worker]);
  }

  void add_application_line(const Request& request, const char* text) {
    const int begun = begin_line(request, request.at);
    server_.add(line_, begun + std::snprintf(line_ + begun, sizeof line_ - begun,
                                             R"(,"src":"orders.cc:88","msg":"%s"})"
                                             "\n",
                                             text));
  }

  void add_server_line(const Request& request) {
    const int begun = begin_line(request, request.end);
    server_.add(
        line_,
        begun +
            std::snprintf(
                line_ + begun, sizeof line_ - begun,
                R"(,"msg":"GET /orders?id=%)" PRId64
                R"( 200","event":"request","method":"GET","path":"/orders?id=%)" PRId64
                R"(","status":200,"bytes":900,"queue_ms":0.702847,"read_ms":0.058277,"handle_ms":%.3f,"write_ms":0.156233})"
                "\n",
                request.number, request.number, (request.end - request.at) / 1000.0));
  }

  void add_access_line(const Request& request) {
    const int millis = static_cast<int>((request.end - request.at) / 1000);
    access_.add(
        line_,
        std::snprintf(
            line_, sizeof line_,
            R"({"ts":"%s+00:00","msec":%)" PRId64
            R"(.%03d,"event":"access","request_id":"%s","id_source":"generated","client_id":"","trace_id":"","span_id":"","pid":8308,"connection":%)" PRId64
            R"(,"connection_requests":1,"remote_addr":"192.0.2.10","server":"shop.example","host":"shop.example","protocol":"HTTP/1.1","method":"GET","path":"/orders?id=%)" PRId64
            R"(","status":200,"bytes":900,"request_time":0.%03d,"queue_time":"0.000","upstream":"unix:/run/shop.sock","upstream_status":"200","upstream_connect_time":"0.000","upstream_header_time":"0.%03d","upstream_response_time":"0.%03d","user_agent":"curl/7.88.1"})"
            "\n",
            clock_.iso, request.end / 1'000'000, fraction(request.end) / 1000, request.id,
            request.number, request.number, millis, millis, millis));
  }

  void add_error_line(const Request& request) {
    error_.add(line_,
               std::snprintf(line_, sizeof line_,
                             "%s [warn] 8308#8308: *%" PRId64
                             " an upstream response is buffered to a temporary file "
                             "/var/lib/nginx/uwsgi/1/00/0000000001 while reading upstream, client: "
                             "192.0.2.10, server: shop.example, request: \"GET /orders HTTP/1.1\", "
                             "upstream: \"uwsgi://unix:/run/shop.sock:\", host: \"shop.example\", "
                             "request_id: \"%s\"\n",
                             clock_.slashed, request.number, request.id));
  }

  File access_;
  File server_;
  File error_;
  Clock clock_;
  std::int64_t seq_[9] = {};  // of each worker
  char line_[2048];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "story_logs FOLDER BYTES\n");
    return 2;
  }
  const auto requests = static_cast<std::int64_t>(std::strtod(argv[2], nullptr) / kBytesOfARequest);
  Day day(argv[1]);
  for (std::int64_t i = 0; i < requests; ++i) {
    Request request;
    request.number = i;
    request.at = kMidnight + static_cast<std::int64_t>(static_cast<double>(i) * kDay /
                                                       static_cast<double>(requests));
    const std::uint64_t bits = random_bits();
    request.worker = static_cast<int>(bits % 8) + 1;
    request.end =
        request.at + 4'000 + (bits % 2 == 0 ? static_cast<std::int64_t>(bits >> 8U) % 9'000 : 0);
    const bool foreign = i == requests * 3 / 4;
    if (foreign) {
      std::snprintf(request.id, sizeof request.id, "order-%016" PRIx64, bits);
    } else {
      std::snprintf(request.id, sizeof request.id, "%012" PRIx64 "7%03x%016" PRIx64,
                    static_cast<std::uint64_t>(request.at / 1000),
                    static_cast<unsigned>(bits >> 52U), random_bits() >> 2U | UINT64_C(1) << 63U);
    }
    if (foreign || i == requests * 14 / 24) {
      std::printf("%s\n", request.id);
    }
    day.add(request);
  }
  return 0;
}
