"""The server under systemd: sockets that are handed over, and what it tells of itself."""

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

from lib import uwsgi
from lib.app import ROOT
from lib.hold import Held, release
from lib.server import refused
from lib.tools import need
from lib.waiting import LIMIT, free_port, wait_for

# Execs a program with the given descriptors as 3, 4, ..., as systemd does.
ACTIVATE = """
import fcntl, os, sys
given = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(given, 3):
    os.dup2(fd, number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""

# Dies while it loads if there is a file `broken`.
FRAGILE = """
#include <forktail/app.h>
#include <unistd.h>
#include <stdexcept>
struct Fragile : forktail::App {
  Fragile() {
    if (access("broken", F_OK) == 0) {
      throw std::runtime_error("it is\\nbroken");
    }
  }
  void on_worker_start(const forktail::Worker& worker) override {
    while (worker.id == 2 && access("slow", F_OK) == 0) {
      usleep(1000);
    }
  }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
};
FORKTAIL_APP(Fragile)
"""

# Answers with the names of systemd's variables that it sees.
SHOW = """
#include <forktail/app.h>
#include <unistd.h>
struct Show : forktail::App {
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    std::string seen;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      for (const char* name : {"NOTIFY_", "WATCHDOG_", "LISTEN_"}) {
        seen += std::string_view(*variable).starts_with(name) ? *variable : "";
      }
    }
    return {200, "text/plain", seen};
  }
};
FORKTAIL_APP(Show)
"""


@pytest.fixture(scope="session")
def fragile_app(build_app):
    return build_app(FRAGILE)


class Manager:
    """What systemd is to a service: the other end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(LIMIT)
        self.path = path.replace("\0", "@")

    def next(self, *names):
        """The next message that has one of these assignments, as a dictionary."""
        heard = []
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:  # the watchdog's pings alone would go on for ever
            lines = self.socket.recv(4096).decode().splitlines()
            message = dict(line.split("=", 1) for line in lines)
            if message.keys() & set(names):
                return message
            heard.append(message)
        raise AssertionError(f"none of {names} within {LIMIT} s, but {heard[-20:]}")


@pytest.fixture
def manager(tmp_path):
    one = Manager(str(tmp_path / "notify"))
    yield one
    one.socket.close()


@pytest.fixture
def notifying(server, manager, fragile_app):
    def make(ready=True, **options):
        app = server(start=False, app=fragile_app, processes=2, **options)
        app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path}
        return app.start(ready=ready)

    return make


def handed_over(app, sockets, names=""):
    """Makes the server start with these sockets as descriptors 3, 4, ..."""
    plain = app.command
    app.pass_fds = [s.fileno() for s in sockets]
    numbers = ",".join(map(str, app.pass_fds))
    app.command = lambda: [sys.executable, "-c", ACTIVATE, numbers, *plain()]
    app.environment = {**app.environment, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}
    return app


def listening(address):
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    s.bind(address)
    s.listen(64)
    return s


def test_a_socket_that_is_handed_over_needs_no_option_and_outlives_the_server(server, tmp_path, record):
    path = str(tmp_path / "handed.sock")
    with listening(path) as theirs:
        app = handed_over(server(start=False, socket=None), [theirs])
        app.dial = lambda: path
        for _ in range(2):
            app.start()
            assert app.get("/").status == 200
            assert app.stop() == 0
            assert os.path.exists(path)
        with uwsgi.connect(path) as waiting:  # nobody serves it now, and nobody is refused
            waiting.sendall(uwsgi.packet(uwsgi.variables("/")))
            app.start()
            assert uwsgi.Response(uwsgi.read_to_end(waiting)).status == 200
        assert app.wait_log(f"listening on {path}, which was handed over")
    record("started three times on one socket; a client that came between two of them was answered")


def test_a_request_in_flight_is_answered_when_a_server_with_such_a_socket_stops(server, hold_app, tmp_path):
    path = str(tmp_path / "handed.sock")
    with listening(path) as theirs:
        app = handed_over(server(start=False, socket=None, app=hold_app), [theirs])
        app.dial = lambda: path
        app.start()
        request = Held(app, "in-flight-1")
        app.send_signal(signal.SIGTERM)
        app.wait_log("stopping")
        release(app)
        assert uwsgi.Response(request.answer()).status == 200
        assert app.stop() == 0
        uwsgi.connect(path).close()


