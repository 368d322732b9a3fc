"""What a worker can write, and what it can send: the master believes none of it."""

import contextlib
import os
import random
import subprocess
import sys
import time

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.processes import is_alive
from lib.waiting import LIMIT, free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
NOISES = ["?byte=0", "?byte=255", "?byte=127", "-noise?seed=1", "-noise?seed=2", "-pid"]


def ctl(app, *words, code=0):
    result = subprocess.run([app.binary, "ctl", "-c", app.home / "control", *words], text=True, capture_output=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == code, result
    return (result.stdout or result.stderr).strip()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def strike(app, path):
    """Whatever comes back: the worker may well die of it."""
    try:
        uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables(path)))
    except OSError:
        pass


def serves(app, requests=8):
    try:
        return all(app.get("/").status == 200 for _ in range(requests))
    except (OSError, AssertionError):
        return False


@pytest.fixture
def bystander():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        assert process.poll() is None, "a process that is none of the server's was killed"
        process.kill()


@every_mode
@pytest.mark.parametrize("what", NOISES)
@pytest.mark.parametrize("group", ["line", "request"])
def test_a_worker_that_writes_over_all_shared_memory_harms_its_generation_at_most(
        server, hostile_app, bystander, mode, what, group):
    app = server(app=hostile_app, processes=3, fork_mode=mode, control="control", harakiri="2s",
                 harakiri_grace="500ms", worker_reload_mercy="2s", reload_mercy="2s",
                 **({"log_group": group} if group == "request" else {}))
    path = f"/memory/scribble-pid?pid={bystander.pid}" if what == "-pid" else "/memory/scribble" + what
    for _ in range(3):
        strike(app, path)
    wait_for(lambda: serves(app), "workers that serve again", 30)
    assert '"pid"' in ctl(app, "status")
    assert ctl(app, "reload").startswith("generation 2")
    assert serves(app)
    with Kept(app) as peer:
        for _ in range(5):
            assert peer.ask("/").status == 200
    assert app.stop() == 0


def keeps(app):
    """What a worker had in hand when it was killed may end yet."""
    with contextlib.suppress(ConnectionError), Kept(app) as peer:
        answers = [peer.ask("/") for _ in range(10)]
        return [answer and answer.status for answer in answers] == [200] * 10


@every_mode
def test_new_workers_of_a_generation_that_was_written_over_keep_connections(server, hostile_app, mode):
    app = server(app=hostile_app, processes=2, fork_mode=mode)
    for what in ("?byte=255", "-noise?seed=3", "?byte=255"):
        before = set(app.workers().values())
        strike(app, "/memory/scribble" + what)
        for pid in before:
            if is_alive(pid):
                os.kill(pid, 9)
        wait_for(lambda: serves(app) and not any(map(is_alive, before)), "new workers")
    wait_for(lambda: keeps(app), "connection that is kept")
    assert len(app.log(event="serving")) == 1


@every_mode
def test_shared_memory_can_not_be_cut_from_under_the_master(server, hostile_app, mode):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control="control", log_group="request")
    assert app.get("/memory/truncate").body == b"0\n"
    assert '"pid"' in ctl(app, "status")
    assert serves(app)


@every_mode
@pytest.mark.parametrize("count", [0, 200])
def test_messages_that_lie_end_their_sender_and_leave_nothing_open(server, hostile_app, mode, count):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control="control")
    before = open_files(app.pid)
    for seed in range(3):
        strike(app, f"/descriptors/flood?seed={seed}&descriptors={count}&count=300")
        wait_for(lambda: serves(app, 4), "workers that serve again")
    assert app.log(event="worker_killed") or app.log(event="worker_died")
    wait_for(lambda: open_files(app.pid) <= before + 4, "master without what it was sent")
    assert ctl(app, "reload").startswith("generation 2")
    wait_for(lambda: open_files(app.pid) <= before + 4, "master without what it was sent")
    assert app.stop() == 0


def test_slots_that_are_left_half_written_do_not_hold_the_master_up(server, hostile_app, tmp_path):
    stats = tmp_path / "stats"
    app = server(app=hostile_app, processes=8, threads=16, stats=stats, harakiri="60s")
    workers = app.workers()
    os.kill(workers[2], 19)  # one that can not notice
    strike(app, "/memory/scribble?byte=255")
    wait_for(lambda: serves(app), "workers that serve again", 30)
    begun = time.monotonic()
    for _ in range(5):
        assert uwsgi.read_to_end(uwsgi.connect(stats))
    seconds = time.monotonic() - begun
    with contextlib.suppress(ProcessLookupError):
        os.kill(workers[2], 18)
    assert seconds < 5, f"{seconds} s for five times the stats"


def test_random_misdeeds_of_workers_do_not_end_the_server(server, hostile_app):
    app = server(app=hostile_app, processes=3, socket=[f"127.0.0.1:{free_port()}"], control="control", harakiri="1s",
                 harakiri_grace="200ms", reload_mercy="2s", worker_reload_mercy="1s")
    chance = random.Random(os.environ.get("FORKTAIL_SEED", "1"))
    for number in range(30):
        seed = chance.randrange(1000)
        strike(app, chance.choice([f"/memory/scribble-noise?seed={seed}", f"/descriptors/flood?seed={seed}&count=50",
                                   f"/memory/scribble?byte={seed % 256}", "/memory/unmap", "/descriptors/shutdown"]))
        if number % 10 == 9:
            wait_for(lambda: serves(app), "workers that serve again", 30)
            assert ctl(app, "reload").startswith("generation")
    wait_for(lambda: serves(app), "workers that serve again", 30)
    assert app.stop() == 0
