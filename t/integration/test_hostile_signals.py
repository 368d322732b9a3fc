"""Signals: those of the server's, of a terminal's, and of the application's own."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.processes import children_of, is_alive, state_of
from lib.waiting import LIMIT, free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
# Each mode and each kind of socket, and not each with each.
every_place = pytest.mark.parametrize("mode, kind", [("preload", "unix"), ("lazy", "tcp"), ("exec", "unix")])
CHANGES = ["block", "ignore", "default", "handle"]


def ctl(app, *words, code=0):
    result = subprocess.run([app.binary, "ctl", "-c", app.home / "control", *words], text=True, capture_output=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == code, result
    return (result.stdout or result.stderr).strip()


# What whoever starts the server has done to signals.

DEAF = [sys.executable, "-c", """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""]


@every_mode
def test_a_server_that_was_started_with_all_signals_ignored_and_blocked_obeys_them(server, hostile_app, mode):
    app = server(start=False, app=hostile_app, processes=2, fork_mode=mode)
    app.through = DEAF
    app.start()
    killed = app.workers()[1]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: app.workers().get(1, killed) != killed, "another worker")
    app.send_signal(signal.SIGTTIN)
    wait_for(lambda: len(app.workers()) == 3, "third worker")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    os.kill(app.workers()[1], signal.SIGTERM)
    app.wait_log("worker 1 (pid ")
    assert app.get("/").status == 200
    assert app.stop() == 0


def test_an_upgrade_is_not_deaf_either(server, hostile_app):
    app = server(start=False, app=hostile_app, control="control", pidfile="pid")
    app.through = DEAF
    app.start()
    successor = int(ctl(app, "upgrade").split("pid ")[1].split()[0])
    assert app.process.wait(LIMIT) == 0
    os.kill(successor, signal.SIGHUP)
    app.wait_log("generation 3 serves")
    os.kill(successor, signal.SIGTERM)
    wait_for(lambda: not is_alive(successor), "end of the new master")


# A terminal.

ON_TERMINAL = [sys.executable, "-c", """
import os, sys
os.open(sys.argv[1], os.O_RDWR)  # a session's first one becomes its terminal
os.execv(sys.argv[2], sys.argv[2:])
"""]


@pytest.fixture
def terminal():
    """Our end, and the path of the other."""
    ours, theirs = pty.openpty()
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@every_mode
def test_the_resize_of_a_terminal_ends_no_worker(server, hostile_app, terminal, mode):
    ours, path = terminal
    app = server(start=False, app=hostile_app, processes=2, fork_mode=mode)
    app.through = [*ON_TERMINAL, path]
    app.start()
    workers = app.workers()
    for rows in (24, 40, 50):
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
    app.send_signal(signal.SIGWINCH)  # a program in between, as sudo, passes it on so
    app.send_signal(signal.SIGTTIN)  # which is obeyed after them
    wait_for(lambda: len(app.workers()) == 3, "third worker")
    assert workers.items() <= app.workers().items()
    assert not app.log(event="workers_sent_away")
    assert app.stop() == 0


@every_mode
@pytest.mark.parametrize("key", [b"\x03", b"\x1c"], ids=["interrupt", "quit"])
def test_keys_that_reach_all_processes_are_the_masters_to_obey(server, hostile_app, terminal, mode, key):
    ours, path = terminal
    app = server(start=False, app=hostile_app, processes=3, fork_mode=mode)
    app.through = [*ON_TERMINAL, path]
    app.start()
    os.write(ours, key)
    assert app.process.wait(LIMIT) == 0
    killed_by_the_master = key == b"\x03"  # which ends at once then
    assert {line["how"] for line in app.log(event="worker_died")} <= ({"killed by SIGKILL"} if killed_by_the_master else set())


# Ordinary traffic, and orders, interrupt nothing.


def closed_connections(app):
    for _ in range(30):
        with Kept(app) as one:
            assert one.ask("/").status == 200


def told(app, *words):
    subprocess.Popen([app.binary, "ctl", "-c", app.home / "control", *words], stdout=subprocess.DEVNULL,
                     env=app.environment)


def wait_log_of(app, text):
    app.wait_log(text)
    time.sleep(0.1)  # for what might come behind it


DISTURBANCES = {
    "connections are closed": closed_connections,
    "logs are reopened": lambda app: [told(app, "reopen"), time.sleep(0.2)],
    "a reload": lambda app: [told(app, "reload"), wait_log_of(app, "generation 2 serves")],
    "a scaling down": lambda app: [told(app, "scale", "1"), time.sleep(0.2)],
    "a refork": lambda app: [told(app, "refork"), wait_log_of(app, "becomes the next")],
    "a stop": lambda app: [app.send_signal(signal.SIGTERM), wait_log_of(app, "stopping")],
    "an upgrade": lambda app: [told(app, "upgrade"), wait_log_of(app, "generation 2 serves")],
}


@every_place
@pytest.mark.parametrize("what", DISTURBANCES)
def test_nothing_of_the_servers_ends_a_wait_of_the_application(server, hostile_app, mode, kind, what):
    if what == "a refork" and mode != "preload":
        pytest.skip("only preload has reforks")
    options = {"socket": f"127.0.0.1:{free_port()}"} if kind == "tcp" else {}
    app = server(app=hostile_app, processes=3, fork_mode=mode, control="control", **options)
    peers = [Kept(app) for _ in range(3)]
    for peer in peers:
        peer.ask("/")
    for peer in peers[:2]:  # so that one worker is left
        peer.send("/signals/wait")
    wait_for((app.home / "waiting").exists, "request that waits")
    DISTURBANCES[what](app)
    (app.home / "enough").touch()
    for peer in peers[:2]:
        assert peer.receive().body == b"0\n"
    for peer in peers:
        peer.close()
    if what == "an upgrade":
        app.process.wait(LIMIT)
        ctl(app, "stop")