def test_a_socket_option_of_the_same_address_takes_the_socket_that_is_handed_over(server, tmp_path):
    path, port = str(tmp_path / "handed.sock"), free_port()
    with listening(path) as first, listening(("127.0.0.1", port)) as second:
        own = tmp_path / "own.sock"
        app = server(start=False, socket=[path, f"127.0.0.1:{port}", own])
        handed_over(app, [first, second], "one:two").start()
        assert [uwsgi.request(app.dial(number)).status for number in range(3)] == [200] * 3
        said = [line["msg"] for line in app.log() if "listening on" in line["msg"]]
        assert said == [f"listening on {path}, which was handed over",
                        f"listening on 127.0.0.1:{port}, which was handed over", f"listening on {own}"]
        assert app.stop() == 0
        assert os.path.exists(path) and not own.exists()
        app.options["socket"] = own  # the fixture looks for what may not be left behind


def test_what_is_handed_over_and_can_not_be_served_is_named(server, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(tmp_path / "datagrams"))
        app = handed_over(server(start=False, socket=None), [datagrams], "logs")
        refused(app.run(), "descriptor 3 (logs)", "no listening stream socket", code=1)
    with listening(("0.0.0.0", free_port())) as exposed:
        app = handed_over(server(start=False, socket=None), [exposed])
        refused(app.run(), "0.0.0.0:", "plain-tcp = true", code=1)


def test_sockets_for_another_process_are_not_taken(server):
    app = server(start=False, socket=None)
    app.environment = {**app.environment, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    refused(app.run(), "socket: is missing")


def test_systemd_socket_activate_starts_a_server_that_serves_its_socket(server, tmp_path):
    path = tmp_path / "activated.sock"
    app = server(start=False, socket=None)
    plain = app.command
    app.command = lambda: [need("systemd-socket-activate"), "-E", "FORKTAIL_TEST_ID", "-l", str(path), *plain()]
    app.dial = lambda: str(path)
    app.start(ready=False)
    wait_for(path.exists, "socket")
    assert app.get("/").status == 200  # this one starts it
    assert app.stop() == 0


def test_ready_is_told_when_the_first_worker_accepts_and_stopping_at_the_stop(notifying, manager):
    app = notifying(ready=False)
    assert manager.next("STATUS")["STATUS"] == "starting"
    message = manager.next("READY")
    assert message["READY"] == "1"
    assert uwsgi.ping(app.dial())
    if message["STATUS"] == "the first worker accepts requests":  # and not both at once
        message = manager.next("STATUS")
    assert message["STATUS"] == "generation 1 serves with 2 workers, fork mode preload"
    assert app.stop() == 0
    assert manager.next("STOPPING") == {"STOPPING": "1", "STATUS": "stopping"}


def test_ready_does_not_wait_for_the_last_worker(server, manager, fragile_app):
    app = server(start=False, app=fragile_app, processes=2)
    (app.home / "slow").touch()
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path}
    app.start(ready=False)
    assert manager.next("READY")["STATUS"] == "the first worker accepts requests"
    assert "serves with" not in app.log_text()
    assert app.get("/").status == 200
    (app.home / "slow").unlink()
    assert manager.next("READY")["STATUS"].startswith("generation 1 serves")


def test_a_reload_is_told_with_its_time_and_its_end(notifying, manager):
    app = notifying()
    manager.next("READY")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    app.send_signal(signal.SIGHUP)
    message = manager.next("RELOADING")
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.next("READY")["STATUS"] == "generation 2 serves with 2 workers, fork mode preload"


def test_a_reload_that_fails_is_over_as_well_and_says_why(notifying, manager):
    app = notifying()
    app.wait_log("generation 1 serves")
    (app.home / "broken").touch()
    app.send_signal(signal.SIGHUP)
    manager.next("RELOADING")
    status = manager.next("READY")["STATUS"]
    assert "generation 1 goes on serving" in status
    assert "it is broken" in status  # on one line
    assert app.get("/").status == 200


