"""What `forktail serve` makes of uWSGI's keys, in an ini and on the command line: some are further names of its
own, the others are refused with advice."""

import re
import stat
import subprocess

import pytest

from lib.server import refused
from lib.tools import need
from lib.waiting import LIMIT

ALWAYS = "remove it: forktail always does so"
HTTP = "nginx speaks HTTP to the world and uwsgi to forktail; use `socket`"
APP = "the application is a C++ shared object; use `app`"
SYSTEMD = "start forktail by systemd"
HOOKS = "forktail runs no hooks"
INI = "forktail reads plain INI files"
NONE = "remove it: forktail has no such thing"

# By their names; at least one for each advice.
KEYS = {
    "master": ALWAYS,
    "vacuum": ALWAYS,
    "die-on-term": ALWAYS,
    "harakiri-verbose": ALWAYS,
    "thunder-lock": "to one idle worker, without a lock",
    "ignore-write-errors": "a client that has left is no error",
    "catch-exceptions": "an exception is a 500",
    "threaded-logger": "each process writes its own lines",
    "log-5xx": "unless there is `disable-logging`",
    "log-slow": "use `slow-request` with a unit, such as 500ms",
    "limit-post": "use `body-limit`",
    "so-write-timeout": "use `socket-timeout`",
    "harakiri-graceful-timeout": "use `harakiri-grace`",
    "reload-on-pss": "use `reload-on-rss`",
    "py-autoreload": "use `touch-reload`",
    "worker-exec": "use `fork-mode = exec`",
    "gevent": "use `threads`",
    "master-fifo": "use `control` and `forktail ctl`",
    "ping": "use `forktail request --ping`",
    "chdir2": "use `chdir`",
    "envdir": "use `env`",
    "immediate-uid": "use `uid` and `gid`",
    "safe-pidfile": "use `pidfile`",
    "procname": "use `procname-prefix`",
    "abstract-socket": "use `socket = @name`",
    "suwsgi-socket": "use `socket` with `tls-cert`",
    "http": HTTP,
    "http-socket": HTTP,
    "uwsgi-file": APP,
    "pp": APP,
    "py-call-osafterfork": APP,
    "daemonize": SYSTEMD,
    "emperor": SYSTEMD,
    "limit-nproc": "leave it to systemd",
    "chroot": "leave it to systemd",
    "add-gid": "leave it to systemd",
    "logformat": "use `log-format = json`",
    "touch-logreopen": "use `logto` with logrotate",
    "cheaper-step": "use `cheaper` and `processes`",
    "memory-report": "use `stats-http`",
    "static-map": "nginx's part",
    "cron": "run it beside the server",
    "hook-master-start": HOOKS,
    "exec-post-app": HOOKS,
    "set-placeholder": INI,
    "if-not-env": INI,
    "endif": INI,
    "for-readline": INI,
    "max-vars": NONE,
    "min-worker-lifetime": NONE,
    "reaper": NONE,
    "unenv": NONE,
    "log-x-forwarded-for": NONE,
    "reuse-port": NONE,
    "so-keepalive": NONE,
    "master-as-root": NONE,
    "whitelist": NONE,  # the last one
}

# By the way they begin.
BEGINNINGS = {
    "http-sockt": HTTP,
    "http2-window": HTTP,
    "python-import": APP,
    "php-docroot": APP,
    "vassals-include": SYSTEMD,
    "log-master-bufsize": "each process writes its own lines",
    "log-colour": "use `logto` with logrotate",
    "cheaper-busyness-max": "use `cheaper` and `processes`",
    "cache2": "nginx's part",
    "fastrouter-use-base": "run it beside the server",
    "cluster-nodes": "run it beside the server",
    "hook-as-user-atexit": HOOKS,
    "if-hostname": INI,
    "harakiri-queue-threshold": NONE,
}

MISSPELT = {"log-formt": "log-format", "log-levl": "log-level", "cheapr": "cheaper",
            "harakiri-graze": "harakiri-grace", "chmod-sockt": "chmod-socket"}


