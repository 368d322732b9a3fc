"""What `forktail serve` gives its processes: environment, user, pidfile, threads, log."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import uwsgi
from lib.hold import Held, held, release, wait_held
from lib.look import SOURCE as LOOK
from lib.look import look
from lib.server import refused
from lib.tools import need_root
from lib.waiting import wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="session")
def look_app(build_app):
    return build_app(LOOK)


@every_mode
def test_env_umask_and_chdir_hold_when_the_application_is_loaded(server, look_app, tmp_path, mode):
    (tmp_path / "there").mkdir()
    seen = look(server(app=look_app, fork_mode=mode, env=["LOOK=a=b", "OTHER="], umask="027",
                       chdir=tmp_path / "there"))
    assert seen["cwd"] == str(tmp_path / "there")
    assert seen["env"] == "a=b"
    assert int(seen["umask"]) == 0o027


def test_the_servers_own_files_are_found_where_it_was_started(server, forktail, certificates):
    app = server(start=False, chdir="there", logto="server.log", control="control.sock", stats="unix:stats.sock",
                 pidfile="pid", tls_cert="backend.pem", tls_key="backend.key")
    (app.home / "there").mkdir()
    for name in ("backend.pem", "backend.key"):
        shutil.copy(certificates / name, app.home)
    app.start()
    assert app.get("/", REQUEST_ID="look-for-me-0").status == 200
    app.wait_lines(event="request", request_id="look-for-me-0")
    assert all((app.home / name).exists() for name in ("control.sock", "stats.sock", "pid"))
    control = [forktail, "ctl", "-c", app.home / "control.sock"]
    assert subprocess.run([*control, "reload"], text=True, capture_output=True, check=False).returncode == 0
    assert subprocess.run([*control, "reopen"], text=True, capture_output=True, check=False).returncode == 0
    assert app.get("/").status == 200
    assert app.stop() == 0
    assert not list((app.home / "there").iterdir())
    assert not any((app.home / name).exists() for name in ("control.sock", "stats.sock", "pid"))


@every_mode
def test_a_reload_takes_the_environment_the_umask_and_the_level_anew(server, look_app, mode):
    app = server(start=False, app=None, config="forktail.ini")
    ini = app.home / "forktail.ini"
    text = f"[forktail]\napp = {look_app}\nfork-mode = {mode}\n"
    ini.write_text(f"{text}env = LOOK=before\numask = 022\n")
    app.start()
    assert look(app)["env"] == "before"
    ini.write_text(f"{text}env = LOOK=after\numask = 027\nlog-level = warn\npidfile = pid\nchdir = /\n")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    app.wait_log("chdir, pidfile changed, which takes an upgrade (SIGUSR2) or a restart")
    seen = look(app)
    assert seen["env"] == "after"
    assert int(seen["umask"]) == 0o027
    assert len(app.log(event="request")) == 1


def test_the_log_belongs_to_the_user_that_the_server_becomes(server, forktail, look_app):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o777)
        (home / "look.so").write_bytes(look_app.read_bytes())
        app = server(home=home, app=home / "look.so", control=home / "control.sock", uid="nobody", gid="nogroup")
        assert (home / "server.log").owner() == "nobody"
        reopened = subprocess.run([forktail, "ctl", "-c", home / "control.sock", "reopen"], text=True,
                                  capture_output=True, check=False)
        assert (reopened.returncode, reopened.stderr) == (0, "")
        assert app.stop() == 0


def test_a_directory_that_can_not_be_changed_to_is_named(server):
    refused(server(start=False, chdir="/nowhere").run(), "/nowhere", "chdir", code=1)


@every_mode
def test_uid_and_gid_are_dropped_before_the_application_is_loaded(server, look_app, mode):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "look.so").write_bytes(look_app.read_bytes())
        app = server(home=home, app=home / "look.so", fork_mode=mode, uid="nobody", gid="nogroup")
        seen = look(app)
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in (app.pid, app.template(), *app.workers().values())}
        app.stop()
        assert (seen["uid"], seen["euid"], seen["gid"], seen["egid"]) == ("65534",) * 4
        assert seen["groups"] in ("0", "1")  # at most its own
        assert owners == {65534}
        (home / "app.sock").unlink(missing_ok=True)  # in a folder that only root may write to


def test_an_unknown_user_or_group_is_named(server):
    need_root()
    refused(server(start=False, uid="no-such-user").run(), "no user `no-such-user`", code=1)
    refused(server(start=False, gid="no-such-group").run(), "no group `no-such-group`", code=1)


def test_the_pidfile_has_the_masters_pid_while_it_runs(server):
    app = server(start=False)
    app.options["pidfile"] = app.home / "pid"
    app.start()
    assert (app.home / "pid").read_text() == f"{app.pid}\n"
    assert app.stop() == 0
    assert not (app.home / "pid").exists()


def test_the_pidfile_of_a_living_server_is_refused_and_untouched(server, tmp_path):
    pidfile = tmp_path / "pid"
    first = server(pidfile=pidfile)
    second = server(start=False, pidfile=pidfile)
    refused(second.run(), str(pidfile), "another server runs with it", code=1)
    assert pidfile.read_text() == f"{first.pid}\n"
    assert not os.path.exists(second.dial())
    assert first.get("/").status == 200


def test_a_stale_pidfile_is_taken_over(server, tmp_path):
    (tmp_path / "pid").write_text("4194304\n")
    app = server(pidfile=tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == f"{app.pid}\n"


def test_threads_serve_at_the_same_time_in_one_process(server, hold_app):
    app = server(app=hold_app, threads=4)
    requests = [Held(app, f"request-number-{i}") for i in range(4)]
    assert len(set(held(app).values())) == 1
    with uwsgi.connect(app.dial()) as fifth:
        fifth.sendall(uwsgi.packet(uwsgi.variables("/")))
        release(app)
        assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 4
        assert uwsgi.Response(uwsgi.read_to_end(fifth)).status == 200


def test_one_thread_serves_one_request_at_a_time(server, hold_app):
    app = server(app=hold_app, processes=2)
    requests = [Held(app, f"request-number-{i}") for i in range(2)]
    assert len(set(wait_held(app, 2).values())) == 2
    assert not uwsgi.ping(app.dial())
    release(app)
    assert [uwsgi.Response(request.answer()).status for request in requests] == [200] * 2


def test_without_logto_the_log_goes_to_standard_error(server):
    app = server(start=False, logto=None).start(quiet=True)
    app.get("/", REQUEST_ID="look-for-me-1")
    wait_for(lambda: app.stderr().count('"request_id":"look-for-me-1"') == 5, "lines on standard error")


def test_a_log_that_can_not_be_opened_is_named(server):
    refused(server(start=False, logto="/nowhere/server.log").run(), "/nowhere/server.log", code=1)


def test_log_level_warn_leaves_out_what_is_less(server):
    app = server(log_level="warn", quiet=True)
    app.get("/")
    app.get("/throw")
    lines = app.log()
    assert {line["level"] for line in lines} <= {"warn", "error"}
    assert [line["msg"] for line in lines if line["level"] == "error"] == ["the application threw: asked to throw"]


def test_disable_logging_leaves_out_the_request_lines_alone(server):
    app = server(disable_logging=True)
    app.get("/", REQUEST_ID="look-for-me-2")
    assert [line["msg"].split()[0] for line in app.log(request_id="look-for-me-2")] == [
        "begin", "counter", "in", "end"]


def test_the_text_format_has_the_id_on_every_line_too(server):
    app = server(log_format="text")
    app.get("/", REQUEST_ID="look-for-me-3")
    lines = wait_for(lambda: [line for line in app.log_text().splitlines() if "look-for-me-3" in line],
                     "lines with the id")
    assert len(lines) == 5
    assert not any(line.startswith("{") for line in lines)


@pytest.mark.parametrize("uid", [None, "root", "0"])
@pytest.mark.parametrize("command", ["serve", "check"])
def test_an_application_does_not_run_as_root_unless_that_is_asked_for(server, command, uid):
    need_root()
    app = server(start=False, uid=uid, allow_root=None)
    words = [str(app.binary), command, *app.command()[2:]]
    result = subprocess.run(words, cwd=app.home, env=app.environment, text=True, capture_output=True,
                            timeout=10, check=False)
    refused(result, "refuses to run the application as root", "`uid`", "`allow-root = true`", code=1)
    assert not list(app.home.iterdir())  # neither a socket nor a log


def test_allow_root_can_stand_in_the_ini_file(server, forkfacts):
    need_root()
    app = server(start=False, config="forktail.ini", app=None, allow_root=None)
    (app.home / "forktail.ini").write_text(f"[uwsgi]\napp = {forkfacts}\nallow-root = true\n")
    assert app.start().get("/").status == 200
