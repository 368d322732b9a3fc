"""Nothing leaves a child but its end: exceptions, forks and returns of an application's own."""

import os
import re
import signal
import threading
import time
from urllib.parse import quote

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.processes import children_of, is_alive, marked
from lib.waiting import free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
# Each mode and each kind of socket, and not each with each.
every_place = pytest.mark.parametrize("mode, kind", [("preload", "unix"), ("lazy", "tcp"), ("exec", "unix")])


def socket_of(kind):
    return {"socket": f"127.0.0.1:{free_port()}"} if kind == "tcp" else {}


def own_processes(app):
    """The master, its template and its workers."""
    return {app.pid, *children_of(app.pid)}


def all_processes(app):
    return set(marked(app.environment["FORKTAIL_TEST_ID"]))


# Copies that the application forks.


@every_place
@pytest.mark.parametrize("what", ["return", "throw", "failed-exec"])
def test_a_forked_child_that_comes_back_answers_nobody_and_ends(server, hostile_app, mode, kind, what):
    app = server(app=hostile_app, processes=2, fork_mode=mode, threads=2, **socket_of(kind))
    with Kept(app) as peer:
        for number in range(5):
            answer = peer.ask("/fork/" + what, REQUEST_ID=f"forked-{number}")
            assert answer.status == 200
            assert re.fullmatch(rb"\d+\n", answer.body), "the original's answer"
        assert peer.ask("/").status == 200
        assert not peer.has_answer()
    wait_for(lambda: all_processes(app) == own_processes(app), "end of the copies")
    requests = [line["request_id"] for line in app.log(event="request") if line["request_id"].startswith("forked")]
    assert sorted(requests) == [f"forked-{number}" for number in range(5)]
    ended = app.wait_lines(5, event="copy_ended")
    assert {line["during"] for line in ended} == {"handle"}
    assert sorted(line["request_id"] for line in ended) == sorted(requests)
    assert not app.log(event="worker_died")


@every_mode
def test_a_child_that_is_forked_in_a_stream_writes_none_of_it(server, hostile_app, mode):
    app = server(app=hostile_app, processes=1, fork_mode=mode)
    for _ in range(5):
        answer = app.get("/fork/in-stream")
        assert answer.body in (b"before\nafter\n",)
    wait_for(lambda: all_processes(app) == own_processes(app), "end of the copies")
    assert len(app.wait_lines(5, event="copy_ended")) == 5


@every_mode
@pytest.mark.parametrize("where", ["LOAD", "START", "STOP"])
def test_a_child_that_comes_back_from_another_hook_ends_too(server, hostile_app, mode, where, monkeypatch):
    app = server(app=hostile_app, start=False, processes=2, fork_mode=mode, env=f"HOSTILE_AT_{where}=/fork/return")
    app.start()
    assert app.get("/").status == 200
    if where != "STOP":
        wait_for(lambda: all_processes(app) == own_processes(app), "end of the copies")
        assert app.log(event="copy_ended")
    assert app.stop() == 0
    wait_for(lambda: not all_processes(app), "end of all")
    assert app.log(event="copy_ended")
    assert not app.log(event="template_failed")
    assert len(app.log(event="serving")) == 1


def test_a_child_that_comes_back_from_on_timeout_ends_too(server, hostile_app):
    app = server(app=hostile_app, processes=1, harakiri="200ms", harakiri_grace="300ms",
                 env="HOSTILE_ON_TIMEOUT=/fork/return")
    uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/time/forever", REQUEST_ID="overdue-1")))
    (ended,) = app.wait_lines(event="copy_ended")
    assert (ended["during"], ended["request_id"]) == ("on_timeout", "overdue-1")
    wait_for(lambda: app.get("/").status == 200, "another worker")
    wait_for(lambda: all_processes(app) == own_processes(app), "end of the copies")


def test_with_gathered_lines_a_copy_does_not_hold_its_originals(server, hostile_app):
    app = server(app=hostile_app, processes=1, log_group="request")
    for number in range(5):
        assert app.get("/fork/return", REQUEST_ID=f"gathered-{number}").status == 200
    wait_for(lambda: len(app.log(event="request")) >= 5, "lines")
    assert len(app.wait_lines(5, event="copy_ended")) == 5


def stay(app, seconds=60):
    """The pid of a copy that has come to stay."""
    return int(app.get(f"/fork/stay?seconds={seconds}").body)


