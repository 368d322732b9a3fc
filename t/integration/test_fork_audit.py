"""`fork-audit`: the server says at each load what the fork duplicates."""

import subprocess

import pytest

from lib.deploy import replace
from lib.server import refused
from lib.waiting import LIMIT


@pytest.fixture
def app_of(build_dir):
    def path(name):
        found = build_dir / f"t/integration/doctor_app/{name}.so"
        assert found.exists(), f"{found} is not built: build the target doctor_apps"
        return found

    return path


def audit_lines(server):
    return [line for line in server.log() if line.get("event") == "fork_audit"]


def test_a_trap_is_a_warning_with_its_cure_and_how_to_silence_it(server, app_of):
    app = server(app=app_of("epoll"))
    (line,) = audit_lines(app)
    assert line["level"] == "warn"
    assert line["finding"] == "epoll"
    assert "on_worker_start()" in line["cure"]
    assert "fork-audit = off" in app.wait_log("fork-audit: 1 found")["msg"]


def test_each_load_is_audited(server, app_of):
    app = server(app="./app.so", start=False)
    replace(app, "app.so", app_of("Tidy"))
    app.start()
    assert audit_lines(app) == []
    replace(app, "app.so", app_of("event"))
    app.send_signal(1)  # HUP
    app.wait_log("fork-audit: 1 found")
    assert [line["finding"] for line in audit_lines(app)] == ["eventfd"]


def test_nothing_is_said_of_a_clean_application_of_what_is_declared_and_of_other_modes(server, app_of):
    for options in ({"app": app_of("Tidy")}, {"app": app_of("declared")}, {"app": app_of("mapping")},
                    {"app": app_of("epoll"), "fork_mode": "lazy"}, {"app": app_of("epoll"), "fork_mode": "exec"},
                    {"app": app_of("epoll"), "fork_audit": "off"}):
        assert "fork-audit" not in server(**options).log_text()


def test_fail_refuses_to_start(server, app_of):
    refused(with_log(server(app=app_of("epoll"), fork_audit="fail", start=False, logto="-")), "fork-audit found",
            "epoll", "forktail::fork_safe", "fork-mode = lazy", code=1)


def with_log(app):
    return app.run()


def test_fail_keeps_the_old_generation_at_a_reload(server, app_of):
    app = server(app="./app.so", fork_audit="fail", start=False)
    replace(app, "app.so", app_of("Tidy"))
    app.start()
    replace(app, "app.so", app_of("thread"))
    app.send_signal(1)  # HUP
    assert "thread metrics" in app.wait_log("fork-audit found")["msg"]
    assert app.get("/").status == 200


@pytest.mark.parametrize("mode", ["lazy", "exec"])
def test_what_each_worker_loads_for_itself_fails_only_where_it_is_to_be_preloaded(server, app_of, mode):
    app = server(app=app_of("epoll"), fork_audit="fail", fork_mode=mode, control="control")
    assert app.get("/").status == 200
    result = subprocess.run([app.binary, "ctl", "-c", app.home / "control", "mode", "preload"], text=True,
                            capture_output=True, timeout=LIMIT, check=False)
    assert result.returncode == 1
    assert "fork-audit found" in result.stderr and "epoll" in result.stderr
    assert app.get("/").status == 200


def test_a_wrong_value_is_refused_with_the_right_ones(server):
    refused(server(fork_audit="maybe", start=False).run(), "fork-audit", "warn", "fail", "off")
