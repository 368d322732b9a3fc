"""What kill -9 of each process costs."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import uwsgi
from lib.hold import Held, held, release, wait_held
from lib.logs import nginx_error_id
from lib.processes import children_of, marked
from lib.waiting import wait_for

MODES = ["preload", "lazy", "exec"]
every_mode = pytest.mark.parametrize("mode", MODES)


def kill_worker(app, worker):
    """Kills it. Returns the seconds until its successor is ready."""
    before = len(app.log())
    victim = app.workers()[worker]
    start = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    app.wait_log(f"worker {worker} (pid {victim}) killed by SIGKILL", before)
    wait_for(lambda: app.workers().get(worker, victim) != victim, "successor")
    return time.monotonic() - start


@every_mode
def test_an_idle_worker_is_replaced_within_a_second_and_no_request_is_lost(server, nginx, record, mode):
    app = server(processes=4, fork_mode=mode)
    web = nginx(to=app)
    kept = {worker: pid for worker, pid in app.workers().items() if worker != 2}
    seconds = kill_worker(app, 2)
    statuses = [web.get("/").status for _ in range(50)]
    record(f"{mode}: worker back after {seconds * 1000:.0f} ms, then {statuses.count(200)} of 50 answers are 200")
    assert seconds < 1
    assert statuses == [200] * 50
    assert kept.items() <= app.workers().items()
    assert not app.log(event="lost")
    assert not web.errors()


@every_mode
def test_a_worker_killed_while_it_handles_costs_one_request_that_is_named_everywhere(
        server, nginx, hold_app, record, mode):
    app = server(app=hold_app, processes=4, fork_mode=mode)
    web = nginx(to=app)
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(web.get, "/hold?a=b")
        ((request_id, pid),) = wait_held(app).items()
        worker = next(worker for worker, of in app.workers().items() if of == int(pid))
        before = len(web.access())
        seconds = kill_worker(app, worker)
        others = [web.get("/").status for _ in range(50)]
        lost_response = response.result(10)
    assert lost_response.status == 502
    assert lost_response.getheader("X-Request-ID") == request_id
    lines = web.wait_access(before + 51)
    assert [line["request_id"] for line in lines if line["status"] != 200] == [request_id]
    (error,) = web.errors()
    assert nginx_error_id(error) == request_id
    (lost,) = app.wait_lines(event="lost")
    assert lost["request_id"] == request_id
    assert (lost["level"], lost["method"], lost["path"], lost["lost_worker"]) == (
        "error", "GET", "/hold", worker)
    assert "killed by SIGKILL while handling GET /hold (" in lost["msg"]
    assert seconds < 1
    record(f"{mode}: {others.count(200)} of 50 other requests answered with 200, worker back after "
           f"{seconds * 1000:.0f} ms\n{error}\n{lost['msg']}, request_id {request_id}")
    assert others == [200] * 50


def test_a_worker_killed_while_it_reads_is_reported_as_reading(server):
    app = server()
    pid = app.workers()[1]
    with uwsgi.connect(app.dial()) as s:
        s.sendall(b"\0\x10\0\0half of a packet"[:12])
        # The one worker has taken the connection from the queue when it reads no ping any more.
        wait_for(lambda: not answers_at_once(app), "worker that is busy reading")
        os.kill(pid, signal.SIGKILL)
        assert uwsgi.read_to_end(s) == b""
    (lost,) = app.wait_lines(event="lost")
    assert "killed by SIGKILL while reading a request" in lost["msg"]
    assert "request_id" not in lost


def answers_at_once(app):
    with uwsgi.connect(app.dial(), timeout=0.5) as s:
        s.sendall(uwsgi.packet({}, modifier1=100))
        try:
            return bool(s.recv(4))
        except TimeoutError:
            return False


def test_a_crash_is_reported_with_its_signal_and_request(server, nginx):
    app = server(processes=2)
    web = nginx(to=app)
    response = web.get("/crash")
    assert response.status == 502
    (lost,) = app.wait_lines(event="lost")
    assert "killed by SIGSEGV while handling GET /crash" in lost["msg"]
    assert lost["request_id"] == response.getheader("X-Request-ID")
    assert web.get("/").status == 200


@every_mode
def test_a_killed_template_is_replaced_and_the_workers_stay(server, record, mode):
    app = server(processes=3, fork_mode=mode)
    workers, template = app.workers(), app.template()
    start = time.monotonic()
    os.kill(template, signal.SIGKILL)
    app.wait_log(f"the template (pid {template}) was killed by SIGKILL")
    wait_for(lambda: len(children_of(app.pid)) == 4, "new template")
    record(f"{mode}: template back after {(time.monotonic() - start) * 1000:.0f} ms")
    assert app.workers() == workers
    assert app.template() != template
    kill_worker(app, 1)
    assert app.get("/").status == 200


@every_mode
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a request"])
def test_after_kill_9_of_the_master_nothing_of_it_is_left(server, hold_app, environment, record, mode, busy):
    app = server(app=hold_app, processes=4, threads=2, fork_mode=mode)
    request = Held(app, "held-at-the-end") if busy else None
    processes = marked(environment["FORKTAIL_TEST_ID"])
    assert len(processes) == 6  # master, template, workers
    start = time.monotonic()
    app.process.kill()
    app.process.wait()
    wait_for(lambda: not marked(environment["FORKTAIL_TEST_ID"]), "end of all processes", limit=1)
    record(f"{mode}: {len(processes)} processes gone after {(time.monotonic() - start) * 1000:.0f} ms")
    if request:
        assert request.answer() == b""


def test_a_master_killed_while_a_worker_loads_leaves_nothing(server, stuck_app, environment):
    app = server(start=False, fork_mode="lazy", app=stuck_app)
    app.start(ready=False)
    wait_for((app.home / "loading").exists, "application that loads")
    app.process.kill()
    app.process.wait()
    wait_for(lambda: not marked(environment["FORKTAIL_TEST_ID"]), "end of all processes", limit=1)


def test_with_threads_every_request_of_a_killed_worker_is_reported(server, hold_app):
    app = server(app=hold_app, threads=3)
    requests = [Held(app, f"request-number-{i}") for i in range(3)]
    os.kill(app.workers()[1], signal.SIGKILL)
    lost = app.wait_lines(3, event="lost")
    assert {line["request_id"] for line in lost} == set(held(app))
    assert [request.answer() for request in requests] == [b""] * 3
    release(app)
    assert app.get("/").status == 200


def test_a_killed_worker_lets_go_of_a_connection_at_once(server, hold_app):
    app = server(app=hold_app)
    request = Held(app, "cut-at-once-1")
    start = time.monotonic()
    os.kill(request.pid, signal.SIGKILL)
    assert request.answer() == b""
    assert time.monotonic() - start < 1
