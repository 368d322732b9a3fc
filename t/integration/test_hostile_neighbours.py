"""Starting, stopping, and living beside one's like."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.hold import Held, release
from lib.processes import children_of, is_alive, state_of
from lib.server import refused
from lib.tools import need, need_root
from lib.waiting import LIMIT, free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


def ctl(app, *words, code=0):
    result = subprocess.run([app.binary, "ctl", "-c", app.home / "control", *words], text=True, capture_output=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == code, result
    return (result.stdout or result.stderr).strip()


# Files that are another one's by now.


@pytest.mark.parametrize("option", ["socket", "stats", "control"])
def test_a_server_that_ends_leaves_the_socket_of_its_successor(server, hold_app, tmp_path, option):
    path = tmp_path / "one.sock"
    old = server(app=hold_app, **{option: path})
    request = Held(old, "in-flight-1") if option != "control" else None
    path.unlink()  # or `stop`, after which nobody can connect and the path is free
    new = server(app=hold_app, **{option: path})
    inode = path.stat().st_ino
    if request:
        release(old)
        assert request.answer()
    assert old.stop() == 0
    assert path.stat().st_ino == inode
    assert new.get("/").status == 200
    assert new.stop() == 0
    assert not path.exists()


def test_a_server_may_start_while_the_last_one_finishes_its_requests(server, hold_app, tmp_path):
    path = tmp_path / "one.sock"
    old = server(app=hold_app, socket=path)
    request = Held(old, "in-flight-1")
    old.send_signal(signal.SIGTERM)
    old.wait_log("stopping")
    new = server(app=hold_app, socket=path)
    release(old)
    assert uwsgi.Response(request.answer()).status == 200
    assert old.process.wait(LIMIT) == 0
    assert new.get("/").status == 200
    assert new.stop() == 0


def test_an_upgrade_and_the_successor_of_somebody_else(server, tmp_path):
    # The binary's successor inherits the socket, not the right to remove another server's.
    path = tmp_path / "one.sock"
    old = server(socket=path, control="control")
    successor = int(ctl(old, "upgrade").split("pid ")[1].split()[0])
    assert old.process.wait(LIMIT) == 0
    path.unlink()
    new = server(socket=path)
    ctl(old, "stop")
    wait_for(lambda: not is_alive(successor), "end of the upgraded server")
    assert new.get("/").status == 200
    assert new.stop() == 0


def test_a_pidfile_of_somebody_else_stays(server, tmp_path):
    pidfile = tmp_path / "pid"
    old = server(pidfile=pidfile)
    pidfile.unlink()
    new = server(pidfile=pidfile)
    assert old.stop() == 0
    assert pidfile.read_text() == f"{new.pid}\n"
    assert new.stop() == 0
    assert not pidfile.exists()


# A restart right after a kill.

SLOW_TO_DIE = r"""
#include <forktail/app.h>
#include <unistd.h>
// Some of its processes outlive the server for a moment, as those do that have much memory to give back.
struct Slow : forktail::App {
  void on_worker_start(const forktail::Worker&) override {
    const pid_t worker = getpid();
    if (fork() != 0) return;
    while (getppid() == worker) usleep(1000);
    usleep(700'000);
    _exit(0);
  }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {200, "", "x"}; }
};
FORKTAIL_APP(Slow)
"""


@every_mode
@pytest.mark.parametrize("kind", ["unix", "TCP", "abstract"])
def test_a_restart_right_after_a_kill_succeeds(server, build_app, tmp_path, kind, mode):
    socket = {"unix": tmp_path / "one.sock", "TCP": f"127.0.0.1:{free_port()}",
              "abstract": f"@forktail-test-{os.getpid()}-{mode}"}[kind]
    options = {"socket": socket, "pidfile": tmp_path / "pid", "control": tmp_path / "control", "processes": 2,
               "fork_mode": mode}
    first = server(app=build_app(SLOW_TO_DIE), **options)
    first.process.kill()
    first.process.wait()
    second = server(**options)
    assert second.get("/").status == 200


def test_a_server_that_lives_is_still_refused_to_another(server):
    first = server(pidfile="pid")
    second = server(start=False, socket=first.options["socket"])
    began = time.monotonic()
    refused(second.run(), "another server listens", code=1)
    assert time.monotonic() - began < LIMIT
    assert first.get("/").status == 200
    tcp = server(socket=f"127.0.0.1:{free_port()}")
    refused(server(start=False, socket=tcp.options["socket"]).run(), "another server listens", "port", code=1)


# Containers.


def test_an_upgrade_as_the_first_process_of_a_container_is_refused(server, forktail):
    need_root()
    app = server(start=False, control="control")
    words = [need("unshare"), "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no PID namespace can be made here")
    command = app.command()
    app.command = lambda: [*words, *command]
    app.start()
    text = ctl(app, "upgrade", code=1)
    assert "first process of a container" in text and "start a container" in text
    assert app.get("/").status == 200
    ctl(app, "stop")
    assert app.process.wait(LIMIT) == 0


# Generations that leave.


def workers_of(app):
    with uwsgi.connect(app.home / "stats") as s:
        return json.loads(uwsgi.read_to_end(s))["workers"]


@every_mode
def test_generations_that_leave_are_shown(server, hold_app, mode):
    app = server(app=hold_app, processes=2, stats="stats", stats_http=f"127.0.0.1:{free_port()}", fork_mode=mode)
    requests = [Held(app, "in-flight-1")]
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    wait_for(lambda: len(workers_of(app)) == 3, "one worker that leaves")
    requests.append(Held(app, "in-flight-2"))
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 3 serves")
    workers = wait_for(lambda: len(found := workers_of(app)) == 4 and found, "two workers that leave")
    assert [worker["generation"] for worker in workers] == [3, 3, 2, 1]
    old = {worker["generation"]: worker for worker in workers[2:]}
    assert [worker["accepting"] for worker in workers] == [1, 1, 0, 0]
    for number, request in enumerate(requests, 1):
        (core,) = old[number]["cores"]
        assert (core["request_id"], core["path"]) == (request.id, "/hold")
    top = subprocess.run([app.binary, "top", "-s", app.home / "stats"], text=True, capture_output=True, timeout=LIMIT,
                         check=True).stdout
    assert "in-flight-1" in top and "in-flight-2" in top
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200, 200]
    wait_for(lambda: len(workers_of(app)) == 2, "end of those that left")


@every_mode
def test_a_generation_keeps_connections_however_many_others_are_leaving(server, hold_app, mode):
    app = server(app=hold_app, processes=1, fork_mode=mode)
    requests = []
    for generation in range(2, 8):
        requests.append(Held(app, f"in-flight-{generation}"))
        app.send_signal(signal.SIGHUP)
        app.wait_log(f"generation {generation} serves")
    with Kept(app) as one:
        for _ in range(3):
            assert one.ask().status == 200  # over the same connection
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 6


# Time that nobody saw.


def frozen(app, seconds):
    """All of its processes stop for a while, as in a machine that is paused."""
    pids = [app.pid, *children_of(app.pid)]
    signal_all(pids, signal.SIGSTOP)
    wait_for(lambda: all(state_of(pid) in ("T", "Z", None) for pid in pids), "processes that stand still")
    time.sleep(seconds)
    signal_all(reversed(pids), signal.SIGCONT)


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has left just now
            os.kill(pid, number)


@every_mode
def test_a_machine_that_was_frozen_goes_on_with_its_requests(server, hold_app, mode):
    app = server(app=hold_app, harakiri="2s", harakiri_grace="1s", fork_mode=mode)
    request = Held(app, "in-flight-1")
    frozen(app, 4)
    time.sleep(0.5)  # in which a kill would come
    release(app)
    assert uwsgi.Response(request.answer()).status == 200
    assert not app.log(event="harakiri")
    assert not app.log(event="lost")


def test_an_upload_goes_on_after_a_freeze(server, hold_app):
    app = server(app=hold_app, socket_timeout="1s")
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/", "POST", b"x" * 10)) + b"x" * 5)
        time.sleep(0.1)  # until a worker waits for the rest
        frozen(app, 2.5)
        time.sleep(0.3)  # the other side has been frozen as well
        s.sendall(b"x" * 5)
        assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200


def test_after_a_freeze_harakiri_comes_when_the_rest_of_the_time_is_over(server, hold_app):
    app = server(app=hold_app, harakiri="700ms", harakiri_grace="300ms")
    request = Held(app, "in-flight-1")
    frozen(app, 2)
    assert request.answer() == b""
    assert app.wait_lines(event="harakiri", request_id="in-flight-1")


def test_mercy_does_not_pass_while_the_machine_is_frozen(server, hold_app):
    app = server(app=hold_app, reload_mercy="8s")  # which a slow machine has not used up before
    request = Held(app, "in-flight-1")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    frozen(app, 9)
    time.sleep(0.3)  # in which a kill would come
    release(app)
    assert uwsgi.Response(request.answer()).status == 200


# What asking costs.


def test_the_master_does_not_wait_for_the_measuring_of_memory(server, build_app):
    # 8 workers of 384 MiB that they share: to count the pages of each takes the kernel long.
    app = server(processes=8, stats="stats", control="control", app=build_app(r"""
        #include <forktail/app.h>
        #include <sys/mman.h>
        #include <cstring>
        struct Large : forktail::App {
          Large() {
            constexpr std::size_t kSize = 384 << 20;
            void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            madvise(memory, kSize, MADV_NOHUGEPAGE);
            memset(memory, 1, kSize);
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {200, "", "x"}; }
        };
        FORKTAIL_APP(Large)
    """))
    before = cpu_seconds(app.pid)
    for _ in range(5):
        workers = workers_of(app)
        assert all(worker["pss"] > 0 for worker in workers)
    assert cpu_seconds(app.pid) - before < 0.1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
