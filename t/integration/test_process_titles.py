"""What ps shows of the server's processes."""

import signal
import subprocess
from pathlib import Path

import pytest

from lib.processes import marked
from lib.tools import need
from lib.waiting import wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


def titles(app, environment):
    """The master's first."""
    found = marked(environment["FORKTAIL_TEST_ID"])
    return [found.pop(app.pid), *found.values()]


def wait_titles(app, environment, expected):
    wait_for(lambda: sorted(titles(app, environment)) == sorted(expected), f"titles {expected}")


@every_mode
def test_each_process_says_what_it_is(server, environment, mode):
    app = server(processes=2, fork_mode=mode)
    wait_titles(app, environment, ["forktail: master", "forktail: template, generation 1",
                                   "forktail: worker 1, generation 1", "forktail: worker 2, generation 1"])
    app.send_signal(signal.SIGHUP)
    wait_titles(app, environment, ["forktail: master", "forktail: template, generation 2",
                                   "forktail: worker 1, generation 2", "forktail: worker 2, generation 2"])


@every_mode
def test_the_prefix_stands_before_it(server, environment, mode):
    app = server(fork_mode=mode, procname_prefix="shop of Jürgen")
    wait_titles(app, environment, ["shop of Jürgen forktail: master",
                                   "shop of Jürgen forktail: template, generation 1",
                                   "shop of Jürgen forktail: worker 1, generation 1"])


def test_a_prefix_that_is_too_long_is_cut(server, environment):
    app = server(procname_prefix="x" * 1000)
    assert titles(app, environment)[0] == "x" * 255
    assert app.get("/").status == 200


@every_mode
def test_ps_and_pgrep_find_all_by_the_programs_name(server, mode):
    app = server(processes=2, fork_mode=mode)
    pids = {app.pid, app.template(), *app.workers().values()}
    assert {Path(f"/proc/{pid}/comm").read_text() for pid in pids} == {"forktail\n"}
    lines = subprocess.run([need("ps"), "-o", "args=", "-p", ",".join(map(str, pids))], text=True,
                           capture_output=True, check=True).stdout.splitlines()
    assert "forktail: worker 2, generation 1" in [line.rstrip() for line in lines]


@every_mode
def test_the_environment_stays_readable(server, environment, mode):
    app = server(fork_mode=mode, env="SHOWN=in-proc", procname_prefix="p" * 200)
    given = Path(f"/proc/{app.pid}/environ").read_bytes().split(b"\0")
    assert f"FORKTAIL_TEST_ID={environment['FORKTAIL_TEST_ID']}".encode() in given
    assert all(b"=" in setting for setting in given if setting)
