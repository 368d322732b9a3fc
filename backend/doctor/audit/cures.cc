#include "doctor/audit/cures.h"

#include <fmt/format.h>

#include <array>
#include <string>

namespace forktail::doctor {

namespace {

constexpr std::array<KnownCure, 17> kCures{{
    {"libpq", "libpq.so", "PQconnect", "",
     "PQconnectdb() in on_worker_start(), or hold the PGconn in a forktail::per_worker; never "
     "PQfinish() an inherited one, which ends the session of all",
     "https://www.postgresql.org/docs/current/libpq-connect.html"},
    {"the MySQL client", "libmysqlclient.so", "mysql_real_connect", "",
     "mysql_real_connect() in on_worker_start(), or hold the handle in a forktail::per_worker",
     "https://dev.mysql.com/doc/c-api/8.0/en/mysql-real-connect.html"},
    {"the MariaDB client", "libmariadb.so", "", "",
     "mysql_real_connect() in on_worker_start(), or hold the handle in a forktail::per_worker",
     "https://mariadb.com/kb/en/mysql_real_connect/"},
    {"hiredis", "libhiredis", "redisConnect", "",
     "redisConnect() in on_worker_start(), or hold the redisContext in a forktail::per_worker",
     "https://github.com/redis/redis-rb/pull/226 (the same fault, mended in another client)"},
    {"librdkafka", "librdkafka", "rd_kafka_new",
     "rdk:", "rd_kafka_new() in on_worker_start(): its threads do not survive a fork",
     "https://github.com/confluentinc/librdkafka/issues/2374"},
    {"gRPC", "libgrpc", "grpc_", "grpc_",
     "make channels and servers in on_worker_start(), and call nothing of gRPC at load",
     "https://github.com/grpc/grpc/blob/master/doc/fork_support.md"},
    {"spdlog's asynchronous logging", "libspdlog", "spdlog", "",
     "use the default logger, which is forktail's and writes each line at once; or make the pool "
     "and its loggers in on_worker_start()",
     "https://github.com/gabime/spdlog/issues/748"},
    {"libcurl", "libcurl", "curl_multi_init", "",
     "make easy and multi handles in on_worker_start(), or hold them in a forktail::per_worker; at "
     "load no more than curl_global_init()",
     "https://github.com/php/php-src/issues/10633"},
    {"SQLite", "libsqlite3", "sqlite3_open", "",
     "open the database in on_worker_start(): its locks do not survive a fork, and an inherited "
     "connection may corrupt the file",
     "https://www.sqlite.org/howtocorrupt.html"},
    {"OpenSSL", "libssl.so", "SSL_connect", "",
     "make connections in on_worker_start(): two workers that go on with one TLS session break "
     "it. Its random numbers are safe over a fork since 1.1.1d; an SSL_CTX may be made at load",
     "https://docs.openssl.org/3.0/man7/RAND/"},
    {"libuv", "libuv.so", "uv_loop_init", "",
     "make the loop in on_worker_start(), or call uv_loop_fork() there",
     "https://docs.libuv.org/en/v1.x/loop.html"},
    {"libevent", "libevent", "event_base_new", "",
     "make the event_base in on_worker_start(), or call event_reinit() there",
     "https://libevent.org/libevent-book/Ref2_eventbase.html"},
    {"GLib", "libglib-2.0", "g_main_context_new", "gmain",
     "use nothing that starts GLib's threads before on_worker_start()",
     "https://docs.gtk.org/glib/threads.html"},
    {"libvips", "libvips", "vips_init", "vips",
     "VIPS_INIT() in on_worker_start(): its pool of threads does not survive a fork",
     "https://www.libvips.org/API/current/"},
    {"jemalloc", "libjemalloc", "je_", "jemalloc_bg",
     "MALLOC_CONF=background_thread:false, or turn its threads on in on_worker_start()",
     "https://jemalloc.net/jemalloc.3.html"},
    {"OpenMP", "libgomp", "GOMP_parallel", "",
     "run nothing in parallel at load: a worker that does it again waits for threads that it has "
     "not got",
     "https://gcc.gnu.org/bugzilla/show_bug.cgi?id=58378"},
    {"the MongoDB client", "libmongoc", "mongoc_client_new", "",
     "make the pool of clients in on_worker_start()",
     "https://mongoc.org/libmongoc/current/lifecycle.html"},
}};

bool has_made(const KnownCure& known, const Frame& frame) {
  if (!known.object.empty() && file_name(frame).starts_with(known.object)) {
    return true;
  }
  return !known.symbol.empty() && frame.symbol.find(known.symbol) != std::string::npos;
}

}  // namespace

const KnownCure* known_cure(const AuditFinding& found) {
  const Finding& finding = found.finding;
  switch (finding.kind) {
    case Kind::async_logger:
    case Kind::connection:
    case Kind::socket:
    case Kind::epoll:
    case Kind::eventfd:
    case Kind::timerfd:
    case Kind::pipe:
    case Kind::file:
    case Kind::file_lock:
    case Kind::shared_mapping:
    case Kind::thread:
      break;
    default:
      return nullptr;
  }
  for (const Frame& frame : found.stack) {
    for (const KnownCure& known : kCures) {
      if (has_made(known, frame)) {
        return &known;
      }
    }
  }
  for (const KnownCure& known : kCures) {
    if (finding.kind == Kind::thread && !known.thread.empty() &&
        finding.thing.starts_with(known.thread)) {
      return &known;
    }
  }
  return nullptr;
}

std::string cure_in_words(const KnownCure& known) {
  return fmt::format("{}: {} ({})", known.library, known.cure, known.source);
}

}  // namespace forktail::doctor
