"""The master's loop survives whatever is read, asked, or short."""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib import uwsgi
from lib.processes import children_of, is_alive
from lib.tools import need
from lib.waiting import LIMIT, free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
CONTROL = "control"


def ctl(app, *words, code=0, control=None):
    result = subprocess.run([app.binary, "ctl", "-c", control or app.home / CONTROL, *words], text=True,
                            capture_output=True, timeout=2 * LIMIT, check=False, errors="replace")
    assert result.returncode == code, result
    return (result.stdout or result.stderr).strip()


def status(app):
    return json.loads(ctl(app, "status"))


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def assert_rests(pid, seconds=1.0):
    """It takes next to no processor time, whatever else is going on."""
    before = ticks(pid)
    time.sleep(seconds)
    used = (ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
    assert used < 0.3 * seconds, f"{used} s of {seconds} s"


def scrape(port, path="/"):
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        return uwsgi.read_to_end(s).decode(errors="replace")


def limited(app, **limits):
    """Changes limits of the running master: soft ones, so that they can be given back."""
    before = {}
    for name, value in limits.items():
        number = getattr(resource, "RLIMIT_" + name.upper())
        before[number] = resource.prlimit(app.pid, number)
        resource.prlimit(app.pid, number, (value, before[number][1]))
    return before


def give_back(app, before):
    for number, limits in before.items():
        resource.prlimit(app.pid, number, limits)


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# Paths.


@every_mode
@pytest.mark.parametrize("ask", ["status", "stats", "http", "metrics", "top"])
def test_stats_are_told_after_the_working_directory_was_removed(server, hostile_app, tmp_path, mode, ask):
    gone = tmp_path / "release-1"
    gone.mkdir()
    port = free_port()
    app = server(app=hostile_app, fork_mode=mode, chdir=gone, control=tmp_path / CONTROL, stats=tmp_path / "stats",
                 stats_http=f"127.0.0.1:{port}")
    shutil.rmtree(gone)
    for _ in range(3):
        if ask == "status":
            cwd = json.loads(ctl(app, "status", control=tmp_path / CONTROL))["cwd"]
            assert cwd.startswith(str(gone))
        elif ask == "stats":
            assert json.loads(uwsgi.read_to_end(uwsgi.connect(tmp_path / "stats")))["pid"] == app.pid
        elif ask == "top":
            assert subprocess.run([app.binary, "top", "-s", tmp_path / "stats"], stdout=subprocess.DEVNULL, timeout=LIMIT,
                                  check=False).returncode == 0
        else:
            assert "200 OK" in scrape(port, "/metrics" if ask == "metrics" else "/")
    assert app.get("/").status == 200
    assert app.stop() == 0


@every_mode
def test_a_directory_that_is_no_utf_8_is_one_like_any_other(server, hostile_app, tmp_path, mode):
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\x80"))
    home.mkdir()
    library = home / "lib.so"
    shutil.copy(hostile_app, library)
    app = server(home=home, app=library, fork_mode=mode, control=home / CONTROL, pidfile=home / "pid",
                 stats=home / "stats")
    assert status(app)["pid"] == app.pid
    assert json.loads(uwsgi.read_to_end(uwsgi.connect(home / "stats")))["pid"] == app.pid
    assert ctl(app, "reload").startswith("generation 2")
    assert app.get("/").status == 200
    successor = int(ctl(app, "upgrade").split("pid ")[1].split()[0])
    assert app.process.wait(LIMIT) == 0
    assert app.get("/").status == 200
    ctl(app, "stop")
    wait_for(lambda: not is_alive(successor), "end of the new master")


def test_paths_of_requests_that_are_no_utf_8_are_told(server, hostile_app):
    app = server(app=hostile_app, processes=1, control=CONTROL)
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/time/sleep?ms=700", PATH_INFO="/time/sl\xe9\xff", QUERY_STRING="ms=700")))
        for _ in range(5):
            assert status(app)["pid"] == app.pid
    assert app.get("/").status == 200


# Descriptors.


@every_mode
def test_without_descriptors_each_order_fails_with_a_reason_and_the_old_state_serves(server, hostile_app, mode):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control=CONTROL)
    before = limited(app, nofile=open_files(app.pid) + 1)
    for words in (("reload",), ("scale", "4"), ("upgrade",), ("refork",) if mode == "preload" else ("mode", "lazy")):
        assert re.search("(?i)too many open files|no file descriptors|descriptor", ctl(app, *words, code=1)), words
    assert app.get("/").status == 200
    os.kill(app.workers()[1], signal.SIGKILL)
    assert status(app)["pid"] == app.pid
    assert app.get("/").status == 200
    assert_rests(app.pid)
    give_back(app, before)
    wait_for(lambda: len(app.workers()) >= 2, "workers again")
    assert ctl(app, "reload").startswith("generation")
    assert app.get("/").status == 200
    assert app.stop() == 0


