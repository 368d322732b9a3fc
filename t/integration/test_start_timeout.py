"""Generations and workers that hang while they start."""

import os
import signal
import subprocess
import time

import pytest

from lib.deploy import replace
from lib.processes import children_of
from lib.waiting import LIMIT, wait_for

# Hangs where the file `hang` says, if there is one: in `load`, or in `start` of a worker.
SOURCE = r"""
#include <forktail/app.h>
#include <unistd.h>

#include <fstream>

namespace {
void hang_if_told(const std::string& where) {
  std::string told;
  std::ifstream("hang") >> told;
  while (told == where) {
    pause();
  }
}
}  // namespace

class Hanging : public forktail::App {
 public:
  Hanging() { hang_if_told("load"); }
  void on_worker_start(const forktail::Worker&) override { hang_if_told("start"); }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "", "ok"};
  }
};
FORKTAIL_APP(Hanging)
"""

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
NOT_LOADED = "the application had not been loaded within start-timeout (1000 ms)"
NOT_READY = "not every worker was ready within start-timeout (1000 ms)"


@pytest.fixture(scope="session")
def hanging_app(build_app):
    return build_app(SOURCE)


def reason(mode, where):
    return NOT_LOADED if (mode, where) == ("preload", "load") else NOT_READY


@every_mode
@pytest.mark.parametrize("where", ["load", "start"])
def test_a_new_generation_that_hangs_is_given_up_and_the_old_one_serves_on(
        server, hanging_app, forktail, record, mode, where):
    app = server(app=hanging_app, processes=2, fork_mode=mode, start_timeout="1s", control="control.sock")
    workers = app.workers()
    (app.home / "hang").write_text(where)
    start = time.monotonic()
    result = subprocess.run([forktail, "ctl", "-c", app.home / "control.sock", "reload"], text=True,
                            capture_output=True, timeout=LIMIT, check=False)
    seconds = time.monotonic() - start
    record(f"{mode}, {where}: given up after {seconds * 1000:.0f} ms")
    assert 1 <= seconds < 5
    why = f"generation 2 could not start: {reason(mode, where)}"
    assert (result.returncode, result.stderr) == (1, f"forktail ctl: {why}\n")
    line = app.wait_log("generation 2 could not start, generation 1 goes on serving")
    assert line["level"] == "error" and line["msg"].endswith(reason(mode, where))
    assert app.workers() == workers
    wait_for(lambda: len(children_of(app.pid)) == 3, "end of what hung")
    (app.home / "hang").unlink()
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 3 serves")


@pytest.mark.parametrize("mode, where", [("preload", "load"), ("lazy", "load"), ("exec", "start")])
def test_a_server_whose_first_generation_hangs_ends_with_the_reason(server, hanging_app, mode, where):
    app = server(start=False, app=hanging_app, fork_mode=mode, start_timeout="1s")
    (app.home / "hang").write_text(where)
    result = app.run()
    assert result.returncode == 1
    assert f"could not start: {reason(mode, where)}" in result.stderr


@pytest.mark.parametrize("mode, where", [("preload", "start"), ("lazy", "load"), ("exec", "start")])
def test_a_successor_that_hangs_is_killed_and_tried_again(server, hanging_app, mode, where):
    app = server(app=hanging_app, processes=2, fork_mode=mode, start_timeout="1s")
    (app.home / "hang").write_text(where)
    os.kill(app.workers()[2], signal.SIGKILL)
    line = app.wait_log("it was not ready within start-timeout (1000 ms)")
    assert line["level"] == "error" and line["msg"].startswith("killing worker 2 (pid ")
    assert app.get("/").status == 200
    (app.home / "hang").unlink()
    wait_for(lambda: set(app.workers()) == {1, 2}, "successor", limit=30)


def test_a_template_that_hangs_when_it_is_started_again_is_killed_and_tried_again(server, hanging_app):
    app = server(app=hanging_app, start_timeout="1s")
    (app.home / "hang").write_text("load")
    os.kill(app.template(), signal.SIGKILL)
    line = app.wait_log("it had not loaded within start-timeout (1000 ms)")
    assert line["level"] == "error" and line["msg"].startswith("killing the template (pid ")
    assert app.get("/").status == 200
    (app.home / "hang").unlink()
    wait_for(lambda: len(children_of(app.pid)) == 2, "template")
    before = app.workers()[1]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: app.workers().get(1, before) != before, "successor", limit=30)


def test_a_reload_behind_one_that_hangs_is_carried_out(with_own_app, hanging_app, stuck_app):
    app = with_own_app(hanging_app, start_timeout="1s")
    replace(app, "app.so", stuck_app)
    app.send_signal(signal.SIGHUP)
    wait_for((app.home / "loading").exists, "application that loads")
    replace(app, "app.so", hanging_app)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 could not start")
    app.wait_log("generation 3 serves")


def test_with_0_it_may_take_for_ever(server, stuck_app):
    app = server(start=False, app=stuck_app, start_timeout=0)
    app.start(ready=False)
    wait_for((app.home / "loading").exists, "application that loads")
    time.sleep(0.5)  # nothing is to happen
    assert app.process.poll() is None
    assert app.stop() == 0
