"""How many workers there are: by the load, by signals, by `forktail ctl scale`."""

import signal
import subprocess

import pytest

from lib import uwsgi
from lib.hold import Held, held, release
from lib.load import Load
from lib.processes import children_of
from lib.tools import FULL
from lib.waiting import wait_for


def ids(app):
    return sorted(app.workers())


def queue(app):
    """A request that no worker has taken yet."""
    s = uwsgi.connect(app.dial())
    s.sendall(uwsgi.packet(uwsgi.variables("/hold")))
    return s


def calls(app):
    """What the load has called for so far, as (wanted, before)."""
    messages = [line["msg"].split() for line in app.log() if " workers instead of " in line["msg"]]
    return [(int(words[0]), int(words[4].rstrip(","))) for words in messages]


def test_cheaper_starts_few_workers_and_more_when_connections_wait(server, hold_app, record):
    app = server(app=hold_app, processes=4, cheaper=1)
    assert ids(app) == [1]
    waiting = [queue(app) for _ in range(8)]
    wait_for(lambda: ids(app) == [1, 2, 3, 4], "all workers")
    wait_for(lambda: len(held(app)) == 4, "a request in each worker")
    record(f"8 requests for one worker: {calls(app)}")
    assert calls(app) == [(2, 1), (4, 2)]
    release(app)
    for s in waiting:
        with s:
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    assert len(children_of(app.pid)) == 5  # the template as well
    assert not app.log(event="lost")


def test_cheaper_starts_a_worker_when_all_are_busy_though_nobody_waits(server, hold_app):
    app = server(app=hold_app, processes=4, cheaper=1)
    requests = [Held(app, "in-flight-1")]
    wait_for(lambda: ids(app) == [1, 2], "second worker")
    requests.append(Held(app, "in-flight-2"))
    wait_for(lambda: ids(app) == [1, 2, 3], "third worker")
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 2


@pytest.mark.skipif(not FULL, reason="takes 25 seconds; the unit tests of the overseer say the same")
def test_workers_that_the_load_no_longer_calls_for_leave_one_by_one(server, hold_app, record):
    app = server(app=hold_app, processes=3, cheaper=1)
    waiting = [queue(app) for _ in range(6)]
    wait_for(lambda: ids(app) == [1, 2, 3], "all workers")
    release(app)
    for s in waiting:
        with s:
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    wait_for(lambda: ids(app) == [1], "few workers again", limit=40)
    record(f"{calls(app)}")
    assert calls(app)[-2:] == [(2, 3), (1, 2)]
    assert not app.log(event="lost")


def test_cheaper_initial_is_where_it_starts(server):
    app = server(processes=4, cheaper=1, cheaper_initial=3)
    assert ids(app) == [1, 2, 3]
    assert app.log(msg="generation 1 serves with 3 workers, fork mode preload")


@pytest.mark.parametrize("options", [{"cheaper": 3}, {"cheaper": 1, "cheaper_initial": 3}])
def test_cheaper_above_processes_is_refused(server, options):
    app = server(start=False, processes=2, **options)
    result = app.run()
    assert result.returncode == 2
    assert "cheaper and cheaper-initial can not be above processes (2)" in result.stderr


def test_scaling_up_and_down_under_load_loses_no_request(server, record):
    app = server(processes=2)
    with Load(app.get) as load:
        for number, expected in ((signal.SIGTTIN, [1, 2, 3]), (signal.SIGTTIN, [1, 2, 3, 4]),
                                 (signal.SIGTTOU, [1, 2, 3]), (signal.SIGTTOU, [1, 2]),
                                 (signal.SIGTTOU, [1]), (signal.SIGTTIN, [1, 2])):
            app.send_signal(number)
            wait_for(lambda: ids(app) == expected, f"workers {expected}")  # noqa: B023
            answered = load.answered
            wait_for(lambda: load.answered > answered + 20, "more answers")  # noqa: B023
    record(f"{load.answered} requests over 6 changes, {len(load.failures)} failed")
    assert not load.failures
    assert not [line for line in app.log() if line["level"] == "error"]


def test_scale_goes_as_far_as_there_are_seats_and_no_further(server, forktail):
    app = server(processes=1, control="control.sock")

    def scale(wanted):
        return subprocess.run([forktail, "ctl", "-c", app.home / "control.sock", "scale", str(wanted)],
                              capture_output=True, text=True, timeout=20, check=False)

    result = scale(10)
    assert (result.returncode, result.stdout) == (0, "10 workers\n"), result
    assert ids(app) == list(range(1, 11))
    result = scale(11)
    assert (result.returncode, result.stderr) == (1, "forktail ctl: scale takes 1 to 10 workers\n")
    for _ in range(3):
        before = len(app.log())
        app.send_signal(signal.SIGTTIN)
        app.wait_log("10 workers wanted", before)
    assert scale(1).returncode == 0
    assert ids(app) == [1]
    assert app.get("/").status == 200


def test_a_reload_goes_back_to_what_the_options_say(server):
    app = server(processes=2)
    app.send_signal(signal.SIGTTIN)
    wait_for(lambda: ids(app) == [1, 2, 3], "third worker")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves with 2 workers")
    app.wait_log("generation 1 has left")
    assert ids(app) == [1, 2]
