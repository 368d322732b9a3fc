"""Descriptors are the application's, too."""

import os
import sys
import time

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.logs import json_lines
from lib.processes import children_of
from lib.waiting import free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
# Each mode and each kind of socket, and not each with each.
every_place = pytest.mark.parametrize("mode, kind", [("preload", "unix"), ("lazy", "tcp"), ("exec", "unix")])

CLOSED = """
import os, sys
os.execv(sys.argv[2], ["sh", "-c", 'exec "$@" ' + sys.argv[1], "sh", *sys.argv[3:]])
"""


def socket_of(kind):
    return {"socket": f"127.0.0.1:{free_port()}"} if kind == "tcp" else {}


def started_with(app, redirections):
    """By a shell that has closed what every program has."""
    app.through = [sys.executable, "-c", CLOSED, redirections, "/bin/sh"]
    return app


def strike(app, path):
    """Whatever comes back: the worker may well end."""
    try:
        return uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables(path)))
    except OSError:
        return b""


def serves(app):
    try:
        return all(app.get("/").status == 200 for _ in range(4))
    except (OSError, AssertionError):
        return False


@every_place
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_that_is_started_without_standard_descriptors_serves(server, hostile_app, mode, kind, closed):
    app = started_with(server(start=False, app=hostile_app, processes=2, fork_mode=mode, threads=2, control="control",
                              **socket_of(kind)), closed)
    app.start()
    for pid in (app.pid, *children_of(app.pid)):
        for number in (0, 1, 2):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            assert "socket" not in target and "server.log" not in target and "anon_inode" not in target
    with Kept(app) as peer:
        for path in ("/stdio/printf?text=printed", "/stdio/clog?text=logged", "/"):
            answer = peer.ask(path)
            assert answer.status == 200
            assert b"printed" not in answer.body
    assert app.stop() == 0


@every_place
def test_an_application_that_closes_standard_descriptors_writes_nothing_to_clients(server, hostile_app, mode, kind):
    app = server(app=hostile_app, processes=1, fork_mode=mode, logto="stderr", quiet=True, **socket_of(kind))
    for _ in range(3):
        assert strike(app, "/descriptors/close?from=0&to=2").startswith(b"HTTP/1.1 200")
        for path in ("/log", "/stdio/printf?text=never-sent", "/log"):
            raw = strike(app, path)
            assert raw.count(b"HTTP/1.1 ") == 1
            assert raw.endswith(b"done\n"), raw
            assert b"request_id" not in raw and b"never-sent" not in raw
    lines = [line for line in json_lines(app.home / "stderr") if line.get("event") == "request"]
    assert len(lines) >= 12, "the log is where it was"
    assert app.stop() == 0


@every_place
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("what", ["close?from=3", "replace?from=3", "close?from=0", "shutdown"])
def test_a_worker_without_the_servers_descriptors_ends_and_is_replaced(server, hostile_app, mode, kind, threads, what):
    app = server(app=hostile_app, processes=2, fork_mode=mode, threads=threads, control="control", **socket_of(kind))
    for _ in range(3):
        strike(app, "/descriptors/" + what)
    wait_for(lambda: serves(app), "workers that serve")
    wait_for(lambda: len(app.workers()) == 2, "both workers")
    assert app.stop() == 0


@every_place
def test_a_listening_socket_that_was_shut_down_listens_again(server, hostile_app, mode, kind):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control="control", **socket_of(kind))
    for number in range(3):
        strike(app, "/descriptors/shutdown")
        assert app.wait_lines(number + 1, event="listener_mended")
        wait_for(lambda: serves(app), "workers that can be reached")
    assert ctl_status(app).startswith("ok ")
    assert app.stop() == 0


def ctl_status(app):
    """Asked of a server that need not be reachable otherwise."""
    return uwsgi.exchange(app.home / "control", b"status\n").decode()


@every_mode
@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_application_with_many_files_of_its_own_writes_to_none_of_the_servers(server, hostile_app, mode, keep_alive):
    app = server(app=hostile_app, processes=2, fork_mode=mode)
    peers = [Kept(app) for _ in range(20)]
    for peer in peers:
        assert peer.ask("/").status == 200
    for _ in range(3):
        if keep_alive:
            assert peers[0].ask("/descriptors/many?count=3000").status == 200
        else:
            assert app.get("/descriptors/many?count=3000").status == 200
        for peer in peers:
            assert not peer.has_answer(), "what the application wrote"
    for peer in peers:
        assert peer.ask("/").status == 200
        peer.close()


@every_mode
@pytest.mark.parametrize("what", ["fill", "limit?count=16", "limit?count=3", "leak?count=2000"])
def test_a_worker_that_has_used_up_its_descriptors_is_nobody_elses_trouble(server, hostile_app, mode, what):
    app = server(app=hostile_app, processes=3, fork_mode=mode, control="control")
    strike(app, "/descriptors/" + what)
    answered = 0
    for _ in range(20):
        try:
            answered += app.get("/").status == 200
        except (OSError, AssertionError):
            pass
    assert answered >= 18
    assert app.stop() == 0


@every_mode
@pytest.mark.parametrize("what", ["non-blocking", "blocking", "inheritable"])
def test_flags_of_descriptors_that_an_application_changes_stop_nothing(server, hostile_app, mode, what):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control="control")
    for _ in range(6):
        assert strike(app, "/descriptors/" + what).startswith(b"HTTP/1.1 200")
    with Kept(app) as peer:
        for _ in range(5):
            assert peer.ask("/").status == 200
    assert app.get("/fork/system?command=true").status == 200
    assert app.stop() == 0


@every_place
@pytest.mark.parametrize("what", ["packet", "body", "string", "file", "stream"])
def test_a_connection_that_an_application_has_made_blocking_holds_no_worker(server, hostile_app, mode, kind, what):
    app = server(app=hostile_app, processes=1, fork_mode=mode, socket_timeout="500ms", **socket_of(kind))
    with Kept(app) as peer:
        if what in ("packet", "body"):
            assert peer.ask("/descriptors/blocking").status == 200
            packet = uwsgi.packet(uwsgi.variables("/", CONTENT_LENGTH="1000", UWSGI_KEEP_CONN="1"))
            peer.socket.sendall(packet[:10] if what == "packet" else packet + b"some")
        else:
            peer.send("/descriptors/blocking-answer?as=" + what)
        begun = time.monotonic()
        assert app.get("/").status == 200
        assert time.monotonic() - begun < 5
        (line,) = app.wait_lines(event="bad_request" if what in ("packet", "body") else "response_cut")
    assert "socket-timeout" in line["reason"]
