"""`forktail doctor --app`: each trap is found, with who made it, and nothing else is."""

import json
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lib.doctor import Doctor, line_made
from lib.processes import children_of, marked, MARKER
from lib.tools import need
from lib.waiting import free_port, wait_for


@pytest.fixture
def doctor(forktail, build_dir, environment):
    with tempfile.TemporaryDirectory(prefix="doctor") as home:  # the path of a unix socket must be short
        one = Doctor(forktail, build_dir, Path(home), environment)
        yield from watched(one, environment)


def watched(one, environment):
    yield one
    assert not one.left()
    assert not marked(environment[MARKER]), "the doctor left processes behind"


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# The fixture, the source, the name of the finding as a pattern, and whether it counts.
STATIC = [
    ("connection", "descriptors.cc", r"connection 127\.0\.0\.1:\d+", True),
    ("listener", "descriptors.cc", r"listener 127\.0\.0\.1:\d+", False),
    ("datagrams", "descriptors.cc", r"socket .*", True),
    ("epoll", "descriptors.cc", "epoll", True),
    ("event", "descriptors.cc", "eventfd", True),
    ("timer", "descriptors.cc", "timerfd", True),
    ("signals", "descriptors.cc", "signalfd", True),
    ("inotify", "descriptors.cc", "inotify", True),
    ("two_ends", "descriptors.cc", "pipe", True),
    ("file", "descriptors.cc", r"file /.*/fixture\.file", True),
    ("deleted", "descriptors.cc", r"deleted_file /.*/fixture\..*", True),
    ("flock_lock", "descriptors.cc", r"file_lock /.*/fixture\.lock", True),
    ("posix_lock", "descriptors.cc", r"file_lock /.*/fixture\.lock", True),
    ("ofd_lock", "descriptors.cc", r"file_lock /.*/fixture\.lock", True),
    ("thread", "process.cc", "thread metrics", True),
    ("stdio", "process.cc", r"stdio /.*/fixture\.stdio", True),
    ("stream", "process.cc", r"ofstream /.*/fixture\.stream", True),
    ("handler", "process.cc", "signal_handler SIGALRM", True),
    ("mask", "process.cc", "signal_mask", True),
    ("interval", "process.cc", "interval_timer ITIMER_REAL", True),
    ("posix_timer", "process.cc", "posix_timer", True),
    ("mapping", "process.cc", "shared_mapping anonymous", False),
    ("random_seed", "process.cc", r"libc_random rand\(\)", True),
    ("random_draw", "process.cc", r"libc_random rand\(\)", True),
    ("variable", "process.cc", "environment FIXTURE_VARIABLE", False),
    ("file_mask", "process.cc", "umask", False),
]


@pytest.mark.parametrize(("name", "source", "expected", "counts"), STATIC, ids=[one[0] for one in STATIC])
def test_a_trap_is_found_with_the_line_that_made_it_and_nothing_else_is(
        doctor, listening, name, source, expected, counts):
    report = doctor.examine(name, FIXTURE_PORT=str(listening))
    assert len(report["findings"]) == 1, report
    (found,) = report["findings"]
    assert re.fullmatch(expected, found["name"]), found
    assert f"{source}:{line_made(source, name)} " in found["maker"], found
    assert f"{name}.so" in found["maker"]
    assert found["harm"] == counts
    assert report["exit_code"] == (1 if counts else 0)
    assert report["verdict"] == ("use lazy, or mend these 1" if counts else "preload is safe")
    assert found["why"] and found["cure"] and found["evidence"]


def test_bytes_that_wait_in_standard_output_are_found(doctor):
    (found,) = doctor.examine("banner")["findings"]
    assert found["name"] == "stdio stdout"


def test_an_asynchronous_logger_is_found_with_its_thread_its_line_and_its_cure(doctor):
    found = {one["kind"]: one for one in doctor.examine("async_logger")["findings"]}
    assert found.keys() >= {"async_logger", "thread"}
    for one in (found["async_logger"], found["thread"]):
        assert f"async_logger.cc:{line_made('async_logger.cc', 'at_load')} " in one["maker"]
        assert "https://github.com/gabime/spdlog/issues/748" in one["cure"]


