"""Which request a dead worker was serving: the master says so, by id, however it died."""

import fcntl
import os
import random
import re
import signal
import struct
import termios
import threading
import time

import pytest

from lib import uwsgi
from lib.processes import children_of, state_of
from lib.tools import FULL
from lib.waiting import wait_for

SOURCE = r"""
#include <forktail/app.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

class Die : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    const std::string path(request.path());
    usleep(path == "/wait" ? 5000 : 20000);
    if (path == "/segv") {
      *static_cast<volatile int*>(nullptr) = 1;
    } else if (path == "/abort") {
      std::abort();
    } else if (path == "/kill") {
      raise(SIGKILL);
    } else if (path == "/exit") {
      std::exit(3);
    } else if (path == "/exit-0") {
      _exit(0);
    } else if (path == "/stream") {
      return forktail::Response::stream(200, "text/plain", [](forktail::Writer& writer) {
        writer.write(std::string(100000, 'x'));
        raise(SIGKILL);
      });
    }
    return {200, "", path == "/pid" ? std::to_string(getpid()) : path};
  }
};
FORKTAIL_APP(Die)
"""

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="session")
def die_app(build_app):
    return build_app(SOURCE)


def die(app, path, **extra):
    """The master's two lines: of the worker's end, and of the request that was lost."""
    sent = uwsgi.packet(uwsgi.variables(path, REQUEST_ID="the-lost-one", **extra))
    answer = uwsgi.exchange(app.dial(), sent)
    (lost,) = app.wait_lines(event="lost")
    (end,) = app.log(event="worker_died")
    return answer, end, lost


@every_mode
@pytest.mark.parametrize("path, method, how", [
    ("/segv", "GET", "killed by SIGSEGV"),
    ("/abort", "POST", "killed by SIGABRT"),
    ("/kill", "PUT", "killed by SIGKILL"),
    ("/exit", "DELETE", "ended with exit status 3"),
    ("/exit-0", "PATCH", "ended with exit status 0"),
])  # fmt: skip
def test_a_death_in_a_request_is_reported_with_id_method_path_state_and_age(
        server, die_app, mode, path, method, how):
    app = server(app=die_app, fork_mode=mode, processes=2)
    before = app.workers()
    answer, end, lost = die(app, path + "?secret=1", method=method)
    assert answer == b""
    worker, pid = lost["lost_worker"], before[lost["lost_worker"]]
    assert end["msg"] == f"worker {worker} (pid {pid}) {how}"
    found = re.fullmatch(rf"worker {worker} \(pid {pid}\) {how} while handling {method} {path} \((\d+) ms\)",
                         lost["msg"])
    assert found and 20 <= int(found[1]) < 2000, lost["msg"]
    assert (lost["level"], lost["request_id"], lost["pid"]) == ("error", "the-lost-one", app.pid)
    assert (lost["method"], lost["path"]) == (method, path)
    wait_for(lambda: set(app.workers()) == {1, 2}, "successor")
    assert app.workers()[3 - worker] == before[3 - worker]
    assert app.get("/").status == 200


def test_a_death_while_the_answer_is_written_is_reported_as_writing(server, die_app):
    app = server(app=die_app)
    answer, _, lost = die(app, "/stream")
    assert answer.startswith(b"HTTP/1.1 200")
    assert "killed by SIGKILL while writing GET /stream (" in lost["msg"]


