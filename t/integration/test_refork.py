"""`ctl refork`: the next generation is forked from a worker that has served, with what it has cached."""

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatch_support import wait_quiet
from lib.hold import Held, release
from lib.processes import children_of, is_alive
from lib.waiting import wait_for
from test_reload import Load

MEGABYTES = 64

# GET /fill fills a cache of 64 MB, unless it is full; every answer tells the pid and the cache's size.
CACHE = """
#include <forktail/app.h>
#include <unistd.h>
#include <vector>
struct Cache : forktail::App {
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/fill" && cache.empty()) {
      cache.resize(64 << 20);
      for (std::size_t i = 0; i < cache.size(); ++i) {
        cache[i] = static_cast<char>(i * 2654435761u >> 13);
      }
    }
    usleep(20000);  // so that several workers get one each
    return {200, "text/plain", std::to_string(getpid()) + " " + std::to_string(cache.size() >> 20)};
  }
  std::vector<char> cache;
};
FORKTAIL_APP(Cache)
"""

# Has a thread in each worker, which on_worker_stop() ends if there is a file `tidy`. With a file `broken`,
# no worker starts.
THREADED = """
#include <forktail/app.h>
#include <pthread.h>
#include <unistd.h>
#include <atomic>
#include <stdexcept>
#include <thread>
struct Threaded : forktail::App {
  void on_worker_start(const forktail::Worker&) override {
    if (access("broken", F_OK) == 0) {
      throw std::runtime_error("broken here");
    }
    over = false;
    thread = std::thread([this] { while (!over) { usleep(1000); } });
    pthread_setname_np(thread.native_handle(), "refresher");
  }
  void on_worker_stop() override {
    if (access("tidy", F_OK) == 0) {
      over = true;
      thread.join();
    }
  }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "text/plain", std::to_string(++served)};
  }
  std::thread thread;
  std::atomic<bool> over;
  std::atomic<int> served = 0;
};
FORKTAIL_APP(Threaded)
"""


@pytest.fixture(scope="session")
def cache_app(build_app):
    return build_app(CACHE)


@pytest.fixture(scope="session")
def threaded_app(build_app):
    return build_app(THREADED)


@pytest.fixture
def refork(forktail):
    def run(app):
        return subprocess.run([forktail, "ctl", "--control", app.home / "control", "refork"], text=True,
                              capture_output=True, timeout=30, check=False, env=app.environment)

    return run


def pss(app):
    """Of all of the server's processes, in megabytes."""
    total = 0
    for pid in [app.pid, *children_of(app.pid)]:
        total += int(re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
    return total / 1024


def ask(app, path):
    """Of every worker that there is, its pid and what it has cached."""
    found = {}

    def everyone():
        with ThreadPoolExecutor(8) as pool:
            found.update(answer.body.decode().split() for answer in pool.map(lambda _: app.get(path), range(8)))
        return len(found) == app.options["processes"]

    wait_for(everyone, "answer of every worker")
    return found


def old_generation_left(app, number):
    wait_for(lambda: app.log(msg=f"generation {number} has left"), f"end of generation {number}")


def test_a_cache_that_requests_have_filled_is_shared_after_a_refork(server, cache_app, refork, record):
    app = server(app=cache_app, processes=4, control="control")
    ask(app, "/fill")
    before = pss(app)
    done = refork(app)
    assert (done.returncode, done.stdout, done.stderr) == (0, "generation 2 serves\n", "")
    old_generation_left(app, 1)
    caches = ask(app, "/")
    after = pss(app)
    record(f"PSS of all processes, 4 workers, a cache of {MEGABYTES} MB: {before:.0f} MB before, {after:.0f} MB after")
    assert set(caches.values()) == {str(MEGABYTES)} and len(caches) == 4
    assert before > 3.5 * MEGABYTES
    assert after < 2 * MEGABYTES


def test_the_cache_of_one_worker_becomes_that_of_all(server, cache_app, refork):
    app = server(app=cache_app, processes=2, control="control")
    app.get("/fill")  # the one request so far: who answered it has served the most
    assert refork(app).returncode == 0
    old_generation_left(app, 1)
    assert set(ask(app, "/").values()) == {str(MEGABYTES)}
    assert refork(app).returncode == 0  # from a worker that came of a refork itself
    old_generation_left(app, 2)
    assert set(ask(app, "/").values()) == {str(MEGABYTES)}
    wait_for(lambda: len(children_of(app.pid)) == 3, "one template and two workers")


def test_no_request_is_lost_over_reforks_and_nothing_is_left_open(server, refork, record):
    app = server(processes=3, control="control")

    def descriptors():
        line = [line for line in app.log() if "becomes the next generation's template" in line["msg"]][-1]
        template = re.search(r"pid (\d+)", line["msg"])[1]
        return len(os.listdir(f"/proc/{app.pid}/fd")), len(os.listdir(f"/proc/{template}/fd"))

    assert refork(app).returncode == 0
    old_generation_left(app, 1)
    wait_quiet(app)  # the master has cleared up after it
    before = descriptors()
    with Load(app.get) as load:
        for number in range(2, 7):
            assert refork(app).returncode == 0
            old_generation_left(app, number)
    record(f"{load.answered} requests over 5 reforks, {len(load.failures)} failed")
    assert load.answered > 20 and not load.failures
    assert not [line for line in app.log() if line["level"] in ("error", "critical")]
    # A peer whose request did not come at once is known to the master for a while.
    wait_for(lambda: descriptors() == before, f"the same descriptors as before, {before}")


def test_the_worker_finishes_its_requests_before_it_becomes_the_template(server, hold_app, forktail):
    app = server(app=hold_app, control="control")
    request = Held(app, "in-flight-1")
    command = [forktail, "ctl", "--control", app.home / "control", "refork"]
    with subprocess.Popen(command, env=app.environment, stdout=subprocess.PIPE, text=True) as asking:
        app.wait_log("becomes the next generation's template")
        app.send_signal(signal.SIGHUP)  # comes after it
        app.wait_log("another one follows")
        release(app)
        assert b"200 OK" in request.answer()
        assert asking.communicate(timeout=10)[0] == "generation 2 serves\n"
    app.wait_log("generation 3 serves")


def test_a_template_that_was_a_worker_and_dies_is_replaced_by_one_that_loads_anew(server, cache_app, refork):
    app = server(app=cache_app, processes=2, control="control")
    app.get("/fill")
    assert refork(app).returncode == 0
    old_generation_left(app, 1)
    workers = {int(pid) for pid in ask(app, "/")}
    (template,) = set(children_of(app.pid)) - workers
    os.kill(template, signal.SIGKILL)
    assert f"the template (pid {template}) was killed by SIGKILL" in app.wait_log("starting another")["msg"]
    victim = workers.pop()
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: not is_alive(victim) and len(children_of(app.pid)) == 3, "replacement")
    assert sorted(ask(app, "/").values()) in (["0", "64"], ["64", "64"])


