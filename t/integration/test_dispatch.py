"""Who serves which connection, and what is left behind."""

import contextlib
import os
import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispatch_support import (APP, Kept, Load, activity, descriptors, descriptors_at_rest, keep_conf, seconds,
                              wait_quiet)
from lib import uwsgi
from lib.hold import wait_held
from lib.processes import children_of
from lib.tools import need
from lib.waiting import wait_for

pytestmark = pytest.mark.alone

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="module")
def work_app(build_app):
    return build_app(APP)


@pytest.fixture
def loaded(server, work_app):
    """loaded(...) is as server(...), for many requests: without a line for each."""
    return lambda **options: server(app=work_app, disable_logging=True, **options)


def burst(port, clients):
    """So many connections at once, each with a request; returns the status lines."""
    sockets = []
    for _ in range(clients):
        s = socket.create_connection(("127.0.0.1", port))
        sockets.append(s)
    for s in sockets:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = [uwsgi.read_to_end(s).split(b"\r\n")[0] for s in sockets]
    for s in sockets:
        s.close()
    return answers


@pytest.mark.parametrize("threads", [1, 4])
def test_after_a_burst_of_512_clients_nothing_is_left_and_nothing_stirs(server, nginx, work_app, record, threads):
    app = server(app=work_app, processes=4, threads=threads)
    web = nginx(**keep_conf(app, 512, "keepalive_timeout 1s;"), connections=2048)
    before = descriptors_at_rest(app)
    answers = burst(web.port, 512)
    assert answers == [b"HTTP/1.1 200 OK"] * 512
    wait_for(lambda: descriptors(app) == before, "end of all kept connections")
    wait_quiet(app)
    start = activity(app)
    time.sleep(seconds(3, 1))
    assert activity(app) == start
    record(f"{threads} threads: 512 answered; the processes have {list(before.values())} descriptors as before "
           "and do not wake up")


def test_kept_connections_that_idle_cost_nothing(server, work_app, record):
    app = server(app=work_app, processes=4)
    peers = [Kept(app) for _ in range(64)]
    for peer in peers:
        assert peer.ask().status == 200
    wait_quiet(app)
    start = activity(app)
    time.sleep(seconds(3, 1))
    assert activity(app) == start
    for peer in peers:
        assert peer.ask().status == 200
        peer.close()
    record("64 idle connections: no process wakes up")


def test_a_slow_request_delays_nobody_else(server, nginx, work_app, record):
    app = server(app=work_app, processes=4)
    web = nginx(**keep_conf(app))
    with ThreadPoolExecutor(9) as pool:
        # All kept connections have been served by whichever worker it was.
        list(pool.map(lambda _: web.get("/"), range(64)))
        slow = pool.submit(web.get, "/?ms=5000")
        wait_for(lambda: len(app.log(event="request")) >= 64, "the others' end")

        def fast(_):
            start = time.monotonic()
            assert web.get("/").status == 200
            return (time.monotonic() - start) * 1000

        times = list(pool.map(fast, range(200)))
        assert not slow.done(), "the fast ones took too long to say anything"
        assert slow.result(10).status == 200
    record(f"200 fast ones beside one of 5 s: slowest {max(times):.1f} ms")
    assert max(times) < 100


def test_no_fast_request_waits_behind_a_slow_one_in_a_hundred_bursts(server, nginx, work_app, record):
    """Of new connections and kept ones, while the table of those has room and while it has none."""
    times = []
    for limit in (None, "--nofile=256"):
        app = server(start=False, app=work_app, processes=12)
        app.through = [need("prlimit"), limit] if limit else []
        app.start()
        web = nginx(**keep_conf(app, 64))
        with ThreadPoolExecutor(16) as pool:
            def burst_of(number, app=app, web=web):
                time.sleep(0.1 * (number % 10))  # ten at a time, so that two workers are always idle
                slow = pool.submit(uwsgi.exchange, app.dial(), uwsgi.packet(uwsgi.variables("/?ms=1000")))
                for _ in range(5):
                    start = time.monotonic()
                    assert web.get("/").status == 200
                    times.append((time.monotonic() - start) * 1000)
                return slow

            for tens in range(5):
                for slow in [burst_of(10 * tens + i) for i in range(10)]:
                    assert b" 200 " in slow.result(10)
    record(f"{len(times)} fast ones: slowest {max(times):.1f} ms")
    assert max(times) < 100


