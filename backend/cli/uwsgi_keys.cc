#include "cli/uwsgi_keys.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace forktail::cli {

namespace {

struct Advice {
  std::string_view what;
  // With a blank between any two. `http*` is `http`, and whatever begins so.
  std::string_view names;
};

// Names as in uWSGI 2.0's own list of options
// (https://uwsgi-docs.readthedocs.io/en/latest/Options.html). What is nearer to an own key than it
// should be (`log-route` to `log-group`) has to stand here by its whole name. The first fitting row
// counts.
constexpr std::array kAdvice{
    Advice{"remove it: forktail always does so",
           "master die-on-term vacuum need-app no-orphans close-on-exec close-on-exec2 strict "
           "enable-threads auto-procname harakiri-verbose ignore-sigpipe log-date logdate "
           "log-micros tcp-nodelay"},
    Advice{"remove it: the kernel hands each connection to one idle worker, without a lock",
           "thunder-lock thunder-lock-watchdog map-socket"},
    Advice{"remove it: a client that has left is no error, only a line of level info",
           "ignore-write-errors disable-write-exception write-errors-tolerance "
           "write-errors-exception-only"},
    Advice{"remove it: an exception is a 500 and a line in the log, and its worker goes on",
           "catch-exceptions exception-handler reload-on-exception*"},
    Advice{"remove it: each process writes its own lines, whole", "threaded-logger log-master*"},
    Advice{"remove it: each request has its line, unless there is `disable-logging`",
           "log-zero log-4xx log-5xx log-big log-sendfile log-ioerror"},
    Advice{"use `slow-request` with a unit, such as 500ms", "log-slow"},
    Advice{"use `body-limit`", "limit-post"},
    Advice{"use `socket-timeout`",
           "so-send-timeout so-write-timeout socket-send-timeout socket-write-timeout"},
    Advice{"use `harakiri-grace`", "harakiri-graceful-timeout"},
    Advice{"use `reload-on-rss`",
           "reload-on-pss reload-on-uss reload-on-as evil-reload-on-rss evil-reload-on-as"},
    Advice{"use `touch-reload` with the file that the build replaces",
           "fs-reload fs-brutal-reload touch-chain-reload touch-workers-reload py-autoreload "
           "py-auto-reload python-autoreload python-auto-reload perl-auto-reload"},
    Advice{"use `fork-mode = exec`", "worker-exec worker-exec2"},
    Advice{"use `threads`",
           "async asyncio gevent* greenlet stackless tornado ugreen* fiber coroae goroutines "
           "rbthreads rb-threads loop loop-list loops-list"},
    Advice{"use `control` and `forktail ctl`", "master-fifo reload stop"},
    Advice{"use `forktail request --ping`", "ping ping-timeout"},
    Advice{"use `chdir`", "chdir2 force-cwd"},
    Advice{"use `env`, once for each variable", "envdir early-envdir ienv"},
    Advice{"use `uid` and `gid`", "immediate-uid immediate-gid"},
    Advice{"use `pidfile`", "pidfile2 safe-pidfile safe-pidfile2"},
    Advice{"use `procname-prefix`", "procname procname-append procname-master"},
    Advice{"use `socket = @name`", "abstract-socket"},
    Advice{"use `socket` with `tls-cert`, `tls-key` and `tls-client-ca`",
           "suwsgi-socket ssl-socket ssl-* sni*"},
    Advice{"nginx speaks HTTP to the world and uwsgi to forktail; use `socket`",
           "http* http-socket http-to http-keepalive http-timeout http-buffer-size "
           "http-post-buffering http-stats-server http11-socket https https-socket fastcgi-* "
           "fastcgi-socket scgi-* scgi-socket puwsgi-socket raw-socket udp zeromq* zmq* "
           "shared-socket undeferred-shared-socket protocol socket-protocol"},
    Advice{"the application is a C++ shared object; use `app`",
           "module wsgi* wsgi-file uwsgi-file file callable mount worker-mount manage-script-name "
           "plugin plugins plugin-dir plugins-dir plugin-list plugins-list need-plugin "
           "need-plugins virtualenv venv home pp py* pyhome pythonpath python-path "
           "py-call-osafterfork py-tracebacker single-interpreter symcall* dlopen eval web3 pump "
           "pecan paste* ini-paste* vhost* psgi* perl* plshell* rack rails rb* rb-require ruby* "
           "rvm* gemset lua* php* go-* gccgo* jvm* jwsgi* mono-* ring-* clojure* cgi* "
           "cgi-buffer-size xslt* early-* shared-import shared-py* shared-rb* shared-ruby* "
           "shared-require dynamic-apps no-default-app no-site max-apps"},
    Advice{"start forktail by systemd (conf/systemd) or in a container, in the foreground",
           "daemonize daemonize2 emperor* early-emperor vassal* imperial-* heartbeat"},
    Advice{"leave it to systemd (LimitNPROC=, CPUAffinity= and the like) or to the container",
           "limit-as limit-nproc max-fd cpu-affinity prio add-gid chroot pivot-root pivot_root cap "
           "cgroup* namespace* ns ns-net unshare* setns* jail* libjail jidfile jid-file"},
    Advice{"use `log-format = json` or `log-format = text`",
           "logformat logformat-strftime log-format-strftime log-encoder log-req-encoder"},
    Advice{"use `logto` with logrotate (conf/logrotate), or the standard error for journald",
           "logto2 log-* log-maxsize log-backupname log-truncate log-reopen log-route log-socket "
           "logfile-chmod logfile-chown touch-logreopen touch-logrotate logger* req-logger "
           "worker-log* rsyslog*"},
    Advice{"forktail scales by busy workers and the listen queue; use `cheaper` and `processes`",
           "cheaper-* cheaper-algo cheaper-step cheap idle die-on-idle"},
    Advice{"use `stats-http`, from which Prometheus collects, or `forktail top`",
           "memory-report enable-metrics metric* carbon* statsd* snmp* rrdtool* zabbix* nagios "
           "stats-push*"},
    Advice{"static files, headers, routes and caches are nginx's part",
           "static-* static-map static-index static-expires check-static* check-cache "
           "fileserve-mode file-serve-mode offload-thread offload-threads mime-file mimefile "
           "route* error-route* response-route* final-route* error-page-* add-header del-header "
           "rem-header collect-header pull-header response-header* cache* add-cache-item "
           "load-file-in-cache* honour-range upload-progress websocket* webdav-* geoip*"},
    Advice{"run it beside the server",
           "cron* unique-cron* unique-legion-cron curl-cron* mule* mule-reload-mercy mules farm "
           "touch-mules-reload touch-spoolers-reload spooler* queue queue-blocksize queue-store "
           "queue-store-sync sharedarea timer rbtimer signal signal-timer signal-rbtimer "
           "signal-bufsize signals-bufsize rpc-max subscribe* subscription* unsubscribe-* "
           "start-unsubscribed st fastrouter* rawrouter* sslrouter* forkpty* tuntap* pty-* alarm* "
           "backlog-alarm lq-alarm listen-queue-alarm segfault-alarm log-alarm not-log-alarm "
           "not-alarm-log attach-* attach-daemon smart-attach-* legion* zerg* cluster* zeus*"},
    Advice{"forktail runs no hooks; let systemd (ExecStartPre=) or the application do it",
           "hook-* hook-master-start exec-* exec-post-app exec-pre-app call-* call-as-root mount-* "
           "umount-* touch-exec touch-signal after-request-* wait-*"},
    Advice{"forktail reads plain INI files, without logic, placeholders and includes",
           "set set-ph set-placeholder declare-option* if-* if-env if-not-env ifdir ifenv ifexists "
           "ifplugin else endif end-if for for-* for-readline endfor end-for print iprint "
           "print-sym print-symbol exit include import inherit inject-* fallback-config xml "
           "xmlconfig yaml yml json js sqlite sqlite3 ldap* config-py show-config dump-options"},
    Advice{"remove it: forktail has no such thing",
           "allowed-modifiers auto-weight autoload backtrace-depth binary-* binsh blacklist "
           "body-read-warning brutal-reload-on-fd build-plugin cflags check-interval check-mount "
           "check-mountpoint chunked-input-limit chunked-input-timeout clock clock-list "
           "clocks-list command-mode connect-and-read daemons-honour-stdin die-on-no-workers "
           "disable-async-warn-on-queue-full disable-sendfile dot-h drop-after-* dumbloop-* "
           "enable-proxy-protocol end-blacklist end-whitelist exit-on-reload extract fd-safe "
           "file-write flock* force-gateway fork-server fork-socket forkbomb-delay freebind "
           "fs-signal ftok get glusterfs-* harakiri-* harakiri-no-arh honour-stdin "
           "ignore-script-name ksm lock-engine locks log-drain log-filter log-prefix "
           "log-x-forwarded-for master-as-root max-vars max-worker-lifetime-delta "
           "mem-collector-freq min-worker-lifetime mongrel2* mountpoint-check multicast* "
           "never-swap no-defer-accept no-fd-passing no-harakiri-* no-initgroups no-server "
           "no-threads-wait notfound-log notify-socket optimize pam pam-user pause pcre-jit "
           "persistent-ipcsem post-buffering-bufsize post-pymodule-alias privileged-binary-* "
           "profiler propagate-touch rados-* raw-modifier1 raw-modifier2 re-fork* reaper refork* "
           "reload-on-fd reload-os-env remap-modifier require resolve resume reuse-port safe-fd "
           "shutdown-sockets skip-atexit skip-atexit-teardown skip-zero so-keepalive socket-rcvbuf "
           "socket-sndbuf start_response-nodelay stats-min stats-minified stats-no-cores "
           "stats-no-metrics suspend tcp-fast-open tcp-fast-open-client tcp-fastopen "
           "tcp-fastopen-client thread-stack-size thread-stacksize threads-stack-size "
           "threads-stacksize unenv unprivileged-binary-* use-abort weight whitelist"},
};

// Of the first row that has a name which `fits`.
template <typename Fits>
std::optional<std::string> advice_where(Fits fits) {
  for (const Advice& advice : kAdvice) {
    for (std::string_view rest = advice.names; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      if (fits(name)) {
        return std::string(advice.what);
      }
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> advice_for_uwsgi_key(const std::string& key) {
  return advice_where(
      [beginning = key + '*', &key](auto name) { return name == key || name == beginning; });
}

std::optional<std::string> advice_by_prefix(const std::string& key) {
  return advice_where([&key](auto name) {
    return name.ends_with('*') && key.starts_with(name.substr(0, name.size() - 1));
  });
}

}  // namespace forktail::cli
