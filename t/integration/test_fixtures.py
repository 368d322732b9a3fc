"""The fixtures notice what they are there to notice."""

import os
import pathlib
import subprocess

import pytest

from lib.logs import each_json_line, nginx_error_id, sanitizer_reports
from lib.nginx import Nginx
from lib.processes import MARKER, end_leftovers, is_alive
from lib.tools import need
from lib.waiting import wait_for


def test_a_process_that_is_left_behind_is_found_and_ended():
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER: "left-behind"})
    # The kernel shows it a moment after the exec.
    wait_for(lambda: MARKER.encode() in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes(), "environment")
    assert end_leftovers("left-behind", patience=0.05) == {process.pid: "sleep 60"}
    assert process.wait(10) == -9
    assert end_leftovers("left-behind") == {}
    assert not is_alive(process.pid)


@pytest.mark.parametrize("torn", [b'{"a":1}\n{"b"', b'{"a":{"a":1}\n', b'{"a":1}{"b":1}\n', b'{"a":1}\n\n', b"17\n"])
def test_a_torn_line_is_an_error(tmp_path, torn):
    (tmp_path / "log").write_bytes(torn)
    with pytest.raises(AssertionError, match="log"):
        list(each_json_line(tmp_path / "log"))


def test_a_server_with_a_torn_line_in_its_log_is_a_complaint(server):
    app = server()
    app.stop()
    assert app.end() == []
    log = app.home / "server.log"
    whole = log.read_bytes()
    for torn in (whole[:-1], whole[5:], whole + b'{"ts":"half of a line\n', whole[:-20] + whole):
        log.write_bytes(torn)
        (complaint,) = app.end()
        assert "server.log has a torn line: " in complaint
    log.write_bytes(whole)


@pytest.mark.parametrize("line", ["==17==ERROR: AddressSanitizer: heap-use-after-free",
                                  "==17==ERROR: LeakSanitizer: detected memory leaks",
                                  "WARNING: ThreadSanitizer: data race (pid=17)",
                                  "a.cc:1:2: runtime error: signed integer overflow"])
def test_a_sanitizers_report_is_found(tmp_path, line):
    (tmp_path / "stderr").write_text(f"before\n{line}\nafter\n")
    assert sanitizer_reports(tmp_path / "stderr") == [line]


def test_an_alert_of_nginx_is_a_complaint_unless_it_is_expected(tmp_path):
    alert = "2026/11/23 15:55:30 [alert] 1#1: worker process 2 exited on signal 9"
    (tmp_path / "error.log").write_text(f"2026/11/23 15:55:30 [notice] 1#1: start\n{alert}\n")
    for expected, complaints in (((), [alert]), (("exited on signal 9",), [])):
        web = Nginx("no-module", tmp_path, {}, "", "", expected=expected)
        assert web.end() == complaints


def test_a_server_that_leaves_its_socket_behind_is_a_complaint(server, tmp_path):
    app = server()
    app.stop()
    os.mkfifo(app.dial())
    assert app.end() == [f"{app.dial()} was left behind"]
    os.unlink(app.dial())


def test_the_id_of_an_error_line_is_its_last_word():
    assert nginx_error_id('... host: "x", request_id: "abc"') == "abc"
    assert nginx_error_id('... request_id: "abc", host: "x"') is None


def test_a_missing_program_skips_a_test_or_fails_it(monkeypatch):
    monkeypatch.delenv("FORKTAIL_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        need("no-such-program")
    monkeypatch.setenv("FORKTAIL_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        need("no-such-program")
