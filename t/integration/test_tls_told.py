"""What the stats, the metrics, `top` and `cheaper` know of clients that come over TLS."""

import contextlib
import os
import signal
import subprocess

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.hold import Held, held, release, wait_held
from lib.waiting import LIMIT, free_port, wait_for
from test_scaling import calls, ids
from test_stats import metrics, stats
from tls_support import tls_pid


@pytest.fixture
def told(tls_server, hold_app):
    return lambda **options: tls_server(**{"app": hold_app, "stats": "stats.sock",
                                           "stats_http": f"127.0.0.1:{free_port()}", **options})


def figures(app):
    """Of the one TLS process."""
    (process,) = stats(app)["tls_processes"]
    return process


def test_without_tls_there_are_no_tls_processes(server):
    app = server(stats="stats.sock", stats_http=f"127.0.0.1:{free_port()}")
    now = stats(app)
    assert now["tls_processes"] == [] and [one["name"] for one in now["sockets"]] == [str(app.home / "app.sock")]
    assert {value for name, value in metrics(app).items() if name.startswith("forktail_tls_")} == {0}


def test_connections_handshakes_and_failures_are_counted(told):
    app = told(tls_processes=1)
    assert figures(app) == {"id": 1, "pid": tls_pid(app), "accepting": 1, "generation": 1, "connections": 0,
                            "handshaking": 0, "handshakes": 0, "failures": 0}
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Kept(app)) for _ in range(3)]
        assert {peer.ask().status for peer in peers} == {200}
        begun = stack.enter_context(uwsgi.connect(("127.0.0.1", app.port)))
        begun.sendall(b"\x16\x03\x01")
        with uwsgi.connect(("127.0.0.1", app.port)) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            uwsgi.read_to_end(plain)
        wait_for(lambda: figures(app)["handshaking"] == 1 and figures(app)["failures"] == 1, "figures")
        assert (figures(app)["connections"], figures(app)["handshakes"]) == (4, 3)
        now = metrics(app)
        assert (now["forktail_tls_connections"], now["forktail_tls_handshaking"]) == (4, 1)
        assert (now["forktail_tls_handshakes_total"], now["forktail_tls_failures_total"]) == (3, 1)
        assert now['forktail_tls_processes{status="accepting"}'] == 1
        assert now['forktail_tls_processes{status="leaving"}'] == 0
    wait_for(lambda: figures(app)["connections"] == 0, "end of the connections")
    assert figures(app)["handshaking"] == 0


def test_top_has_a_row_for_each_tls_process(told, forktail, environment):
    app = told(tls_processes=2)
    app.wait_lines(2, event="tls_process_ready")
    with Kept(app) as peer:
        assert peer.ask().status == 200
        wait_for(lambda: sum(one["connections"] for one in stats(app)["tls_processes"]) == 1, "connection counted")
        shown = subprocess.run([forktail, "top", "-s", app.home / "stats.sock"], env=environment, text=True,
                               capture_output=True, timeout=LIMIT, check=True).stdout
    rows = [line.split() for line in shown.splitlines() if line.split()[:1] in (["tls1"], ["tls2"])]
    assert [row[2] for row in rows] == ["accepting"] * 2
    assert {int(row[1]) for row in rows} == {line["of_pid"] for line in app.log(event="tls_process_ready")}
    assert sorted(" ".join(row[3:]) for row in rows) == ["0 connections, 0 in their handshake, 0 failures",
                                                         "1 connections, 0 in their handshake, 0 failures"]


def test_the_counters_outlive_a_tls_process_and_a_reload_and_show_one_that_leaves(told):
    app = told(processes=2)
    with Kept(app) as peer:
        assert peer.ask().status == 200
    wait_for(lambda: metrics(app)["forktail_tls_handshakes_total"] == 1, "handshake counted")
    old = tls_pid(app)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: tls_pid(app) not in (old, None), "successor")
    assert stats(app)["tls_handshakes"] == 1 and stats(app)["tls_respawns"] == 1
    assert figures(app)["handshakes"] == 0
    with Kept(app) as busy:
        busy.send("/hold", REQUEST_ID="keeps-the-old-one")
        wait_held(app)
        app.send_signal(signal.SIGHUP)
        app.wait_log("generation 2 serves")
        states = {one["generation"]: one["accepting"] for one in stats(app)["tls_processes"]}
        assert states == {1: 0, 2: 1}
        assert metrics(app)['forktail_tls_processes{status="leaving"}'] == 1
        release(app)
        assert busy.receive().status == 200
    app.wait_lines(1, event="tls_process_left")
    wait_for(lambda: metrics(app)["forktail_tls_handshakes_total"] == 2, "both handshakes")


def test_clients_that_wait_for_a_worker_over_tls_are_in_the_listen_queue(told):
    app = told(processes=1)
    busy = Held(app, "holds-the-only-one")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Kept(app)) for _ in range(5)]
        for peer in peers:
            peer.send("/")
        wait_for(lambda: stats(app)["listen_queue"] == 5, "five that wait")
        assert [one["queue"] for one in stats(app)["sockets"] if one["name"] == "tls"] == [5]
        assert metrics(app)['forktail_listen_queue{socket="tls"}'] == 5
        release(app)
        assert {peer.receive().status for peer in peers} == {200}
    assert b"200" in busy.answer()


def queue(app):
    """A request over TLS that no worker has taken yet, of a client that keeps nothing."""
    s = app.tls.wrap_socket(uwsgi.connect(("127.0.0.1", app.port)), server_hostname="backend.example")
    s.sendall(uwsgi.packet(uwsgi.variables("/hold")))
    return s


def test_cheaper_starts_workers_when_clients_wait_over_tls(told):
    app = told(processes=4, cheaper=1)
    assert ids(app) == [1]
    waiting = [queue(app) for _ in range(8)]
    wait_for(lambda: ids(app) == [1, 2, 3, 4], "all workers")
    wait_for(lambda: len(held(app)) == 4, "a request in each worker")
    waited = [int(line["msg"].split()[5]) for line in app.log() if " workers instead of " in line["msg"]]
    release(app)
    for s in waiting:
        with s:
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    assert calls(app) == [(2, 1), (4, 2)]
    assert waited == [7, 6]
