"""Workers that have done enough: replaced one at a time, and no request is lost by it."""

import re
import signal
import time

import pytest

from lib import uwsgi
from lib.hold import Held, release
from lib.load import Load
from lib.waiting import wait_for

REPLACED = re.compile(r"worker (\d+)(?: \(pid \d+\))? is replaced: (.*)")
READY = re.compile(r"worker (\d+) \(pid \d+\) ready$")

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


def reasons(app):
    """(worker, why) of each replacement so far."""
    found = (REPLACED.fullmatch(line["msg"]) for line in app.log())
    return [(int(match[1]), match[2]) for match in found if match]


def check_one_at_a_time(app):
    """From the moment that a worker is replaced until its successor is ready no other one is."""
    away = None
    for message in (line["msg"] for line in app.log()):
        if replaced := REPLACED.fullmatch(message):
            assert away is None, f"worker {away} was away when {message!r}"
            away = int(replaced[1])
        elif (ready := READY.fullmatch(message)) and int(ready[1]) == away:
            away = None


@every_mode
def test_a_worker_is_replaced_after_max_requests(server, record, mode):
    app = server(fork_mode=mode, max_requests=5)
    pids = [app.get("/").json()["pid"] for _ in range(20)]
    wait_for(lambda: len(reasons(app)) == 4, "fourth replacement")
    record(f"{mode}: 20 requests, pids {pids}")
    assert reasons(app) == [(1, "5 requests (max-requests)")] * 4
    assert [len(set(pids[i:i + 5])) for i in range(0, 20, 5)] == [1] * 4
    assert len(set(pids)) == 4
    assert not [line for line in app.log() if line["level"] != "info"]


@every_mode
def test_under_load_workers_are_replaced_one_at_a_time_and_no_request_is_lost(server, record, mode):
    app = server(processes=4, fork_mode=mode, max_requests=100)
    with Load(app.get) as load:
        wait_for(lambda: len(reasons(app)) >= 8, "eight replacements", limit=60)
    record(f"{mode}: {load.answered} requests, {len(reasons(app))} workers replaced, "
           f"{len(load.failures)} failed")
    assert not load.failures
    assert {worker for worker, _ in reasons(app)} == {1, 2, 3, 4}
    check_one_at_a_time(app)


def test_max_requests_delta_is_drawn_anew_by_each_worker(server, record):
    app = server(max_requests=5, max_requests_delta=10)
    with Load(app.get, clients=1) as load:
        wait_for(lambda: len(reasons(app)) >= 15, "fifteen replacements", limit=20)
    counts = [int(why.split()[0]) for _, why in reasons(app)]
    record(f"max-requests 5, delta 10: {counts}")
    assert all(5 <= count <= 15 for count in counts)
    assert len(set(counts)) > 3
    assert not load.failures


def test_idle_workers_are_replaced_after_max_worker_lifetime_one_at_a_time(server):
    app = server(processes=3, max_worker_lifetime="400ms")
    first = app.workers()
    wait_for(lambda: not set(first.values()) & set(app.workers().values()), "all new workers")
    wait_for(lambda: len(reasons(app)) >= 6, "six replacements")
    assert {why for _, why in reasons(app)} == {"it has lived for max-worker-lifetime"}
    check_one_at_a_time(app)


def test_max_worker_lifetime_under_load_loses_no_request(server, record):
    app = server(processes=2, max_worker_lifetime="200ms")
    with Load(app.get) as load:
        wait_for(lambda: len(reasons(app)) >= 6, "six replacements")
    record(f"{load.answered} requests, {len(reasons(app))} workers replaced, {len(load.failures)} failed")
    assert not load.failures
    check_one_at_a_time(app)


