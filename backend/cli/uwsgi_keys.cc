#include "cli/uwsgi_keys.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace forktail::cli {

namespace {

struct Advice {
  std::string_view what;
  std::string_view keys;  // with a blank before and after each
};

// Names as in uWSGI 2.0's own list of options
// (https://uwsgi-docs.readthedocs.io/en/latest/Options.html).
constexpr std::array kAdvice{
    Advice{
        "remove the line: forktail always does so",
        " master die-on-term vacuum need-app no-orphans close-on-exec thunder-lock enable-threads "
        "single-interpreter strict master-as-root memory-report auto-procname harakiri-verbose "
        "ignore-sigpipe ignore-write-errors disable-write-exception log-master threaded-logger "
        "lock-engine so-keepalive log-x-forwarded-for log-date log-micros log-zero log-4xx log-5xx "
        "log-slow limit-post reuse-port "},
    Advice{"nginx speaks HTTP to the world and uwsgi to forktail; use `socket`",
           " http http-socket https https-socket http-to http-keepalive http-timeout http-workers "
           "fastcgi-socket scgi-socket http11-socket shared-socket uwsgi-file map-socket protocol "
           "socket-protocol "},
    Advice{
        "the application is a C++ shared object; use `app`",
        " module wsgi wsgi-file callable mount manage-script-name plugin plugins plugins-dir "
        "virtualenv venv home pyhome pythonpath pp python-path chdir2 py-autoreload py-tracebacker "
        "symcall symcall-use-next psgi rack rails ruby-gemset lua file eval dlopen "
        "catch-exceptions "
        "reload-on-exception "},
    Advice{"use `fork-mode = exec`", " worker-exec worker-exec2 "},
    Advice{"start forktail by systemd (conf/systemd) or in a container, in the foreground",
           " daemonize daemonize2 safe-pidfile pidfile2 emperor emperor-stats vassals-dir zerg "
           "zerg-server "
           "legion attach-daemon attach-daemon2 smart-attach-daemon upstart "},
    Advice{"use `logto` with logrotate (conf/logrotate)",
           " logto2 log-maxsize log-backupname log-truncate log-reopen logfile-chmod logfile-chown "
           "logger req-logger log-req-encoder log-encoder log-format-strftime logformat "
           "log-route log-socket rsyslog syslog log-syslog remote-logto "},
    Advice{
        "forktail scales by busy workers and the listen queue; use `cheaper` and `processes`",
        " cheaper-algo cheaper-step cheaper-overload cheaper-rss-limit-soft cheaper-rss-limit-hard "
        "cheaper-busyness-max cheaper-busyness-min cheaper-busyness-multiplier "
        "cheaper-busyness-backlog-alert cheap idle die-on-idle "},
    Advice{"static files, routes and caches are nginx's part",
           " static-map static-map2 check-static static-index static-expires offload-threads route "
           "route-host route-uri route-run error-route response-route final-route add-header "
           "cache cache2 cache-blocksize web3 alarm "},
    Advice{
        "forktail has no such thing; run it beside the server",
        " cron cron2 unique-cron mule mules farm spooler spooler-processes spooler-frequency queue "
        "queue-blocksize sharedarea timer signal signal-bufsize rpc subscribe-to "
        "subscription-server fastrouter rawrouter metric metrics stats-push carbon "},
    Advice{"forktail has no such thing; remove the line",
           " lazy-loading reload-on-as evil-reload-on-rss evil-reload-on-as limit-as max-fd "
           "cpu-affinity "
           "gevent asyncio async ugreen greenlet loop exec-pre-jail exec-asap exec-pre-app "
           "exec-as-root "
           "exec-as-user exec-as-user-atexit hook-asap hook-pre-app hook-post-app hook-as-root "
           "hook-as-user touch-chain-reload touch-workers-reload profiler ksm "
           "log-prefix abstract-socket post-buffering-bufsize mule-reload-mercy "
           "procname procname-append procname-master set placeholder if-env if-exists print for "
           "endfor "
           "declare-option inherit include ini xml yaml json show-config "},
};

}  // namespace

std::optional<std::string> advice_for_uwsgi_key(const std::string& key) {
  const std::string wanted = fmt::format(" {} ", key);
  for (const Advice& advice : kAdvice) {
    if (advice.keys.find(wanted) != std::string_view::npos) {
      return std::string(advice.what);
    }
  }
  return std::nullopt;
}

}  // namespace forktail::cli