ANSWERS = [
    ("counter", "counter GET / body request", "1, 2, 3 in each of 2 workers"),
    ("token", "random GET / body token", "in each of 2 workers"),
    ("load_time", "load_time GET / body since", "in 2 of 2 workers"),
    ("address", "address GET / body context", "in 2 of 2 workers"),
    ("self", "address GET / body thread", "in 2 of 2 workers"),
]


@pytest.mark.parametrize(("name", "expected", "evidence"), ANSWERS, ids=[one[0] for one in ANSWERS])
def test_state_that_answers_show_is_found(doctor, name, expected, evidence):
    report = doctor.examine(name, "--request", "GET /")
    (found,) = report["findings"]
    assert found["name"] == expected
    assert evidence in found["evidence"]
    assert report["exit_code"] == 1


def test_what_was_made_at_the_load_is_told_and_counts_against_nobody(doctor):
    report = doctor.examine("load_value", "--request", "GET /")
    assert {one["name"] for one in report["findings"]} == {"load_value GET / body by", "load_value GET / body secret"}
    assert all("when it was loaded again" in one["evidence"] and not one["harm"] for one in report["findings"])
    assert (report["verdict"], report["exit_code"]) == ("preload is safe", 0)


def test_state_that_log_lines_show_is_found(doctor):
    (found,) = doctor.examine("logged", "--request", "GET /")["findings"]
    assert found["name"] == "random GET / log line 1 drew"


def test_the_markers_of_the_fork_facts_are_found_once_each(doctor, forkfacts):
    names = {one["name"] for one in doctor.examine(forkfacts, "--request", "GET /", "--processes", "4")["findings"]}
    assert names >= {"counter GET / body counter", "random GET / body random", "address GET / body pthread_self",
                     "address GET / body address_static", "address GET / body address_heap_load",
                     "load_value GET / body load_pid"}
    assert not [name for name in names if " log line " in name], "the answer has told it already"
    assert not [name for name in names if re.search(r"body (pid|tid|request_id|worker|loads)\b", name)], names


@pytest.mark.parametrize("name", ["PerWorker", "Randomness", "RealTime", "SharedOnPurpose", "InTheWorker", "Tidy"])
def test_nothing_is_found_where_nothing_is_wrong(doctor, name):
    report = doctor.examine(name, "--request", "GET /", "--processes", "3")
    assert report["findings"] == []
    assert (report["verdict"], report["exit_code"], report["failures"]) == ("preload is safe", 0, [])


def test_what_is_declared_is_told_as_declared_and_does_not_count(doctor):
    report = doctor.examine("declared", "--request", "GET /")
    assert {one["kind"]: one["declared"] for one in report["findings"]} == {
        "epoll": "watched by the template alone", "eventfd": "a pattern names it, too",
        "counter": "counts what this worker has served"}
    assert report["verdict"] == "preload is safe"


def test_what_is_expected_fails_nobody_and_what_is_new_does(doctor, tmp_path):
    expected = tmp_path / "expected"
    expected.write_text("# the event loop\nepoll\n")
    assert doctor.examine("epoll", "--expect", expected)["exit_code"] == 0
    assert doctor.examine("event", "--expect", expected)["exit_code"] == 1


def test_a_person_reads_the_verdict_in_the_last_line(doctor):
    result = doctor.run("--app", doctor.app("thread"))
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "use lazy, or mend these 1"
    for words in ("metrics", "process.cc:", "on_worker_start()", "thread metrics"):
        assert words in result.stdout