@every_place
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_to_a_copy_is_no_order_to_the_worker_that_it_was_forked_from(server, hostile_app, mode, kind, number):
    app = server(app=hostile_app, processes=2, threads=2, fork_mode=mode, **socket_of(kind))
    workers = app.workers()
    copies = [stay(app) for _ in range(3)]
    for copy in copies:
        os.kill(copy, number)
    if number in (signal.SIGTERM, signal.SIGQUIT):
        wait_for(lambda: not any(map(is_alive, copies)), "end of the copies")
    for _ in range(10):
        assert app.get("/").status == 200
    assert app.workers() == workers
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < 5
    assert not all_processes(app)


@every_mode
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_the_whole_process_group_stops_the_server_and_its_copies(server, hostile_app, mode, number):
    app = server(app=hostile_app, processes=2, threads=2, fork_mode=mode)
    for _ in range(3):
        stay(app)
    os.killpg(app.pid, number)
    assert app.process.wait(10) == 0
    assert not all_processes(app)


@every_mode
def test_a_hangup_of_the_whole_process_group_is_a_reload(server, hostile_app, mode):
    app = server(app=hostile_app, processes=2, threads=2, fork_mode=mode)
    stay(app)
    os.killpg(app.pid, signal.SIGHUP)
    app.wait_log("generation 2 serves")
    app.wait_log("generation 1 has left")
    assert app.get("/").status == 200
    assert app.stop() == 0


@every_place
def test_an_answer_that_ends_with_its_connection_ends_though_a_copy_has_that_too(server, hostile_app, mode, kind):
    app = server(app=hostile_app, processes=1, threads=2, fork_mode=mode, **socket_of(kind))
    begun = time.monotonic()
    stream = threading.Thread(target=app.get, args=("/time/slow-stream?pieces=10&ms=50",))
    stream.start()
    stay(app)
    stream.join()
    assert time.monotonic() - begun < 10


@every_mode
@pytest.mark.parametrize("where", ["LOAD", "START"])
def test_a_copy_that_a_hook_leaves_behind_holds_nothing_up(server, hostile_app, mode, where):
    app = server(app=hostile_app, processes=2, fork_mode=mode, env=f"HOSTILE_AT_{where}=/fork/stay?seconds=60")
    os.kill(app.workers()[1], signal.SIGKILL)
    wait_for(lambda: len(app.workers()) == 2, "another worker")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    app.wait_log("generation 1 has left")
    assert app.get("/").status == 200
    assert app.stop() == 0
    assert not all_processes(app)


@every_place
def test_copies_end_with_the_server_which_can_be_started_again_at_once(server, hostile_app, mode, kind):
    app = server(app=hostile_app, processes=2, fork_mode=mode, **socket_of(kind))
    copies = [stay(app), stay(app)]
    os.kill(app.workers()[1], signal.SIGKILL)
    app.get("/fork/daemon?seconds=60")
    assert app.stop() == 0
    assert not all_processes(app)
    killed = {line["of_pid"] for line in app.log(event="copy_killed")}
    assert killed > set(copies)
    assert len(killed) == 3
    app.start()
    assert app.get("/").status == 200


def test_copies_end_with_the_master_that_an_upgrade_replaces(server, hostile_app):
    app = server(app=hostile_app, processes=2, pidfile="pid")
    copy = stay(app)
    app.send_signal(signal.SIGUSR2)
    assert app.process.wait(20) == 0
    assert not is_alive(copy)
    assert app.get("/").status == 200
    successor = int((app.home / "pid").read_text())
    os.kill(successor, signal.SIGTERM)
    wait_for(lambda: not is_alive(successor), "end of the new master")


@pytest.mark.parametrize("command", ["sleep 60", "{binary} trace 0123456789abcdef -f --logs server.log"])
def test_a_program_that_the_application_has_started_is_not_the_servers_to_end(server, hostile_app, command):
    app = server(app=hostile_app, processes=1)
    command = command.format(binary=app.binary)
    app.get("/fork/system?command=" + quote(command + " >/dev/null 2>&1 &"))
    wait_for(lambda: [pid for pid, title in marked(app.environment["FORKTAIL_TEST_ID"]).items()
                      if title.startswith(command[:40])], "program that runs")
    (program,) = (pid for pid, title in marked(app.environment["FORKTAIL_TEST_ID"]).items()
                  if title.startswith(command[:40]))
    assert app.stop() == 0
    assert all_processes(app) == {program}
    os.kill(program, signal.SIGKILL)
    assert not app.log(event="copy_killed")