@every_mode
def test_killed_workers_cost_only_what_they_had_in_flight(loaded, nginx, record, mode):
    app = loaded(processes=4, fork_mode=mode)
    web = nginx(**keep_conf(app))
    kills = seconds(10, 4)
    with Load(web, 64, "/?ms=5", (0, 10, 3000)) as load:
        for _ in range(kills):
            load.wait(100)
            victim = min(app.workers().values())
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: len(app.workers()) == 4, "successor")
    lost = {line.get("request_id") for line in app.log(event="lost")}
    failed = {request_id for request_id, _ in load.failures}
    record(f"{mode}: {load.count} requests, {kills} kills, {len(load.failures)} failed, all of them named")
    assert failed <= lost, load.failures
    assert len(load.failures) <= kills
    assert {what for _, what in load.failures} <= {502}


def test_with_threads_killed_workers_cost_only_what_they_had_in_flight(loaded, nginx):
    app = loaded(processes=2, threads=4)
    web = nginx(**keep_conf(app))
    with Load(web, 64, "/?ms=5", (0, 10, 3000)) as load:
        for _ in range(4):
            load.wait(100)
            os.kill(min(app.workers().values()), signal.SIGKILL)
            wait_for(lambda: len(app.workers()) == 2, "successor")
    lost = {line.get("request_id") for line in app.log(event="lost")}
    assert {request_id for request_id, _ in load.failures} <= lost, load.failures
    assert len(load.failures) <= 4 * 4


def test_a_kept_connection_ends_at_once_with_the_worker_that_serves_it(server, hold_app, record):
    app = server(app=hold_app, processes=4)
    with Kept(app) as peer:
        assert peer.ask().status == 200  # from now on every process has a duplicate of it
        peer.send("/hold", REQUEST_ID="cut-at-once")
        served = int(wait_held(app)["cut-at-once"])
        start = time.monotonic()
        os.kill(served, signal.SIGKILL)
        assert peer.receive() is None
        took = time.monotonic() - start
    record(f"the peer saw the end after {took * 1000:.1f} ms")
    assert took < 0.1
    (lost,) = app.wait_lines(event="lost")
    assert lost["request_id"] == "cut-at-once"


def test_a_stopped_master_stops_nothing_else(loaded, nginx, record):
    """Each request has a new connection, of which the master is told and does not hear."""
    app = loaded(processes=4)
    web = nginx(**keep_conf(app, 2))
    before = descriptors_at_rest(app)
    workers = app.workers()
    with Load(web, 32, sizes=(0, 10, 3000)) as load:
        app.send_signal(signal.SIGSTOP)
        start = load.count
        time.sleep(seconds(4, 2))
        served = load.count - start
        app.send_signal(signal.SIGCONT)
        load.wait(100)
    record(f"{served} requests served while the master stood still")
    assert not load.failures
    assert served > 100
    assert app.workers() == workers
    web.stop()
    wait_for(lambda: descriptors(app) == before, "end of all kept connections")


@every_mode
def test_a_storm_of_reloads_loses_no_request(loaded, nginx, record, mode):
    app = loaded(processes=4, fork_mode=mode)
    web = nginx(**keep_conf(app))
    with Load(web, 64) as load:
        for i in range(25):
            app.send_signal(signal.SIGHUP)
            time.sleep(i / 1000)
        wait_for(lambda: "generation 3 serves" in app.log_text(), "third generation")
        load.wait(500)
    record(f"{mode}: {load.count} requests over a storm of 25 reloads, {len(load.failures)} failed")
    assert not load.failures
    wait_for(lambda: len(children_of(app.pid)) == 5, "end of the former generations")