# An application that does with signals what it likes.


@every_mode
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("what", CHANGES)
def test_orders_reach_an_application_whatever_it_does_to_signals(server, hostile_app, mode, threads, what):
    app = server(app=hostile_app, processes=2, threads=threads, fork_mode=mode, control="control")
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: app.get("/signals/" + what), range(24)))
    deaf = set(app.workers().values())
    (app.home / "server.log").rename(app.home / "server.log.1")
    assert ctl(app, "reopen") == "logs are reopened"
    begun = time.monotonic()
    assert ctl(app, "scale", "1") == "1 workers"
    assert ctl(app, "reload").startswith("generation 2")
    wait_for(lambda: not any(map(is_alive, deaf)), "end of the first generation")
    assert time.monotonic() - begun < 8
    app.get("/signals/" + what)
    assert app.stop() == 0
    assert not app.log(event="worker_killed")


@every_mode
@pytest.mark.parametrize("what", CHANGES)
def test_harakiri_comes_to_its_end_whatever_an_application_does_to_signals(server, hostile_app, mode, what):
    app = server(app=hostile_app, fork_mode=mode, harakiri="200ms", harakiri_grace="300ms")
    app.get("/signals/" + what)
    assert uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/time/forever", REQUEST_ID="overdue-1"))) == b""
    (lost,) = app.wait_lines(event="lost")
    assert lost["request_id"] == "overdue-1"
    assert lost["age_ms"] >= 499  # and not when its grace began
    assert len(app.log(event="harakiri_kill")) == 1
    assert "SIGKILL" in lost["how"]
    wait_for(lambda: app.get("/").status == 200, "another worker")


def test_a_worker_that_somebody_else_tells_to_leave_does_so_in_all_threads(server, hostile_app):
    app = server(app=hostile_app, processes=1, threads=8)
    for _ in range(3):
        worker = app.workers()[1]
        os.kill(worker, signal.SIGTERM)
        wait_for(lambda: app.workers().get(1, worker) != worker, "another worker")
    assert not app.log(event="worker_died")
    assert not app.log(event="worker_killed")


def test_a_stopped_worker_costs_the_others_little_and_obeys_when_it_goes_on(server, hostile_app):
    app = server(app=hostile_app, processes=3, control="control")
    stopped = app.workers()[3]
    os.kill(stopped, signal.SIGSTOP)
    wait_for(lambda: state_of(stopped) == "T", "stopped worker")
    told(app, "reopen")
    ticks = sum(cpu_ticks(pid) for pid in (app.pid, *children_of(app.pid)))
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert app.get("/").status == 200
        time.sleep(0.01)
    used = sum(cpu_ticks(pid) for pid in (app.pid, *children_of(app.pid))) - ticks
    assert used < 120, f"{used} ticks of 200"
    app.send_signal(signal.SIGTTOU)
    os.kill(stopped, signal.SIGCONT)
    wait_for(lambda: not is_alive(stopped), "end of the third worker")
    assert app.get("/").status == 200


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@every_mode
@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_that_has_the_master_trace_it_goes_on_as_any_other(server, hostile_app, mode, threads):
    app = server(app=hostile_app, processes=2, threads=threads, fork_mode=mode)
    workers = app.workers()
    for _ in range(6):
        assert app.get("/signals/traced").status == 200
    assert app.workers() == workers
    os.kill(workers[1], signal.SIGKILL)
    wait_for(lambda: app.workers().get(1, workers[1]) != workers[1], "another worker")
    assert app.stop() == 0


# Programs that the application starts.


def signals_of(text):
    lines = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
    of_libc = 3 << 31  # 32 and 33, which posix_spawn() ignores in its child
    return {name: int(lines[name], 16) & ~of_libc for name in ("SigBlk", "SigIgn")}


@every_mode
@pytest.mark.parametrize("how", ["fork", "vfork", "spawn", "system", "popen"])
def test_programs_of_the_application_have_default_signals(server, hostile_app, mode, how):
    app = server(start=False, app=hostile_app, fork_mode=mode, harakiri="10s", threads=2)
    app.through = DEAF
    app.start()
    for _ in range(3):
        answer = app.get("/signals/program?how=" + how)
        assert signals_of(answer.body.decode()) == {"SigBlk": 0, "SigIgn": 0}


@every_mode
def test_programs_that_are_started_at_load_do_so_too(server, build_app, mode):
    app = server(fork_mode=mode, app=build_app(r"""
        #include <forktail/app.h>
        #include <cstdlib>
        struct Starts : forktail::App {
          Starts() { if (system("cat /proc/self/status > at-load")) {} }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {200, "", ""}; }
        };
        FORKTAIL_APP(Starts)
    """))
    assert signals_of((app.home / "at-load").read_text()) == {"SigBlk": 0, "SigIgn": 0}


@every_mode
def test_a_write_without_a_reader_is_an_error_and_no_end(server, build_app, mode):
    app = server(fork_mode=mode, app=build_app(r"""
        #include <forktail/app.h>
        #include <unistd.h>
        #include <cerrno>
        #include <cstring>
        struct Pipe : forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            int ends[2];
            if (pipe(ends) == 0) close(ends[0]);
            const bool failed = write(ends[1], "x", 1) < 0;
            return {200, "text/plain", failed ? strerror(errno) : "written"};
          }
        };
        FORKTAIL_APP(Pipe)
    """))
    assert app.get("/").body == b"Broken pipe"