def test_an_order_is_heard_although_no_descriptor_is_left(server, hostile_app):
    app = server(app=hostile_app, processes=2, control=CONTROL)
    before = limited(app, nofile=open_files(app.pid))
    for _ in range(3):
        assert status(app)["pid"] == app.pid
    assert_rests(app.pid)
    give_back(app, before)
    assert status(app)["pid"] == app.pid


def test_a_limit_that_is_lowered_below_what_is_open_makes_nobody_spin(server, hostile_app):
    app = server(app=hostile_app, processes=4, control=CONTROL)
    before = limited(app, nofile=4)
    assert_rests(app.pid)
    assert app.get("/").status == 200
    give_back(app, before)
    assert status(app)["pid"] == app.pid
    assert app.stop() == 0


@pytest.mark.parametrize("kind", ["control", "stats", "http"])
def test_many_silent_clients_keep_nobody_from_being_heard(server, hostile_app, tmp_path, kind):
    port = free_port()
    app = server(app=hostile_app, control=CONTROL, stats=tmp_path / "stats", stats_http=f"127.0.0.1:{port}")
    address = {"control": app.home / CONTROL, "stats": tmp_path / "stats", "http": ("127.0.0.1", port)}[kind]
    before = open_files(app.pid)
    silent = []
    try:
        for _ in range(300):
            s = socket.socket(socket.AF_INET if kind == "http" else socket.AF_UNIX)
            s.settimeout(1)
            s.connect(address if kind == "http" else str(address))
            silent.append(s)
        begun = time.monotonic()
        assert status(app)["pid"] == app.pid
        if kind == "http":
            assert "200 OK" in scrape(port)
        assert time.monotonic() - begun < 3
        assert open_files(app.pid) < before + 3 * 70
        assert_rests(app.pid)
    finally:
        for s in silent:
            s.close()
    wait_for(lambda: open_files(app.pid) <= before + 2, "end of what they had open")


def test_clients_that_left_while_they_waited_take_no_place(server, hostile_app):
    app = server(app=hostile_app, processes=1, control=CONTROL, reload_mercy="60s")
    with uwsgi.connect(app.dial()) as busy:
        busy.sendall(uwsgi.packet(uwsgi.variables("/signals/wait")))
        wait_for((app.home / "waiting").exists, "request that waits")
        for _ in range(100):  # none of them is answered as long as the worker is busy
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(app.home / CONTROL))
                s.sendall(b"reopen\n")
        assert status(app)["pid"] == app.pid
        assert_rests(app.pid)
        (app.home / "enough").touch()
        uwsgi.read_to_end(busy)