@pytest.fixture
def run(forktail, environment):
    """run("check", "--master") is how this command ended."""

    def run_to_its_end(*words):
        return subprocess.run([forktail, *words], env=environment, text=True, capture_output=True, timeout=LIMIT,
                              check=False)

    return run_to_its_end


@pytest.mark.parametrize("key, advice", KEYS.items(), ids=KEYS)
def test_a_key_of_uwsgis_in_an_ini_is_refused_with_advice(run, tmp_path, key, advice):
    ini = tmp_path / "app.ini"
    ini.write_text(f"[uwsgi]\n{key} = 1\n")
    refused(run("serve", "--ini", ini),
            f"app.ini:2: `{key}` is a key of uWSGI's that forktail does not have; ", advice)


@pytest.mark.parametrize("key, advice", KEYS.items(), ids=KEYS)
def test_an_option_of_uwsgis_is_refused_with_the_same_advice(run, key, advice):
    refused(run("serve", f"--{key}"), f"\n--{key} is an option of uWSGI's that forktail does not have; ", advice)


@pytest.mark.parametrize("key, advice", BEGINNINGS.items(), ids=BEGINNINGS)
def test_an_option_that_begins_as_uwsgis_do_is_refused_with_advice(run, key, advice):
    refused(run("serve", f"--{key}"), f"\n--{key} looks like an option of uWSGI's that forktail does not have; ",
            advice)


@pytest.mark.parametrize("key, meant", MISSPELT.items(), ids=MISSPELT)
def test_a_misspelt_option_is_not_taken_for_one_of_uwsgis(run, key, meant):
    result = run("serve", f"--{key}")
    refused(result, f"\nDid you mean --{meant} instead of --{key}?\n")
    assert "uWSGI" not in result.stderr


def test_each_unknown_option_has_its_answer_without_its_value(run):
    refused(run("check", "--http-socket=:80", "--processes=2", "--proceses", "3", "--frobnicate", "--hook-x=y"),
            "\n--http-socket is an option", "\nDid you mean --processes instead of --proceses?\n--hook-x looks like")


def test_commands_that_uwsgi_does_not_have_know_nothing_of_its_options(run):
    result = run("top", "--stats=stats.sock", "--master", "--http-sockt")
    refused(result, "--master", "--http-sockt")
    assert "uWSGI" not in result.stderr


def test_each_option_that_uwsgi_has_is_taken_or_has_advice(run):
    usage = subprocess.run([need("uwsgi"), "--help"], text=True, capture_output=True, check=True).stdout
    theirs = set(re.findall(r"^ +(?:-.\|)?--([\w-]+)", usage, re.MULTILINE))
    ours = set(re.findall(r"--([a-z-]+)", run("serve", "--help").stdout))
    assert len(theirs) > 700 and "master" in theirs
    answers = run("check", *(f"--{name}" for name in sorted(theirs - ours))).stderr
    advised = re.findall(r"^--(\S+) (?:is|looks like) an option of uWSGI's", answers, re.MULTILINE)
    assert theirs - ours - set(advised) == {"mode", "usage", "version"}  # a user of forktail's may expect these


def test_chmod_and_stats_server_are_further_names_of_chmod_socket_and_stats(server):
    app = server(chmod="604", stats_server="stats.sock")
    assert stat.S_IMODE((app.home / "app.sock").stat().st_mode) == 0o604
    assert stat.S_ISSOCK((app.home / "stats.sock").stat().st_mode)


@pytest.mark.parametrize("key, advice", BEGINNINGS.items(), ids=BEGINNINGS)
def test_a_key_that_begins_as_uwsgis_do_is_refused_with_advice(run, tmp_path, key, advice):
    ini = tmp_path / "app.ini"
    ini.write_text(f"[uwsgi]\n{key} = 1\n")
    refused(run("serve", "--ini", ini),
            f"app.ini:2: `{key}` looks like a key of uWSGI's that forktail does not have; ", advice)