def unread(s):
    """Bytes that this end has sent and the other has not read (unix(7), SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, struct.pack("i", 0)))[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_death_while_the_packet_is_read_is_reported_as_reading(server, die_app, number):
    app = server(app=die_app, stats="stats.sock")
    pid = app.workers()[1]
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/never"))[:20])
        # One that has read nothing yet may give the connection to another.
        wait_for(lambda: unread(s) == 0, "worker that has read all there is")
        wait_for(lambda: b'"state":"reading"' in uwsgi.exchange(app.home / "stats.sock", b""),
                 "worker that reads")
        os.kill(pid, number)
        assert uwsgi.read_to_end(s) == b""
    (lost,) = app.wait_lines(event="lost")
    assert re.fullmatch(rf"worker 1 \(pid {pid}\) killed by {number.name} while reading a request \(\d+ ms\)",
                        lost["msg"])
    assert "request_id" not in lost  # which had not come yet
    assert app.get("/").status == 200


def test_a_death_while_the_body_is_read_bears_the_id(server, die_app):
    app = server(app=die_app, stats="stats.sock")
    sent = uwsgi.packet(uwsgi.variables("/upload", "POST", b"x" * 100, REQUEST_ID="half-a-body"))
    with uwsgi.connect(app.dial()) as s:
        s.sendall(sent + b"half")
        wait_for(lambda: b"half-a-body" in uwsgi.exchange(app.home / "stats.sock", b""),
                 "worker that reads the body")
        os.kill(app.workers()[1], signal.SIGKILL)
        assert uwsgi.read_to_end(s) == b""
    (lost,) = app.wait_lines(event="lost")
    assert (lost["request_id"], lost["method"], lost["path"]) == ("half-a-body", "POST", "/upload")


def test_an_idle_worker_that_dies_costs_no_request_and_none_is_named(server, die_app):
    app = server(app=die_app, processes=2)
    app.get("/", REQUEST_ID="long-answered")
    pid = app.workers()[1]
    os.kill(pid, signal.SIGKILL)
    line = app.wait_log(f"worker 1 (pid {pid}) killed by SIGKILL")
    assert (line["level"], "request_id" in line) == ("error", False)
    wait_for(lambda: app.workers().get(1, pid) != pid, "successor")
    assert not app.log(event="lost")


class Client(threading.Thread):
    """Asks without a pause. `failed` has the ids of the requests that got no whole answer."""

    def __init__(self, app, name):
        super().__init__()
        self.app = app
        self.prefix = name
        self.over = threading.Event()
        self.sent = 0
        self.failed = []

    def run(self):
        while not self.over.is_set():
            request_id = f"{self.prefix}-{self.sent:06}"
            self.sent += 1
            packet = uwsgi.packet(uwsgi.variables("/wait", REQUEST_ID=request_id))
            answer = uwsgi.exchange(self.app.dial(), packet)
            if not answer.endswith(b"\r\n\r\n/wait"):
                self.failed.append(request_id)


@every_mode
def test_random_kills_under_load_cost_what_was_in_flight_and_each_is_named(server, die_app, record, mode):
    """A request counts as in flight from the moment that its worker has said that it has one. For a few
    microseconds before, it is already taken from the listen queue: a kill then, which is rare, leaves
    no name."""
    app = server(app=die_app, processes=4, fork_mode=mode)
    clients = [Client(app, f"client{i}") for i in range(6)]
    for client in clients:
        client.start()
    seconds = 60 if FULL else 5 / 3
    end = time.monotonic() + seconds
    kills = 0
    dice = random.Random(4)
    try:
        while time.monotonic() < end:
            pids = [pid for pid in app.workers().values() if state_of(pid) not in (None, "Z")]
            if pids:
                try:
                    os.kill(dice.choice(pids), signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass  # not reaped by us, so it may be gone by now
            time.sleep(dice.uniform(0.02, 0.2))
    finally:
        for client in clients:
            client.over.set()
        for client in clients:
            client.join()
    wait_for(lambda: set(app.workers()) == {1, 2, 3, 4}, "all workers", limit=40)
    sent = sum(client.sent for client in clients)
    failed = sorted(request_id for client in clients for request_id in client.failed)
    lost = app.log(event="lost")
    named = sorted(line["request_id"] for line in lost if "request_id" in line)
    unread = [line for line in lost if "request_id" not in line]
    assert len(failed) <= kills
    # Killed between the last byte of its answer and the slot's release, it is named and has not failed.
    spared = set(named) - set(failed)
    record(f"{mode}: {kills} kills in {seconds:.1f} s, {sent} requests, {len(failed)} failed; {len(lost)} "
           f"in flight in the killed workers, of which {len(unread)} had not been read and {len(spared)} had "
           "their whole answer")
    assert all("while writing" in line["msg"] for line in lost if line.get("request_id") in spared)
    unnamed = set(failed) - set(named)
    assert len(unread) <= len(unnamed) <= len(unread) + 1 + kills // 200
    assert len(children_of(app.pid)) == 5
    assert app.get("/").status == 200
