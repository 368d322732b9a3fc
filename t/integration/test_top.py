"""`forktail top`: a live table on a terminal, one look otherwise."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading

import pytest

from lib.hold import Held, release
from lib.waiting import LIMIT, wait_for


@pytest.fixture
def top(forktail, environment):
    def run(app, *words, stats=None):
        command = [forktail, "top", "-s", stats or app.home / "stats.sock", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT,
                              check=False)

    return run


def rows(text):
    """The table's rows as lists of words."""
    return [line.split() for line in text.splitlines()[4:]]


def test_without_a_terminal_it_shows_the_workers_once(server, top, hold_app):
    app = server(app=hold_app, processes=3, stats="stats.sock")
    request = Held(app, "shown-in-top")
    result = top(app)
    assert (result.returncode, result.stderr) == (0, "")
    head, load, empty, columns = result.stdout.splitlines()[:4]
    assert re.fullmatch(rf"forktail [\d.]+\S*, pid {app.pid}, generation 1, preload", head)
    assert re.fullmatch(r"1 of 3 workers busy, 0 waiting in the listen queue, 0 requests, PSS [\d.]+M", load)
    assert not empty
    assert columns.split() == ["WORKER", "PID", "STATE", "AGE", "REQUESTS", "PSS", "RSS", "REQUEST"]
    by_pid = {row[1]: row for row in rows(result.stdout)}
    assert set(by_pid) == {str(pid) for pid in app.workers().values()}
    busy = by_pid.pop(str(request.pid))
    assert busy[2] == "handling" and re.fullmatch(r"\d+ms", busy[3])
    assert busy[-3:] == ["GET", "/hold", "shown-in-top"]
    assert [row[2:4] for row in by_pid.values()] == [["idle", "0"]] * 2
    release(app)
    assert request.answer()


def test_each_thread_has_a_row(server, top):
    app = server(processes=2, threads=3, stats="stats.sock")
    assert [row[0] for row in rows(top(app).stdout)] == ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2"]


def test_a_worker_that_there_is_not_is_cheap(server, top):
    app = server(processes=2, cheaper=1, stats="stats.sock")
    assert rows(top(app).stdout)[1][:2] == ["2", "cheap"]


def test_json_is_the_object_of_the_stats_socket(server, top):
    app = server(processes=2, stats="stats.sock")
    given = json.loads(top(app, "--json").stdout)
    assert given["pid"] == app.pid
    assert len(given["workers"]) == 2


class Terminal:
    """The program on a terminal of its own, and what it has shown there."""

    def __init__(self, command, environment, rows, columns):
        self.screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs,
                                        stderr=subprocess.PIPE)
        os.close(theirs)
        self.text = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        with contextlib.suppress(OSError):  # EIO at the end
            while part := os.read(self.screen, 65536):
                self.text += part.decode()

    def frames(self):
        """The whole ones: each from the upper left corner to the end."""
        return re.findall(r"\x1b\[H(.*?)\x1b\[J", self.text, re.DOTALL)

    def last(self):
        frames = self.frames()
        return frames[-1] if frames else ""

    def end(self, number=signal.SIGINT):
        """Returns the exit code."""
        if self.reader.is_alive() or self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(LIMIT)
            self.reader.join()
        if self.screen is not None:
            os.close(self.screen)
            self.process.stderr.close()
            self.screen = None
        return self.process.returncode