def test_noise_on_the_masters_sockets_harms_nothing(server, hostile_app, tmp_path):
    port = free_port()
    app = server(app=hostile_app, control=CONTROL, stats=tmp_path / "stats", stats_http=f"127.0.0.1:{port}")
    before = open_files(app.pid)

    def shout(number):
        noise = os.urandom(number * 977 % 20000) + (b"\n" if number % 2 else b"\r\n\r\n")
        for address in (app.home / CONTROL, tmp_path / "stats", ("127.0.0.1", port)):
            try:
                uwsgi.exchange(address, noise, end=number % 3 == 0)
            except OSError:
                pass

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(shout, range(40)))
    assert status(app)["pid"] == app.pid
    wait_for(lambda: open_files(app.pid) <= before + 2, "end of what they had open")
    assert app.stop() == 0


# Processes and memory.

def address_space(pid):
    return int(re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10


@every_mode
def test_without_memory_the_master_goes_on(server, hostile_app, mode):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control=CONTROL)
    before = limited(app, **{"as": address_space(app.pid)})
    for words in (("status",), ("reload",), ("scale", "12"), ("status",), ("reload",)):
        subprocess.run([app.binary, "ctl", "-c", app.home / CONTROL, *words], timeout=2 * LIMIT, check=False,
                       capture_output=True)
        assert app.process.poll() is None, words
        assert app.get("/").status == 200, words
    os.kill(app.workers()[1], signal.SIGKILL)
    assert_rests(app.pid)
    assert app.get("/").status == 200
    give_back(app, before)
    wait_for(lambda: app.get("/").status == 200, "workers")
    assert ctl(app, "reload").startswith("generation")
    assert app.stop() == 0


# A full disk.


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run([need("mount"), "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False).returncode != 0:
        pytest.skip("a tmpfs can not be mounted here")
    yield path
    subprocess.run([need("umount"), "-l", path], check=True)


@every_mode
def test_a_full_disk_costs_log_lines_and_nothing_else(server, hostile_app, small_disk, mode):
    app = server(app=hostile_app, processes=2, fork_mode=mode, control=CONTROL, logto=small_disk / "server.log",
                 pidfile=small_disk / "pid", quiet=True)
    wait_for(lambda: [one["accepting"] for one in status(app)["workers"]] == [1, 1], "workers")
    fill = small_disk / "fill"
    file = os.open(fill, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(file, b"x" * 4096):
            pass
    os.close(file)
    for _ in range(20):
        assert app.get("/log").status == 200
    assert status(app)["pid"] == app.pid
    assert ctl(app, "reload").startswith("generation")
    assert "No space left on device" in ctl(app, "upgrade", code=1)  # there is no room for its pidfile
    assert status(app)["pid"] == app.pid
    fill.unlink()
    for _ in range(3):
        assert app.get("/log", REQUEST_ID="there-is-room-again").status == 200
    wait_for(lambda: "there-is-room-again" in (small_disk / "server.log").read_text(), "lines again")
    assert app.stop() == 0


# A machine that is slow to answer.


def test_a_template_that_can_not_be_talked_to_is_replaced(server, hostile_app):
    app = server(app=hostile_app, processes=2, control=CONTROL)
    template = app.template()
    os.kill(template, signal.SIGSTOP)
    os.kill(app.workers()[1], signal.SIGKILL)
    assert status(app)["pid"] == app.pid
    assert app.get("/").status == 200
    assert_rests(app.pid)
    os.kill(template, signal.SIGCONT)
    wait_for(lambda: len(app.workers()) == 2, "both workers")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_template_that_dies_again_and_again_costs_nothing(server, hostile_app, number):
    app = server(app=hostile_app, processes=2, control=CONTROL)
    for _ in range(4):
        before = {pid for pid in children_of(app.pid) if pid not in app.workers().values()}
        for pid in before:
            os.kill(pid, number)
        wait_for(lambda: {pid for pid in children_of(app.pid) if pid not in app.workers().values()} - before,
                 "another template", 3 * LIMIT)
        assert app.get("/").status == 200
    assert_rests(app.pid)
    assert ctl(app, "reload").startswith("generation")