def test_a_connection_to_redis_is_found_with_its_library_its_caller_and_the_known_cure(doctor, tmp_path, environment):
    port = free_port()
    redis = subprocess.Popen([need("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                              "--appendonly", "no", "--dir", str(tmp_path)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), "Redis that answers")
        report = doctor.examine("redis", "--request", "GET /", FIXTURE_PORT=str(port))
    finally:
        redis.terminate()
        redis.wait()
    (found,) = report["findings"]
    assert found["name"] == f"connection 127.0.0.1:{port}"
    assert re.match(r"libhiredis\.so\S*( \(\w+\))?, called at ", found["maker"]), found
    assert f"redis.cc:{line_made('redis.cc', 'at_load')} " in found["maker"]
    assert found["cure"].startswith("hiredis: ")


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


HOSTILE = [
    ("CrashesAtLoad", "SIGSEGV"),
    ("ExitsAtLoad", "exit"),
    ("ThrowsAtLoad", "no database"),
    ("HangsAtLoad", "still loading"),
    ("HangsAtFork", "no worker became ready"),
    ("HangsAtStart", "no worker became ready"),
    ("HangsInAnswer", "GET /"),
    ("CrashesInAnswer", "SIGABRT"),
    ("LongAnswer", "longer than 16 MB"),
]


@pytest.mark.parametrize(("name", "words"), HOSTILE, ids=[one[0] for one in HOSTILE])
def test_what_can_not_be_examined_is_a_report_in_time_and_leaves_no_process(doctor, name, words):
    began = time.monotonic()
    report = doctor.examine(name, "--request", "GET /", "--timeout", "4s")
    assert time.monotonic() - began < 20
    assert report["exit_code"] == 2
    assert report["verdict"] == "could not examine it"
    assert any(words in failure for failure in report["failures"]), report
    if name == "HangsAtFork":  # what was found before is told
        assert [one["name"] for one in report["findings"]] == ["epoll"]


@pytest.mark.parametrize("name", ["HangsAtStop", "LeavesDaemon", "IgnoresSignals"])
def test_an_application_that_will_not_end_is_ended(doctor, name):
    report = doctor.examine(name, "--request", "GET /", "--timeout", "60s")
    assert report["exit_code"] in (0, 1), report


def test_an_application_that_is_none_is_refused(doctor, tmp_path):
    report = doctor.examine(tmp_path / "missing.so")
    assert report["exit_code"] == 2
    assert "no such file" in report["failures"][0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_doctor_that_is_ended_leaves_no_process(doctor, number):
    process = subprocess.Popen([str(doctor.forktail), "doctor", "--app", str(doctor.app("HangsAtLoad"))],
                               cwd=doctor.home, env=doctor.environment, stdout=subprocess.PIPE, text=True)
    servers = wait_for(lambda: children_of(process.pid), "server of the doctor's")
    wait_for(lambda: children_of(servers[0]), "template")
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    if number == signal.SIGKILL:
        assert process.returncode == -number
        for folder in doctor.left():  # nobody could remove it
            wait_for(lambda: not marked(doctor.environment[MARKER]), "end of all processes")
            subprocess.run(["rm", "-r", str(folder)], check=True)
    else:
        assert process.returncode == 2
        assert f"ended by {number.name}" in output


def test_modes_are_measured(doctor, forkfacts):
    report = doctor.examine(forkfacts, "--measure", "--timeout", "60s")
    ((_, rows),) = report["tables"].items()
    assert [row["mode"] for row in rows] == ["preload", "preload, after a refork", "lazy", "exec"]
    for row in rows:
        assert row["pss_kib"] > 1000
        assert row["private_kib"] > 10
        assert row["mode"] == "preload, after a refork" or row["first_response_ms"] > 0
    by_mode = {row["mode"]: row for row in rows}
    assert by_mode["preload"]["private_kib"] < by_mode["exec"]["private_kib"]


def test_an_application_without_a_name_is_a_wrong_usage(doctor):
    result = doctor.run("--app", "")
    assert result.returncode == 2 and "--app FILE or --pid MASTER" in result.stderr


def test_a_wrong_time_limit_is_refused(doctor):
    result = doctor.run("--app", doctor.app("epoll"), "--timeout", "soon")
    assert result.returncode == 2
    assert "soon" in result.stderr + json.dumps(result.stdout)