@pytest.fixture
def terminal(forktail, environment):
    started = []

    def start(app, rows=30, columns=120):
        command = [forktail, "top", "-s", app.home / "stats.sock", "-i", "50ms"]
        started.append(Terminal(command, environment, rows, columns))
        return started[-1]

    yield start
    for one in started:
        one.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_terminal_it_is_redrawn_in_place_until_it_is_told_to_end(server, terminal, hold_app, number):
    app = server(app=hold_app, processes=2, stats="stats.sock")
    shown = terminal(app)
    wait_for(lambda: "0 of 2 workers busy" in shown.last(), "table")
    request = Held(app, "seen-while-it-lasts")
    wait_for(lambda: "seen-while-it-lasts" in shown.last(), "request in the table")
    release(app)
    assert request.answer()
    wait_for(lambda: "0 of 2 workers busy" in shown.last(), "end of the request")
    assert re.search(r" 1 requests \(\d+/s\)", shown.last())
    assert shown.end(number) == 0
    assert shown.text.startswith("\x1b[?25l")
    assert shown.text.endswith("\x1b[?25h")  # the cursor is back


def test_the_table_is_cut_to_the_terminal(server, terminal):
    app = server(processes=8, stats="stats.sock")
    shown = terminal(app, rows=6, columns=40)
    wait_for(shown.frames, "table")
    lines = shown.frames()[0].split("\r\n")
    assert len(lines) == 6
    assert max(len(line.removesuffix("\x1b[K")) for line in lines) == 40
    assert shown.end() == 0


def test_a_server_that_goes_away_and_comes_back_is_shown_again(server, terminal):
    app = server(stats="stats.sock")
    shown = terminal(app)
    wait_for(lambda: f"pid {app.pid}," in shown.last(), "table")
    assert app.stop() == 0
    wait_for(lambda: "cannot reach the server" in shown.last() and "trying again" in shown.last(), "message")
    app.start()
    wait_for(lambda: f"pid {app.pid}," in shown.last(), "table of the new server")
    assert shown.end() == 0


def test_without_a_server_there_is_a_failure_that_says_so(server, top, terminal):
    app = server(start=False)
    result = top(app)
    assert result.returncode == 1
    assert result.stderr.startswith("forktail top: cannot reach the server at ")
    assert "with stats = " in result.stderr
    shown = terminal(app)
    assert shown.process.wait(LIMIT) == 1
    assert "cannot reach the server" in shown.process.stderr.read().decode()
    shown.reader.join()
    assert "\x1b[?25l" not in shown.text


def answered_with(answer, listener, ask):
    def serve():
        client, _ = listener.accept()
        with client:
            client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    result = ask()
    thread.join()
    return result


@pytest.mark.parametrize("answer, why", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it did not answer with JSON"),
    (b'{"workers": 3}', "the stats are not as expected"),
    (b"[]", "the stats are not as expected"),
])  # fmt: skip
def test_what_is_no_stats_socket_is_a_failure_that_says_so(top, tmp_path, answer, why):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()
        result = answered_with(answer, listener, lambda: top(None, stats=tmp_path / "other.sock"))
    assert result.returncode == 1
    assert why in result.stderr


def test_uwsgis_own_stats_are_shown_too_and_nothing_in_them_commands_the_terminal(top, tmp_path):
    core = {"id": 0, "requests": 7, "in_request": 1, "vars": ["REQUEST_METHOD=GET"]}
    worker = {"id": 1, "pid": 12, "requests": 7, "status": "busy\x1b[2J", "rss": 1 << 20, "cores": [core]}
    answer = json.dumps({"version": "2.0.21", "pid": 11, "listen_queue": 2, "workers": [worker]}).encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "uwsgi.sock"))
        listener.listen()
        result = answered_with(answer, listener, lambda: top(None, stats=tmp_path / "uwsgi.sock"))
    assert result.returncode == 0, result
    assert result.stdout.splitlines()[0] == "2.0.21, pid 11"
    assert rows(result.stdout)[0][:5] == ["1", "12", "busy", "7", "0.0M"]
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("words", [[], ["-s"], ["-s", "x", "-i", "soon"], ["-s", "x", "more"]], ids=" ".join)
def test_a_wrong_usage_is_2(forktail, environment, words):
    environment.pop("FORKTAIL_STATS", None)
    result = subprocess.run([forktail, "top", *words], env=environment, capture_output=True, text=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == 2
    assert result.stderr
