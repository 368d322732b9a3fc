"""What the server's lines, stats and exit codes say when an application, a client or an operator misbehaves."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from lib import uwsgi
from lib.app import ROOT
from lib.deploy import THROWS, replace
from lib.events import documented
from lib.processes import is_alive
from lib.waiting import free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
fatal = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])

BODY = b"x" * 1000


def stats(app):
    return json.loads(uwsgi.exchange(app.home / "stats.sock", b""))


def cores(app):
    return [core for worker in stats(app)["workers"] for core in worker["cores"]]


@contextlib.contextmanager
def upload(app, request_id, **extra):
    """A connection that has sent a head, and half of the body."""
    head = uwsgi.packet(uwsgi.variables("/upload", "POST", BODY, REQUEST_ID=request_id, **extra))
    with uwsgi.connect(app.dial()) as s:
        s.sendall(head + BODY[:500])
        yield s


def wait_core(app, request_id):
    return wait_for(lambda: next((core for core in cores(app) if core.get("request_id") == request_id), None),
                    "worker that has the request")


def ctl(app, *words):
    return subprocess.run([app.binary, "ctl", "--control", app.home / "control", *words], text=True,
                          capture_output=True, timeout=30, env=app.environment, check=False)


# Phases.

@every_mode
def test_a_request_whose_body_is_read_is_reading(server, hostile_app, mode):
    app = server(app=hostile_app, stats="stats.sock", fork_mode=mode)
    with upload(app, "half-of-an-upload") as s:
        core = wait_core(app, "half-of-an-upload")
        assert (core["state"], core["method"], core["path"]) == ("reading", "POST", "/upload")
        s.sendall(BODY[500:])
        assert uwsgi.Response(uwsgi.read_to_end(s)).status == 404


@every_mode
@fatal
def test_a_death_while_the_body_is_read_is_lost_in_reading(server, hostile_app, mode, number):
    app = server(app=hostile_app, stats="stats.sock", fork_mode=mode)
    with upload(app, "cut-in-its-body") as s:
        wait_core(app, "cut-in-its-body")
        pid = app.workers()[1]
        os.kill(pid, number)
        assert uwsgi.read_to_end(s) == b""
    (lost,) = app.wait_lines(event="lost")
    assert (lost["request_id"], lost["state"], lost["how"]) == ("cut-in-its-body", "reading", f"killed by {number.name}")
    assert (lost["lost_worker"], lost["lost_pid"]) == (1, pid)
    assert 0 < lost["age_ms"] < 20_000
    assert "while reading POST /upload" in lost["msg"]


@every_mode
def test_an_upload_that_is_overdue_is_named_as_such_with_its_stack_under_its_id(server, hostile_app, mode):
    app = server(app=hostile_app, fork_mode=mode, harakiri="300ms", harakiri_grace="400ms",
                 env="HOSTILE_ON_TIMEOUT=/end/abort")
    with upload(app, "overdue-upload") as s:
        assert uwsgi.read_to_end(s) == b""
    for event in ("harakiri", "harakiri_kill", "lost"):
        (line,) = app.wait_lines(event=event)
        assert (line["request_id"], line["state"], line["path"]) == ("overdue-upload", "reading", "/upload"), event
    (stack,) = app.log(event="harakiri_stack")
    assert stack["request_id"] == "overdue-upload"
    assert not app.log(event="crash"), "on_timeout was called for a request that the application has not seen"


@every_mode
def test_a_kill_after_harakiri_is_an_event_of_its_own(server, hostile_app, mode):
    app = server(app=hostile_app, fork_mode=mode, harakiri="200ms", harakiri_grace="200ms")
    assert uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/time/forever", REQUEST_ID="never-to-end"))) == b""
    app.wait_lines(event="lost")
    (warned,) = app.log(event="harakiri")
    (killed,) = app.log(event="harakiri_kill")
    assert (warned["state"], killed["state"]) == ("handling", "handling")
    assert 200 <= warned["age_ms"] <= killed["age_ms"]
    assert killed["of_pid"] == warned["of_pid"]


# Events.

def test_what_an_alert_waits_for_has_an_event(server, hostile_app, with_own_app, build_app):
    app = with_own_app(hostile_app, control="control")
    assert app.get("/throw/int", REQUEST_ID="thrown-an-int").status == 500
    assert app.wait_lines(event="app_threw", request_id="thrown-an-int", during="handle")
    uwsgi.exchange(app.dial(), b"GET / HTTP/1.1\r\n\r\n")
    assert app.wait_lines(event="bad_request", status=400)
    os.kill(app.workers()[1], signal.SIGKILL)
    assert app.wait_lines(event="worker_died", how="killed by SIGKILL")
    replace(app, "app.so", build_app(THROWS))
    assert ctl(app, "reload").returncode == 1
    assert app.wait_lines(event="reload_failed", generation=2)
    assert app.log(event="serving") and app.log(event="listening") and app.log(event="worker_ready")


def test_a_failed_upgrade_has_an_event(server, forktail, hostile_app):
    app = server(start=False, app=hostile_app, control="control", upgrade_timeout="10s")
    app.binary = app.home / "forktail"
    shutil.copy(forktail, app.binary)
    app.start()
    (app.home / "new").write_text("#!/bin/sh\nexit 3\n")
    (app.home / "new").chmod(0o755)
    os.replace(app.home / "new", app.binary)
    app.send_signal(signal.SIGUSR2)
    (failed,) = app.wait_lines(event="upgrade_failed")
    assert failed["reason"] == "it was ended with exit status 3"


def test_the_documentation_has_every_event_of_the_table():
    assert subprocess.run([ROOT / "script/check-events"], check=False).returncode == 0
    page = (ROOT / "docs/events.md").read_text()
    assert all(f"| `{name}` | {level} |" in page for name, (level, _) in documented().items())


def test_a_line_without_an_event_is_refused_by_the_check(tmp_path):
    for path in ("script", "docs", "backend"):
        shutil.copytree(ROOT / path, tmp_path / path)
    source = tmp_path / "backend/server/master/master.cc"
    source.write_text(source.read_text() + '\nvoid tell() { spdlog::info("no event"); }\n')
    (tmp_path / "docs/events.md").write_text((ROOT / "docs/events.md").read_text().replace("| `lost` |", "| `gone` |"))
    result = subprocess.run([tmp_path / "script/check-events"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "master.cc: spdlog::info(" in result.stdout and "docs/events.md differs" in result.stdout


# Counters.

def metric(app, name):
    with uwsgi.connect(tuple_of(app.options["stats_http"])) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = uwsgi.read_to_end(s).decode()
    return int(re.search(rf"^forktail_{name} (\d+)$", text, flags=re.M)[1])


def tuple_of(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


@every_mode
def test_lines_that_workers_drop_are_counted_for_all_and_for_good(server, hostile_app, free_address, mode):
    app = server(app=hostile_app, fork_mode=mode, stats="stats.sock", stats_http=free_address)
    assert stats(app)["log_lines_dropped"] == 0
    assert app.get("/process/file-size?bytes=0").status == 200  # from here on its lines have no room
    for _ in range(20):
        assert app.get("/").status == 200
    dropped = wait_for(lambda: stats(app)["log_lines_dropped"], "count of dropped lines")
    assert dropped >= 21
    assert metric(app, "log_lines_dropped_total") == dropped
    os.kill(app.workers()[1], signal.SIGKILL)
    app.wait_lines(event="worker_died")
    assert stats(app)["log_lines_dropped"] == dropped


@pytest.fixture
def free_address():
    return f"127.0.0.1:{free_port()}"


def test_counters_survive_an_upgrade(server, forktail, hostile_app, free_address):
    app = server(start=False, app=hostile_app, control="control", pidfile="pid", stats="stats.sock",
                 stats_http=free_address, processes=2)
    app.binary = app.home / "forktail"
    shutil.copy(forktail, app.binary)
    app.start()
    for _ in range(7):
        assert app.get("/").status == 200
    assert app.get("/throw/int").status == 500
    wait_for(lambda: (stats(app)["requests"], stats(app)["exceptions"]) == (8, 1), "count of all requests")
    for _ in range(2):  # a successor's successor, too
        old = stats(app)["pid"]
        assert ctl(app, "upgrade").returncode == 0
        wait_for(lambda old=old: not is_alive(old), "end of the old master")
        wait_for(lambda: stats(app)["pid"], "stats of the new one")
        after = stats(app)
        assert after["pid"] != old
        assert (after["requests"], after["exceptions"]) == (8, 1)
    assert app.get("/").status == 200
    wait_for(lambda: stats(app)["requests"] == 9, "count of the new request")
    assert metric(app, "requests_total") == 9
    pid = stats(app)["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid), "end of the last master")


# Where the time goes.

@every_mode
def test_the_time_of_a_stream_is_the_applications(server, hostile_app, mode):
    app = server(app=hostile_app, fork_mode=mode, slow_request="150ms")
    answer = app.get("/time/slow-stream?pieces=4&ms=100", REQUEST_ID="a-slow-stream")
    assert answer.status == 200 and answer.body.count(b"piece\n") == 4
    (request,) = app.wait_lines(event="request", request_id="a-slow-stream")
    assert request["handle_ms"] >= 400 > request["write_ms"]
    (slow,) = app.wait_lines(event="slow")
    assert (slow["request_id"], slow["handle_ms"]) == ("a-slow-stream", request["handle_ms"])


def test_a_client_that_reads_slowly_is_not_the_applications_time(server, hostile_app):
    app = server(app=hostile_app, slow_request="200ms")
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/memory/large-answer?mb=8", REQUEST_ID="read-slowly-1")))
        wait_for(lambda: s.recv(1) == b"H", "first byte")
        try:
            wait_for(lambda: app.log(event="request"), "request that can not end", limit=0.5)
        except AssertionError:
            pass
        else:
            raise AssertionError("8 MiB have gone nowhere")
        uwsgi.read_to_end(s)
    (request,) = app.wait_lines(event="request", request_id="read-slowly-1")
    assert request["write_ms"] >= 400
    assert not app.log(event="slow")


# The outcome of a stop.

@every_mode
def test_a_stop_that_cuts_a_request_says_so(server, hostile_app, mode):
    app = server(app=hostile_app, fork_mode=mode, control="control", stats="stats.sock", reload_mercy="300ms")
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/time/forever", REQUEST_ID="cut-by-the-stop")))
        wait_core(app, "cut-by-the-stop")
        result = ctl(app, "stop")
        assert uwsgi.read_to_end(s) == b""
    assert result.returncode == 1
    assert "stopped, but 1 request was cut" in result.stderr
    assert app.process.wait(10) == 0


@every_mode
def test_a_stop_that_cuts_nothing_is_one(server, hostile_app, mode):
    app = server(app=hostile_app, fork_mode=mode, control="control")
    assert uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/end/abort"))) == b""  # cut before, and named
    app.wait_lines(event="lost")
    result = ctl(app, "stop")
    assert (result.returncode, result.stdout) == (0, "stopped\n")
    assert not (app.home / "app.sock").exists() and not (app.home / "control").exists()
