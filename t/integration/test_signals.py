"""What each signal does to a running server."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import uwsgi
from lib.hold import Held, release
from lib.processes import children_of, is_alive
from lib.waiting import free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
GRACEFUL = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])


def queued(app, **extra):
    """A connection with a request that waits in the listen queue."""
    s = uwsgi.connect(app.dial())
    s.sendall(uwsgi.packet(uwsgi.variables("/", **extra)))
    return s


@GRACEFUL
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_stop_answers_what_is_in_flight_and_what_is_queued(server, hold_app, record, number, kind):
    options = {"socket": f"127.0.0.1:{free_port()}"} if kind == "tcp" else {}
    app = server(app=hold_app, processes=2, **options)
    requests = [Held(app, f"in-flight-{i}") for i in range(2)]
    waiting = [queued(app) for _ in range(3)]
    app.send_signal(number)
    app.wait_log("stopping")
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 2
    for s in waiting:
        with s:
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    assert app.stop() == 0
    assert not app.log(event="lost")
    record(f"{kind}, {number.name}: 2 requests in flight and 3 queued ones answered, exit code 0")


def is_refused(app):
    try:
        uwsgi.connect(app.dial()).close()
        return False
    except ConnectionRefusedError:
        return True


def test_a_stopping_server_refuses_new_connections(server, hold_app):
    app = server(app=hold_app)
    request = Held(app, "in-flight-1")
    app.send_signal(signal.SIGTERM)
    wait_for(lambda: is_refused(app), "refusal of a connection")
    release(app)
    assert uwsgi.Response(request.answer()).status == 200


@GRACEFUL
def test_a_second_stop_kills_and_names_the_cut_request(server, hold_app, number):
    app = server(app=hold_app, processes=2)
    request = Held(app, "cut-by-the-second")
    app.send_signal(number)
    app.wait_log("stopping")
    time.sleep(1.05)  # two of them within a second are one
    assert app.stop(number) == 0
    assert request.answer() == b""
    (lost,) = app.log(event="lost")
    assert lost["request_id"] == "cut-by-the-second"
    assert "while handling GET /hold" in lost["msg"]
    assert app.wait_log("killing worker")["level"] == "warn"


def test_a_stop_kills_at_the_end_of_mercy_and_names_the_cut_request(server, hold_app, record):
    app = server(app=hold_app, reload_mercy="300ms")
    request = Held(app, "cut-by-mercys-end")
    start = time.monotonic()
    assert app.stop() == 0
    seconds = time.monotonic() - start
    record(f"ended {seconds * 1000:.0f} ms after SIGTERM with a mercy of 300 ms")
    assert 0.3 <= seconds < 2
    assert request.answer() == b""
    (lost,) = app.log(event="lost")
    assert lost["request_id"] == "cut-by-mercys-end"
    assert app.wait_log("it had not left within its mercy")


@every_mode
def test_int_stops_at_once_and_names_the_cut_request(server, hold_app, record, mode):
    app = server(app=hold_app, processes=3, fork_mode=mode)
    request = Held(app, "cut-by-int-1")
    start = time.monotonic()
    assert app.stop(signal.SIGINT) == 0
    record(f"{mode}: ended {(time.monotonic() - start) * 1000:.0f} ms after SIGINT")
    assert time.monotonic() - start < 1
    assert request.answer() == b""
    (lost,) = app.log(event="lost")
    assert lost["request_id"] == "cut-by-int-1"
    assert len([line for line in app.log() if re.search(r"worker \d .* ready", line["msg"])]) == 3


@pytest.mark.parametrize("mode, mercy", [("preload", None), ("lazy", "200ms"), ("exec", "200ms")])
def test_a_stop_does_not_wait_for_an_application_that_loads_for_ever(server, stuck_app, mode, mercy):
    app = server(start=False, app=stuck_app, fork_mode=mode, reload_mercy=mercy)
    app.start(ready=False)
    wait_for((app.home / "loading").exists, "application that loads")
    assert app.stop() == 0


@every_mode
def test_ttin_and_ttou_start_and_end_a_worker(server, mode):
    app = server(processes=2, fork_mode=mode)
    first = app.workers()
    app.send_signal(signal.SIGTTIN)
    wait_for(lambda: set(app.workers()) == {1, 2, 3}, "third worker")
    app.send_signal(signal.SIGTTOU)
    wait_for(lambda: app.workers() == first, "end of the third worker")
    app.wait_log("worker 3 (pid ")
    for wanted in (1, 1):  # never fewer than one
        before = len(app.log())
        app.send_signal(signal.SIGTTOU)
        app.wait_log(f"{wanted} workers wanted", before)
    wait_for(lambda: app.workers() == {1: first[1]}, "end of the second worker")
    assert app.get("/").status == 200
    assert not [line for line in app.log() if line["level"] == "error"]


@every_mode
def test_a_worker_that_is_to_leave_before_it_is_there_leaves_in_good_order(server, mode):
    app = server(processes=1, fork_mode=mode)
    first = app.workers()
    for _ in range(10):
        before = len(app.log())
        app.send_signal(signal.SIGTTIN)
        app.wait_log("2 workers wanted", before)
        app.send_signal(signal.SIGUSR1)
        app.send_signal(signal.SIGTTOU)
        app.wait_log("1 workers wanted", before)
    wait_for(lambda: app.workers() == first, "end of the others")
    assert app.get("/").status == 200
    assert not [line for line in app.log() if line["level"] in ("error", "warning")]


def test_ttou_lets_a_worker_finish_its_request(server, hold_app):
    app = server(app=hold_app, processes=2)
    requests = [Held(app, f"in-flight-{i}") for i in range(2)]
    app.send_signal(signal.SIGTTOU)
    app.wait_log("1 workers wanted")
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 2
    wait_for(lambda: len(app.workers()) == 1, "end of a worker")
    assert not app.log(event="lost")


def test_winch_ends_the_workers_and_hup_starts_them_again(server, hold_app):
    app = server(app=hold_app, processes=2)
    request = Held(app, "in-flight-1")
    app.send_signal(signal.SIGWINCH)
    app.wait_log("ending the workers")
    release(app)
    assert uwsgi.Response(request.answer()).status == 200
    wait_for(lambda: not children_of(app.pid), "end of all workers and of the template")
    assert is_alive(app.pid)
    with queued(app) as s:
        app.send_signal(signal.SIGHUP)
        assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    app.wait_log("generation 2 serves")
    assert app.stop() == 0


def test_a_server_without_workers_can_be_stopped(server):
    app = server()
    app.send_signal(signal.SIGWINCH)
    wait_for(lambda: not children_of(app.pid), "end of all workers and of the template")
    assert app.stop() == 0


@every_mode
def test_usr1_reopens_the_log_in_every_process(server, record, mode):
    app = server(processes=4, fork_mode=mode)
    log, old = app.home / "server.log", app.home / "server.log.1"
    pids = set(app.workers().values())
    log.rename(old)
    app.send_signal(signal.SIGUSR1)

    def all_have_moved():
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: app.get("/"), range(16)))
        return pids <= {line["pid"] for line in app.log(event="request")}

    wait_for(all_have_moved, "line of every worker in the new log")
    size = old.stat().st_size
    for _ in range(20):
        app.get("/")
    app.send_signal(signal.SIGTTIN)
    assert app.wait_log("5 workers wanted")["pid"] == app.pid
    assert old.stat().st_size == size
    record(f"{mode}: master and {len(pids)} workers write into the new file")


def test_usr1_while_a_request_is_handled_does_not_disturb_it(server, hold_app):
    app = server(app=hold_app)
    request = Held(app, "in-flight-1")
    (app.home / "server.log").rename(app.home / "server.log.1")
    app.send_signal(signal.SIGUSR1)
    wait_for((app.home / "server.log").exists, "new log")
    release(app)
    assert uwsgi.Response(request.answer()).status == 200
    app.get("/", REQUEST_ID="after-the-reopen")
    app.wait_lines(event="request", request_id="after-the-reopen")


def test_usr1_that_can_not_reopen_keeps_the_old_file_and_says_so(server):
    app = server(processes=2)
    old = app.home / "server.log.1"
    (app.home / "server.log").rename(old)
    (app.home / "server.log").mkdir()
    app.send_signal(signal.SIGUSR1)
    wait_for(lambda: '"event":"log_reopen_failed"' in old.read_text(), "line that says so")
    app.get("/", REQUEST_ID="into-the-old-file")
    wait_for(lambda: '"request_id":"into-the-old-file"' in old.read_text(), "line in the old file")
    (app.home / "server.log").rmdir()


def test_a_worker_that_dies_at_each_start_is_started_ever_more_slowly_and_comes_back(server, build_app, record):
    app = server(processes=2, app=build_app("""
        #include <forktail/app.h>
        #include <unistd.h>
        #include <cstdlib>
        class Fragile : public forktail::App {
          void on_worker_start(const forktail::Worker& worker) override {
            if (worker.id == 2 && access("broken", F_OK) == 0) {
              abort();
            }
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            return {200, "text/plain", "ok"};
          }
        };
        FORKTAIL_APP(Fragile)
    """))
    (app.home / "broken").touch()
    os.kill(app.workers()[2], signal.SIGKILL)

    def deaths():
        return [line["ts"] for line in app.log() if line["msg"].endswith("killed by SIGABRT")]

    wait_for(lambda: len(deaths()) == 5, "five deaths")
    seconds = [float(ts[17:-1]) for ts in deaths()]
    waits = [(later - earlier) % 60 for earlier, later in zip(seconds, seconds[1:])]
    record("waits between the deaths: " + ", ".join(f"{wait * 1000:.0f} ms" for wait in waits))
    assert app.get("/").status == 200  # by the other worker
    for wait, least in zip(waits[1:], (0.2, 0.4, 0.8)):
        assert wait >= least
    (app.home / "broken").unlink()
    wait_for(lambda: 2 in app.workers(), "second worker")