def test_a_worker_that_has_grown_above_reload_on_rss_is_replaced(server, build_app, record):
    app = server(reload_on_rss=150, app=build_app(r"""
        #include <forktail/app.h>
        #include <unistd.h>
        #include <cstring>
        #include <vector>
        class Leak : public forktail::App {
          forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
            if (request.path() == "/leak") {
              leaked_.emplace_back(60 << 20, 'x');
            }
            return {200, "", std::to_string(leaked_.size())};
          }
          std::vector<std::string> leaked_;
        };
        FORKTAIL_APP(Leak)
    """))
    pid = app.workers()[1]
    assert app.get("/leak").body == b"1"
    end = time.monotonic() + 0.3
    while time.monotonic() < end:  # below the limit it stays
        assert app.get("/").body == b"1"
    assert app.get("/leak").body == b"2"
    assert app.get("/leak").body in (b"3", b"1")

    def answers():
        return app.get("/").body == b"0"

    wait_for(answers, "worker without the leak")
    wait_for(lambda: app.workers().get(1, pid) != pid, "successor that is known to the master")
    assert reasons(app)[0] == (1, "more than 150 MiB of memory (reload-on-rss)")
    record(f"replaced: {reasons(app)}")
    assert not app.log(event="lost")


def retire_beside_a_held_request(app):
    """One thread of the only worker is in a request when the other one answers its last."""
    request = Held(app, "held-while-leaving")
    assert app.get("/").status == 200
    wait_for(lambda: reasons(app), "worker that is replaced")
    return request


def test_a_worker_that_is_replaced_finishes_its_requests(server, hold_app):
    app = server(app=hold_app, threads=2, max_requests=1)
    request = retire_beside_a_held_request(app)
    release(app)
    assert int(uwsgi.Response(request.answer()).body) == request.pid
    wait_for(lambda: app.workers().get(1, request.pid) != request.pid, "successor")
    assert not app.log(event="lost")


def test_a_worker_that_does_not_finish_is_killed_at_the_end_of_worker_reload_mercy(
        server, hold_app, record):
    app = server(app=hold_app, threads=2, max_requests=1, worker_reload_mercy="300ms")
    start = time.monotonic()
    request = retire_beside_a_held_request(app)
    assert request.answer() == b""
    seconds = time.monotonic() - start
    record(f"cut {seconds * 1000:.0f} ms after it began, mercy is 300 ms")
    assert 0.3 <= seconds < 2
    (lost,) = app.wait_lines(event="lost")
    assert lost["request_id"] == "held-while-leaving"
    assert app.wait_log("it had not left within its mercy")["level"] == "warn"
    release(app)
    assert app.get("/").status == 200


def test_a_worker_whose_stop_hook_hangs_is_killed_at_the_end_of_worker_reload_mercy(server, build_app):
    app = server(processes=2, worker_reload_mercy="300ms", app=build_app("""
        #include <forktail/app.h>
        #include <unistd.h>
        class Hang : public forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
          void on_worker_stop() override { for (;;) pause(); }
        };
        FORKTAIL_APP(Hang)
    """))
    start = time.monotonic()
    app.send_signal(signal.SIGTTOU)
    app.wait_log("it had not left within its mercy")
    assert 0.3 <= time.monotonic() - start < 2
    wait_for(lambda: len(app.workers()) == 1, "end of a worker")
    assert app.stop(signal.SIGINT) == 0


def test_a_worker_that_leaves_for_good_while_it_is_replaced_lets_others_be_replaced(server, build_app):
    app = server(processes=2, max_requests=1, app=build_app("""
        #include <forktail/app.h>
        #include <unistd.h>
        class Slow : public forktail::App {
          void on_worker_start(const forktail::Worker& worker) override { id_ = worker.id; }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
          void on_worker_stop() override {
            while (id_ == 2 && access("gate", F_OK) != 0) usleep(1000);
          }
          int id_ = 0;
        };
        FORKTAIL_APP(Slow)
    """))

    with Load(app.get):
        wait_for(lambda: 2 in dict(reasons(app)), "second worker that is replaced")
    app.send_signal(signal.SIGTTOU)
    app.wait_log("1 workers wanted")
    (app.home / "gate").touch()
    before = len(reasons(app))

    def first_is_replaced():
        app.get("/")
        return len(reasons(app)) >= before + 2

    wait_for(first_is_replaced, "first worker replaced twice more")
    assert {worker for worker, _ in reasons(app)[before:]} == {1}
    assert not app.log(event="lost")


def test_health_checks_are_no_requests(server):
    app = server(max_requests=2)
    workers = app.workers()
    for _ in range(10):
        assert uwsgi.ping(app.dial())
    app.get("/")
    assert app.workers() == workers
    app.get("/")
    wait_for(lambda: reasons(app), "worker that is replaced")