class Hesitant(Load):
    """Clients that connect to the server itself, and send a moment later."""

    def __init__(self, app, clients):
        super().__init__(None, clients)
        self.app = app

    def one(self, body):
        try:
            with uwsgi.connect(self.app.dial()) as s:
                time.sleep(random.uniform(0, 0.01))
                s.sendall(uwsgi.packet(uwsgi.variables("/", REQUEST_ID="hesitant")))
                assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
        except (OSError, AssertionError) as error:
            return None, repr(error)
        return None


@pytest.mark.parametrize("threads", [1, 4])
def test_reloads_lose_no_request_of_peers_that_hesitate(loaded, record, threads):
    app = loaded(processes=4, threads=threads)
    with Hesitant(app, 2) as load:
        for reload in range(seconds(100, 10, 1000)):
            app.send_signal(signal.SIGHUP)
            wait_for(lambda: f"generation {reload + 1} has left" in app.log_text(), "end")  # noqa: B023
        load.wait(100)
    record(f"{load.count} requests over {reload + 1} reloads, {len(load.failures)} failed")
    assert not load.failures


def test_scaling_under_load_loses_no_request(loaded, nginx, record):
    app = loaded(processes=4)
    web = nginx(**keep_conf(app))
    with Load(web, 64) as load:
        for number in [signal.SIGTTIN] * 4 + [signal.SIGTTOU] * 7 + [signal.SIGTTIN] * 3:
            load.wait(100)
            app.send_signal(number)
        wait_for(lambda: len(app.workers()) == 4, "four workers")
    record(f"{load.count} requests while 4 workers became 8, 1 and 4 again, {len(load.failures)} failed")
    assert not load.failures


MIXES = {"preload": {}, "lazy": {"fork_mode": "lazy"}, "exec": {"fork_mode": "exec"}, "threads": {"threads": 4}}


@pytest.mark.parametrize("options", MIXES.values(), ids=MIXES.keys())
def test_bodies_come_back_whole_whatever_is_restarted(loaded, nginx, record, options):
    app = loaded(processes=4, **options)
    web = nginx(**keep_conf(app), workers=2)
    with Load(web, 64) as load:
        end = time.monotonic() + (seconds(5, 3) if options else seconds(20, 3, 60))
        while time.monotonic() < end:
            app.send_signal(signal.SIGHUP)
            load.wait(100)
            web.process.send_signal(signal.SIGHUP)
            load.wait(100)
            workers = app.workers().values()  # a reload may have ended them all while the log was read
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(max(workers), signal.SIGTERM)
            load.wait(100)
    record(f"{load.count} bodies, {len(load.failures)} failed")
    assert not load.failures
    assert not app.log(event="lost")


def test_who_waits_long_for_a_worker_is_served_nevertheless(server, nginx, work_app):
    """They have been accepted, and nobody has read their requests for longer than socket-timeout."""
    app = server(app=work_app, socket_timeout="200ms", keepalive_timeout="200ms")
    web = nginx(**keep_conf(app))
    assert web.get("/").status == 200
    with ThreadPoolExecutor(4) as pool:
        assert [one.status for one in pool.map(web.get, ["/?ms=1200"] * 4)] == [200] * 4


def test_silent_peers_hold_no_worker(server, work_app, record):
    app = server(app=work_app, socket_timeout="1s")
    with Kept(app) as keeping:
        assert keeping.ask().status == 200
        silent = [uwsgi.connect(app.dial()) for _ in range(50)]
        times = []
        for _ in range(20):
            start = time.monotonic()
            assert app.get("/").status == 200
            times.append((time.monotonic() - start) * 1000)
        record(f"with one worker and 50 silent peers the slowest request took {max(times):.1f} ms")
        assert max(times) < 500
        for s in silent:
            with s:
                assert s.recv(1) == b"", "a silent peer is given up after socket-timeout"
        assert keeping.ask().status == 200
    assert app.get("/").status == 200
