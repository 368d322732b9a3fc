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
     "https://dev.mysql.com/doc/refman/8.0/en/gone-away.html"},
    {"the MariaDB client", "libmariadb.so", "", "",
     "mysql_real_connect() in on_worker_start(), or hold the handle in a forktail::per_worker; "
     "never mysql_close() an inherited one, which ends the session of all",
     "https://github.com/perl5-dbi/DBD-MariaDB/pull/175"},
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
     "https://www.sqlite.org/howtocorrupt.html"
     "#_carrying_an_open_database_connection_across_a_fork_"},
    {"OpenSSL", "libssl.so", "SSL_connect", "",
     "make connections in on_worker_start(): two workers that go on with one TLS session break "
     "it (\"bad record mac\"). Its random numbers are safe over a fork since 1.1.1d "
     "(CVE-2019-1549)",
     "https://github.com/sqlalchemy/sqlalchemy/issues/5955"},
    {"libuv", "libuv.so", "uv_loop_init", "",
     "make the loop in on_worker_start(), or call uv_loop_fork() there",
     "https://docs.libuv.org/en/v1.x/loop.html"},
    {"libevent", "libevent", "event_base_new", "",
     "make the event_base in on_worker_start(), or call event_reinit() there",
     "https://libevent.org/libevent-book/Ref2_eventbase.html"},
    {"GLib", "libglib-2.0", "g_main_context_new", "gmain",
     "use nothing that starts GLib's threads before on_worker_start()",
     "https://github.com/LEW21/pydbus/issues/97"},
    {"libvips", "libvips", "vips_init", "vips",
     "VIPS_INIT() in on_worker_start(): its pool of threads does not survive a fork",
     "https://github.com/libvips/ruby-vips/issues/396"},
    {"jemalloc", "libjemalloc", "je_", "jemalloc_bg",
     "MALLOC_CONF=background_thread:false, or turn its threads on again in on_worker_start(), by "
     "mallctl(\"background_thread\"): it has none after a fork",
     "https://github.com/jemalloc/jemalloc/issues/2125"},
    {"OpenMP", "libgomp", "GOMP_parallel", "",
     "run nothing in parallel at load: a worker that does it again waits for threads that it has "
     "not got",
     "https://github.com/OpenMathLib/OpenBLAS/pull/343 (GCC's bug 60035)"},
    {"the MongoDB client", "libmongoc", "mongoc_client_new", "",
     "make the client or the pool in on_worker_start(); an inherited client may only be "
     "reset, by mongoc_client_reset()",
     "https://manpages.debian.org/unstable/libmongoc-doc/mongoc_client_t.3.en.html"},
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