def test_a_reload_that_can_not_begin_is_over_as_well(notifying, manager, tmp_path):
    ini = tmp_path / "forktail.ini"
    ini.write_text("[forktail]\n")
    app = notifying(config=ini)
    app.wait_log("generation 1 serves")
    ini.write_text("[forktail]\nnonsense = 1\n")
    app.send_signal(signal.SIGHUP)
    manager.next("RELOADING")
    assert "nonsense" in manager.next("READY")["STATUS"]


def test_the_watchdog_hears_of_the_loop_at_half_of_its_time(server, manager, fragile_app, record):
    app = server(start=False, app=fragile_app)
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}
    app.start()
    manager.next("WATCHDOG")
    times = []
    for _ in range(4):
        manager.next("WATCHDOG")
        times.append(time.monotonic())
    waits = [later - earlier for earlier, later in zip(times, times[1:])]
    record("WATCHDOG=1 every " + ", ".join(f"{wait * 1000:.0f}" for wait in waits) + " ms, of 400")
    assert 0.15 < statistics.median(waits) < 0.4  # a single one may be late where the machine is busy
    os.kill(app.pid, signal.SIGSTOP)  # a master that hangs is not alive
    manager.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        for _ in range(3):
            manager.next("WATCHDOG")
    os.kill(app.pid, signal.SIGCONT)


@pytest.mark.parametrize("settings", [{"WATCHDOG_USEC": "50000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {}])
def test_without_a_watchdog_for_this_process_none_is_told(server, manager, fragile_app, settings):
    app = server(start=False, app=fragile_app)
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path, **settings}
    app.start()
    assert app.stop() == 0
    assert manager.next("STOPPING", "WATCHDOG").get("STOPPING") == "1"


@pytest.mark.parametrize("mode", ["preload", "exec"])
def test_the_variables_of_systemd_do_not_reach_the_application(server, manager, build_app, mode, tmp_path):
    app = server(start=False, socket=None, fork_mode=mode, app=build_app(SHOW))
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"}
    path = str(tmp_path / "handed.sock")
    with listening(path) as theirs:
        handed_over(app, [theirs]).dial = lambda: path
        assert app.start().get("/").body == b""


@pytest.mark.parametrize("path", ["/nowhere/notify", "/" + "x" * 200], ids=["nobody there", "too long"])
def test_a_manager_that_can_not_be_reached_is_warned_of_once_and_does_no_harm(server, path):
    app = server(start=False)
    app.environment = {**app.environment, "NOTIFY_SOCKET": path}
    app.start()
    assert app.get("/").status == 200
    app.stop()
    (line,) = [line for line in app.log() if "systemd can not be told" in line["msg"]]
    assert line["level"] == "warn" and path in line["msg"]


def test_an_abstract_notify_socket_is_told(server, fragile_app):
    manager = Manager(f"\0forktail-test-{os.getpid()}")
    app = server(start=False, app=fragile_app)
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path}
    app.start()
    assert manager.next("READY")
    manager.socket.close()


def test_systemd_finds_nothing_wrong_with_the_socket_unit(forktail, tmp_path):
    service = (ROOT / "conf/systemd/forktail.service").read_text()
    (tmp_path / "forktail.service").write_text(re.sub("/usr/local/bin/forktail", str(forktail), service))
    (tmp_path / "forktail.socket").write_text((ROOT / "conf/systemd/forktail.socket").read_text())
    result = subprocess.run([need("systemd-analyze"), "verify", "--man=no", tmp_path / "forktail.socket"],
                            text=True, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_status_follows_the_number_of_workers(notifying, manager):
    app = notifying()
    app.wait_log("generation 1 serves")
    app.send_signal(signal.SIGTTOU)
    wait_for(lambda: manager.next("STATUS")["STATUS"] == "generation 1 serves with 1 workers, fork mode preload",
             "status")
    app.send_signal(signal.SIGWINCH)
    assert manager.next("STATUS")["STATUS"] == "without workers since SIGWINCH"
    app.send_signal(signal.SIGTTIN)
    time.sleep(0.1)  # nothing is to happen
    app.send_signal(signal.SIGHUP)
    assert manager.next("STATUS")["STATUS"] == "reloading"
