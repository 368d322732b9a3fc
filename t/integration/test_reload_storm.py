"""Everything at once, and still no request is lost."""

import http.client
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest

from dispatch_support import wait_quiet
from lib.load import Load
from lib.processes import children_of, state_of
from lib.tools import FULL
from lib.waiting import LIMIT, wait_for
from test_upgrade import upgradable  # noqa: F401 - a fixture

pytestmark = pytest.mark.alone


class Browser:
    """Keeps its connection to nginx, as a browser does; each thread its own."""

    def __init__(self, web):
        self.web = web
        self.threads = threading.local()

    def get(self, path):
        if not hasattr(self.threads, "connection"):
            self.threads.connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=30)
        self.threads.connection.request("GET", path)
        response = self.threads.connection.getresponse()
        response.read()
        return response


def settled(app, workers):
    """Whether a template and the workers are all that there is, none of them a zombie."""
    children = children_of(app.pid)
    return len(children) == workers + 1 and all(state_of(child) in ("S", "R", "D") for child in children)


def open_files(app):
    """The number of descriptors in each kind of its processes."""
    count = lambda pid: len(os.listdir(f"/proc/{pid}/fd"))  # noqa: E731
    return [count(app.pid), count(app.template()), *sorted(map(count, app.workers().values()))]


def test_reloads_mode_switches_upgrades_and_scaling_under_load_lose_no_request(
        upgradable, nginx, hold_app, environment, record):  # noqa: F811
    app = upgradable(app=hold_app, processes=3, disable_logging=True)
    web = nginx(to=app)
    steps = ["reload"] * 50 + ["mode lazy", "mode exec", "mode preload"] * 4
    steps += ["scale 5", "scale 1", "scale 4", "scale 2", "scale 3"] + ["upgrade"] * 5
    random.Random(7).shuffle(steps)
    if not FULL:
        steps = [step for step in steps if step != "reload"] + ["reload"] * 6
    least = 100_000 if FULL else 1_000

    def ctl(step):
        result = subprocess.run([app.binary, "ctl", "-c", app.home / "control", *step.split()],
                                env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 0, (step, result)

    with Load(Browser(web).get) as load:
        start = time.monotonic()
        for number, step in enumerate(steps):
            ctl(step)
            share = least * (number + 1) / len(steps)
            wait_for(lambda: load.answered >= share, "answers", limit=60)  # noqa: B023
        seconds = time.monotonic() - start
    record(f"{load.answered} requests in {seconds:.0f} s over {steps.count('reload')} reloads, "
           f"{sum('mode' in step for step in steps)} mode switches, "
           f"{steps.count('upgrade')} upgrades of the binary and "
           f"{sum('scale' in step for step in steps)} scale changes: {len(load.failures)} failed")
    assert load.answered >= least
    assert not load.failures
    statuses = Counter(line["status"] for line in web.wait_access(load.answered))
    assert statuses == {200: load.answered}
    assert not web.errors()
    assert not [line for line in app.log() if line["level"] in ("error", "critical")]


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_reload_signals_in_quick_succession_leave_one_generation_and_nothing_else(server, record, mode):
    app = server(processes=3, fork_mode=mode)
    app.send_signal(signal.SIGHUP)  # so that what is made once has been made
    app.wait_log("generation 1 has left")
    wait_for(lambda: settled(app, 3), "one generation")
    wait_quiet(app)  # the master has cleared up after the last one
    before = open_files(app)
    dice = random.Random(25)
    with Load(app.get, clients=2) as load:
        for _ in range(25):
            app.send_signal(signal.SIGHUP)
            time.sleep(dice.uniform(0, 0.025))

        def quiet():
            """Every generation that a reload has begun has taken over from its predecessor."""
            messages = [line["msg"] for line in app.log()]
            left = sum(message.endswith("has left") for message in messages)
            return messages.count("reloading") == left and settled(app, 3)

        wait_for(quiet, "single generation", limit=30)
    reloads = len(app.log(msg="reloading"))
    wait_for(lambda: open_files(app) == before, f"the same descriptors as before, {before}")
    record(f"{mode}: 25 signals, {reloads - 1} reloads, {load.answered} requests, {len(load.failures)} "
           f"failed; the master, the template and the workers have {before} descriptors as before")
    assert reloads > 2 and not load.failures
    assert app.process.poll() is None
    assert app.get("/").json()["generation"] == reloads + 1
    assert not [line for line in app.log() if line["level"] in ("error", "critical")]


def test_a_master_that_is_stopped_keeps_no_request_waiting(server, nginx, record):
    app = server(processes=2)
    web = nginx(to=app)
    workers = app.workers()
    app.process.send_signal(signal.SIGSTOP)
    try:
        end = time.monotonic() + 4
        slowest = answered = 0
        while time.monotonic() < end:
            start = time.monotonic()
            assert web.get("/").status == 200
            slowest = max(slowest, time.monotonic() - start)
            answered += 1
    finally:
        app.process.send_signal(signal.SIGCONT)
    record(f"{answered} requests in the 4 s that the master stood still, the slowest took "
           f"{slowest * 1000:.0f} ms")
    assert answered > 50 and slowest < 1
    app.send_signal(signal.SIGUSR1)
    assert app.workers() == workers
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    assert app.stop(limit=LIMIT) == 0