def test_threads_of_the_application_that_do_not_end_are_named_and_fail_the_refork(server, threaded_app, refork):
    app = server(app=threaded_app, processes=2, control="control")
    done = refork(app)
    assert done.returncode == 1
    assert "still has other threads after on_worker_stop (refresher)" in done.stderr
    wait_for(lambda: len(app.workers()) == 2, "replacement")
    assert app.get("/").status == 200
    assert app.wait_log("the refork has failed")["level"] == "error"
    (app.home / "tidy").touch()
    assert refork(app).returncode == 0  # this one ends its thread


@pytest.mark.parametrize("options", [{"threads": 3}, {"harakiri": "10s"}], ids=["threads", "harakiri"])
def test_the_servers_own_threads_are_not_in_the_way(server, threaded_app, refork, options):
    app = server(app=threaded_app, processes=2, control="control", **options)
    (app.home / "tidy").touch()
    for _ in range(3):
        app.get("/")
    assert refork(app).returncode == 0
    assert int(app.get("/").body) > 1
    assert refork(app).returncode == 0


def test_a_refork_whose_workers_do_not_start_leaves_the_old_generation_serving(server, threaded_app, refork):
    app = server(app=threaded_app, processes=2, control="control")
    (app.home / "tidy").touch()
    app.get("/")
    (app.home / "broken").touch()
    done = refork(app)
    (app.home / "broken").unlink()
    assert done.returncode == 1 and "broken here" in done.stderr
    assert app.get("/").status == 200
    wait_for(lambda: len(app.workers()) == 2, "replacement of the worker that became the template")


def test_a_worker_that_is_killed_on_its_way_fails_the_refork(server, hold_app, forktail):
    app = server(app=hold_app, control="control")
    request = Held(app, "cut-by-a-kill")
    command = [forktail, "ctl", "--control", app.home / "control", "refork"]
    with subprocess.Popen(command, env=app.environment, stderr=subprocess.PIPE, text=True) as asking:
        app.wait_log("becomes the next generation's template")
        os.kill(request.pid, signal.SIGKILL)
        assert "worker 1 was killed by SIGKILL" in asking.communicate(timeout=10)[1]
        assert asking.returncode == 1
    release(app)
    assert request.answer() == b""
    assert app.get("/").status == 200


@pytest.mark.parametrize("mode", ["lazy", "exec"])
def test_a_refork_in_another_mode_is_refused(server, refork, mode):
    app = server(fork_mode=mode, control="control")
    done = refork(app)
    assert done.returncode == 1 and "refork needs fork-mode = preload" in done.stderr


def test_a_stop_during_a_refork_stops(server, hold_app, forktail):
    app = server(app=hold_app, control="control")
    request = Held(app, "in-flight-1")
    command = [forktail, "ctl", "--control", app.home / "control", "refork"]
    with subprocess.Popen(command, env=app.environment, stderr=subprocess.PIPE, text=True) as asking:
        app.wait_log("becomes the next generation's template")
        app.send_signal(signal.SIGTERM)
        app.wait_log("stopping")
        release(app)
        assert b"200 OK" in request.answer()
        assert app.process.wait(10) == 0
        assert asking.wait(10) == 1
    assert not is_alive(app.pid)
