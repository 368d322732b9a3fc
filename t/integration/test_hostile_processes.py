"""No more processes are to be had: the limit of the server's user, which holds for everybody but root."""

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.processes import children_of
from lib.waiting import LIMIT, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
NO_MORE = "Resource temporarily unavailable; raise the limit of processes"


@pytest.fixture
def limited(server, forktail, forkfacts):
    """limited(most, **options) is a server, not started, of a user of its own, if root may make it one, which has
    `most` processes at the most."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        become = []
        if os.geteuid() == 0:
            user = random.randrange(100_000, 1_000_000)
            become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            Path(folder).chmod(0o755)
            os.chown(home, user, user)

        def make(most=None, **options):
            app = server(start=False, home=home, app=shutil.copy(forkfacts, folder), control=home / "control",
                         allow_root=None, **options)
            app.binary = shutil.copy(forktail, folder)
            app.through = [*become, *(["prlimit", f"--nproc={most}:"] if most else [])]
            app.become = become
            return app

        yield make


def limit(app, pid, processes):
    """From now on its forks fail, when its user has that many."""
    (line,) = (line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max processes"))
    most = line.split()[3] if processes is None else processes  # the hard one
    subprocess.run([*app.become, "prlimit", f"--pid={pid}", f"--nproc={most}:"], check=True, timeout=LIMIT)


def ctl(app, *words, code=0):
    result = subprocess.run([app.binary, "ctl", "-c", app.options["control"], *words], text=True, capture_output=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == code, result
    return (result.stdout or result.stderr).strip()


@contextlib.contextmanager
def nothing_changes(app):
    before = app.workers()
    yield
    assert app.workers() == before
    assert all(app.get("/").status == 200 for _ in range(5))


@every_mode
def test_a_start_without_processes_fails_and_says_why(limited, mode):
    app = limited(1, processes=3, fork_mode=mode)
    result = app.run(20)
    assert result.returncode == 1, result
    assert NO_MORE in result.stderr
    (failed,) = app.log(event="start_failed")
    assert NO_MORE in failed["reason"]


@every_mode
def test_a_start_with_a_template_and_no_worker_fails_and_says_why(limited, mode):
    if os.geteuid() != 0:
        pytest.skip("how many processes its user has is known of one that is new")
    app = limited(2, processes=3, fork_mode=mode)
    result = app.run(20)
    assert result.returncode == 1, result
    assert "worker 1 could not be started: " + NO_MORE in result.stderr


@every_mode
def test_a_reload_without_processes_changes_nothing_and_says_why(limited, mode):
    app = limited(processes=2, fork_mode=mode).start()
    with nothing_changes(app):
        limit(app, app.pid, 1)
        assert NO_MORE in ctl(app, "reload", code=1)
    assert NO_MORE in app.log(event="reload_failed")[0]["reason"]
    limit(app, app.pid, None)
    assert ctl(app, "reload").startswith("generation 3")
    assert app.stop() == 0


@every_mode
def test_an_upgrade_without_processes_changes_nothing_and_says_why(limited, mode):
    app = limited(processes=2, fork_mode=mode).start()
    with nothing_changes(app):
        limit(app, app.pid, 1)
        assert NO_MORE in ctl(app, "upgrade", code=1)
    assert NO_MORE in app.log(event="upgrade_failed")[0]["reason"]
    assert app.stop() == 0


@every_mode
def test_workers_that_can_not_be_forked_are_told_of_and_come_when_they_can(limited, mode):
    app = limited(processes=2, fork_mode=mode).start()
    limit(app, app.template(), 1)
    with nothing_changes(app):
        assert NO_MORE in ctl(app, "scale", "3", code=1)
    os.kill(app.workers()[1], 9)
    assert NO_MORE in app.wait_lines(2, event="fork_failed")[-1]["reason"]
    assert app.get("/").status == 200
    limit(app, app.template(), None)
    wait_for(lambda: len(app.workers()) == 3, "three workers")
    assert app.stop() == 0


def test_a_refork_without_processes_changes_nothing_and_says_why(limited):
    app = limited(processes=3).start()
    for pid in app.workers().values():
        limit(app, pid, 1)
    assert NO_MORE in ctl(app, "refork", code=1)
    wait_for(lambda: len(app.workers()) == 3, "three workers")
    assert all(app.get("/echo").status == 200 for _ in range(5))
    assert ctl(app, "reload").startswith("generation 3")
    wait_for(lambda: len(children_of(app.pid)) == 4, "end of the others")
    assert app.stop() == 0