@every_mode
@pytest.mark.parametrize("group", ["line", "request"])
def test_a_child_that_logs_while_other_threads_do_waits_for_none_of_them(server, hostile_app, mode, group):
    options = {"log_group": "request"} if group == "request" else {}
    app = server(app=hostile_app, processes=1, threads=4, fork_mode=mode, **options)
    threads = [threading.Thread(target=app.get, args=("/threads/log?ms=3000",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert app.get("/fork/log?count=100").status == 200
    for thread in threads:
        thread.join()
    lines = [line for line in app.log() if line["msg"] == "from a child"]
    assert len({line["pid"] for line in lines}) == len(lines) == 300
    assert {line["seq"] for line in lines} == {1}


# Exceptions.


@every_place
@pytest.mark.parametrize("what", ["exception", "int", "pointer", "null-what", "long-what", "binary-what", "bomb", "nested",
                                  "in-stream"])
def test_whatever_is_thrown_is_a_500_of_the_same_worker(server, hostile_app, mode, kind, what):
    app = server(app=hostile_app, processes=1, fork_mode=mode, **socket_of(kind))
    before = app.workers()
    answer = app.get("/throw/" + what, REQUEST_ID="thrown-1")
    assert answer.status == 500
    assert b"thrown-1" in answer.body
    assert app.get("/").status == 200
    assert app.workers() == before
    assert len(app.log(event="app_threw")) == 1
    assert own_processes(app) == all_processes(app)


@every_mode
@pytest.mark.parametrize("what", ["exception", "int", "null-what", "bomb", "nested"])
@pytest.mark.parametrize("where", ["LOAD", "START"])
def test_what_is_thrown_at_a_start_is_told_and_ends_nothing_else(server, hostile_app, mode, where, what):
    app = server(app=hostile_app, fork_mode=mode, env=[f"HOSTILE_AT_{where}=/throw/{what}"], start=False)
    result = app.run()
    assert result.returncode == 1
    assert app.log(event="start_failed")
    assert not all_processes(app)


@every_mode
@pytest.mark.parametrize("what", ["null-what", "int", "bomb"])
@pytest.mark.parametrize("where", ["LOAD", "START"])
def test_a_reload_of_what_throws_changes_nothing(server, hostile_app, tmp_path, mode, where, what):
    ini = tmp_path / "server.ini"
    ini.write_text("[forktail]\n")
    app = server(app=hostile_app, processes=2, fork_mode=mode, config=ini)
    workers = app.workers()
    ini.write_text(f"[forktail]\nenv = HOSTILE_AT_{where}=/throw/{what}\n")
    for _ in range(3):
        before = len(app.log(event="reload_failed"))
        app.send_signal(signal.SIGHUP)
        wait_for(lambda: len(app.log(event="reload_failed")) > before, "failed reload")
    assert app.get("/").status == 200
    assert app.workers() == workers
    wait_for(lambda: len(own_processes(app)) == 4 and own_processes(app) == all_processes(app), "end of the others")
    assert (app.home / "app.sock").exists()
    assert app.stop() == 0


@pytest.mark.parametrize("threads", [1, 8])
def test_threads_that_can_not_be_started_end_a_worker_and_no_server(server, hostile_app, threads):
    app = server(app=hostile_app, processes=1, threads=threads, harakiri="5s", start_timeout="2s", start=False,
                 env="HOSTILE_AT_START=/process/no-processes")
    if os.geteuid() == 0:
        pytest.skip("the limit of processes does not hold for root")
    result = app.run(30)
    assert result.returncode in (0, 1)
    assert not all_processes(app)


@every_mode
@pytest.mark.parametrize("what", ["/end/exit", "/end/quick-exit", "/end/abort", "/end/terminate", "/end/exec", "/throw/in-thread", "/throw/from-noexcept",
                                  "/throw/pthread-exit", "/threads/dying"])
def test_a_worker_that_ends_takes_nothing_of_the_server_along(server, hostile_app, mode, what):
    app = server(app=hostile_app, processes=2, fork_mode=mode, pidfile="pid", control="control", harakiri="1s",
                 harakiri_grace="200ms")
    inode = (app.home / "app.sock").stat().st_ino
    for _ in range(3):
        try:
            uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables(what)))
        except OSError:
            pass
    time.sleep(0.1)
    wait_for(lambda: len(app.workers()) == 2, "workers")
    assert app.get("/").status == 200
    assert (app.home / "app.sock").stat().st_ino == inode
    assert (app.home / "pid").read_text() == f"{app.pid}\n"
    assert (app.home / "control").exists()
    assert app.stop() == 0
