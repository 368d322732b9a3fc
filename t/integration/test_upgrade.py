"""A new binary takes over the sockets, or the old one goes on as if nothing had been."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from dispatch_support import APP, Kept
from dispatch_support import Load as Work
from lib import uwsgi
from lib.hold import Held, release
from lib.processes import children_of, is_alive
from lib.waiting import free_port, wait_for
from test_reload import Load, replace
from test_systemd import FRAGILE, Manager, handed_over, listening
from tls_support import client_context, pass_tls, tls_pid, with_client

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])

# Binaries that are none.
FAILING = {
    "it exits": ("#!/bin/sh\nexit 3\n", "it was ended with exit status 3"),
    "it is no program": ("nonsense\n", "cannot execute"),
    "it dies": ("#!/bin/sh\nkill -ABRT $$\n", "it was killed by SIGABRT"),
    "it hangs": ("#!/bin/sh\nexec sleep 1000\n", "it did not serve within upgrade-timeout (1000 ms)"),
    "it hangs and ignores SIGTERM": ("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n",
                                     "it did not serve within upgrade-timeout (1000 ms)"),
}


@pytest.fixture(scope="module")
def work_app(build_app):
    return build_app(APP)


def put(path, text):
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").chmod(0o755)
    os.replace(path.with_suffix(".new"), path)


@pytest.fixture
def upgradable(server, forktail):
    """A server with a binary, pidfile and control socket of its own; every master of it is ended."""
    made = []

    def make(start=True, **options):
        app = server(start=False, **{"processes": 2, "upgrade_timeout": "10s", **options})
        app.options |= {"pidfile": app.home / "pid", "control": app.home / "control"}
        app.binary = app.home / "forktail"
        shutil.copy(forktail, app.binary)
        made.append(app)
        return app.start() if start else app

    yield make
    for app in made:
        if app.process is not None:
            app.stop()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = master(app)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda pid=pid: not is_alive(pid), "end of the master")
        for name in ("pid", "pid.oldbin", "control", "app.sock"):
            assert not (app.home / name).exists(), name


def master(app):
    """Its pid; None while the file is being written."""
    return int((app.home / "pid").read_text() or 0) or None


def ctl(app, *words):
    return subprocess.run([app.home / "forktail", "ctl", "--control", app.home / "control", *words], text=True,
                          capture_output=True, timeout=30, env=app.environment, check=False)


def upgrade(app):
    """By the signal. Returns the new master's pid, once the old one is gone."""
    old = master(app)
    os.kill(old, signal.SIGUSR2)
    if old == app.pid:
        assert app.process.wait(10) == 0
    wait_for(lambda: not is_alive(old), "end of the old master")
    return wait_for(lambda: master(app), "pid of the new master")


@every_mode
def test_no_request_is_lost_over_upgrades(upgradable, record, mode):
    app = upgradable(fork_mode=mode, processes=3)
    inode = os.stat(app.dial()).st_ino
    pids = [app.pid]
    with Load(app.get) as load:
        for _ in range(3):
            pids.append(upgrade(app))
    record(f"{mode}: {load.answered} requests over 3 upgrades, {len(load.failures)} failed")
    assert load.answered > 20
    assert not load.failures
    assert len(set(pids)) == 4
    assert os.stat(app.dial()).st_ino == inode
    assert [line["gen"] for line in app.log(event="request")][-1] == 4  # generations are counted on
    wait_for(lambda: len(children_of(pids[-1])) == 4, "template and three workers")


def test_requests_in_flight_are_finished_by_the_old_one(upgradable, hold_app):
    app = upgradable(app=hold_app)
    request = Held(app, "in-flight-1")
    os.kill(app.pid, signal.SIGUSR2)
    new = wait_for(lambda: (line := next((x for x in app.log() if x["msg"] == "in charge"), None)) and line["pid"],
                   "new master in charge")
    assert new != app.pid
    assert (app.home / "pid").read_text() == f"{new}\n"
    assert app.get("/").status == 200
    release(app)
    assert uwsgi.Response(request.answer()).status == 200
    assert app.process.wait(10) == 0
    assert master(app) == new


def test_ctl_upgrade_waits_until_the_new_one_serves_and_the_new_one_answers_from_then_on(upgradable):
    app = upgradable(stats="stats.sock")
    done = ctl(app, "upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    assert app.process.wait(10) == 0
    assert done.stdout == f"the master with pid {master(app)} serves\n"
    status = ctl(app, "status")
    assert status.returncode == 0 and f'"pid":{master(app)},' in status.stdout
    assert b'"workers"' in uwsgi.exchange(app.home / "stats.sock", b"")
    assert ctl(app, "reload").stdout == "generation 3 serves\n"
    assert ctl(app, "stop").returncode == 0
    assert not (app.home / "stats.sock").exists()


def test_the_new_configuration_is_read_and_new_sockets_are_opened(upgradable, tmp_path):
    ini = tmp_path / "forktail.ini"
    ini.write_text("[forktail]\nprocesses = 1\n")
    app = upgradable(processes=None, config=ini)
    second = tmp_path / "second.sock"
    ini.write_text(f"[forktail]\nprocesses = 3\nstats = {second}\n")
    new = upgrade(app)
    assert len(children_of(new)) == 4
    assert b'"workers"' in uwsgi.exchange(second, b"")
    ini.write_text("[forktail]\nprocesses = 3\n")
    upgrade(app)
    wait_for(lambda: not second.exists(), "end of the socket that is no longer configured")


@pytest.mark.parametrize("kind", FAILING)
def test_when_the_new_binary_fails_the_old_one_serves_on_and_says_why(upgradable, forktail, record, kind):
    text, why = FAILING[kind]
    slow = {"upgrade_timeout": "1s", "reload_mercy": "500ms"} if "hangs" in kind else {}
    app = upgradable(**slow)
    before = (app.home / "pid").read_text()
    workers = app.workers()
    put(app.binary, text)
    with Load(app.get) as load:
        app.send_signal(signal.SIGUSR2)
        line = app.wait_log("the upgrade has failed")
    assert line["level"] == "error" and why in line["msg"]
    assert f"pid {app.pid} goes on" in line["msg"]
    assert not load.failures
    assert (app.home / "pid").read_text() == before
    assert not (app.home / "pid.oldbin").exists()
    assert app.workers() == workers
    shutil.copy(forktail, app.home / "good")
    os.replace(app.home / "good", app.binary)
    # And it can be tried again; on a busy machine a good one, too, may be late.
    wait_for(lambda: ctl(app, "upgrade").returncode == 0, "upgrade to the good binary")
    record(f"{kind}: {line['msg']}")


def test_a_missing_binary_is_reported(upgradable):
    app = upgradable()
    app.binary.rename(app.home / "elsewhere")
    app.send_signal(signal.SIGUSR2)
    line = app.wait_log("the upgrade has failed")
    assert f"cannot execute {app.binary}: No such file" in line["msg"]
    assert app.get("/").status == 200
    (app.home / "elsewhere").rename(app.binary)


@pytest.mark.parametrize("mode", ["preload", "lazy"])
def test_an_application_that_can_not_be_loaded_fails_the_upgrade(upgradable, build_app, mode):
    app = upgradable(start=False, app="./app.so", fork_mode=mode)
    replace(app, "app.so", build_app(FRAGILE))
    app.start()
    (app.home / "broken").touch()
    done = ctl(app, "upgrade")
    assert done.returncode == 1
    assert "it is\nbroken" in done.stderr
    assert master(app) == app.pid
    assert app.get("/").status == 200
    assert os.path.exists(app.dial())


def test_a_configuration_that_can_not_be_read_fails_the_upgrade(upgradable, tmp_path):
    ini = tmp_path / "forktail.ini"
    ini.write_text("[forktail]\n")
    app = upgradable(config=ini)
    ini.write_text("[forktail]\nnonsense = 1\n")
    assert ctl(app, "upgrade").returncode == 1
    ini.write_text("[forktail]\nstats = /nowhere/stats\n")
    done = ctl(app, "upgrade")
    assert done.returncode == 1 and "/nowhere/stats" in done.stderr
    assert master(app) == app.pid
    assert app.get("/").status == 200


def starting(app, stuck_app):
    """An upgrade whose new master is there and can not come to serve; its pid."""
    replace(app, "app.so", stuck_app)
    app.send_signal(signal.SIGUSR2)
    wait_for((app.home / "loading").exists, "application that loads")
    return master(app)


@pytest.fixture
def two_masters(upgradable, hold_app, stuck_app):
    app = upgradable(start=False, app="./app.so")
    replace(app, "app.so", hold_app)
    app.start()
    return app, starting(app, stuck_app)


def test_while_both_live_the_pidfiles_name_them_and_nothing_else_is_begun(two_masters):
    app, new = two_masters
    assert (app.home / "pid.oldbin").read_text() == f"{app.pid}\n"
    assert new != app.pid and is_alive(new)
    for verb in ("reload", "upgrade"):
        done = ctl(app, verb)
        assert done.returncode == 1 and "an upgrade is under way" in done.stderr
    os.kill(new, signal.SIGUSR2)
    app.wait_log("two masters are there already")
    app.send_signal(signal.SIGHUP)
    app.wait_log("no reload")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_new_one_leaves_the_old_one_serving(two_masters, number):
    app, new = two_masters
    os.kill(new, number)
    app.wait_log("the upgrade has failed")
    assert app.get("/").status == 200
    assert master(app) == app.pid
    wait_for(lambda: len(children_of(app.pid)) == 3, "one template and two workers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_of_the_old_one_stops_both(two_masters, number):
    app, new = two_masters
    assert app.stop(number) == 0
    assert not is_alive(new)


def test_when_the_old_one_is_killed_the_new_one_is_in_charge(upgradable, build_app):
    app = upgradable(start=False, app="./app.so")
    replace(app, "app.so", build_app(FRAGILE))
    app.start()
    (app.home / "slow").touch()
    os.kill(app.pid, signal.SIGUSR2)
    new = wait_for(lambda: (app.home / "pid.oldbin").exists() and (app.home / "pid").exists() and master(app),
                   "new master")
    os.kill(app.pid, signal.SIGKILL)
    app.process.wait()
    assert app.wait_log("in charge")["pid"] == new
    (app.home / "slow").unlink()
    wait_for(lambda: app.log(msg="generation 2 serves with 2 workers, fork mode preload"), "new generation")
    assert app.get("/").status == 200
    (app.home / "pid.oldbin").unlink()  # what a killed master leaves


def test_a_pidfile_that_can_not_be_renamed_fails_the_upgrade(upgradable):
    app = upgradable()
    (app.home / "pid.oldbin").mkdir()
    done = ctl(app, "upgrade")
    (app.home / "pid.oldbin").rmdir()
    assert done.returncode == 1 and "can not be renamed" in done.stderr
    assert master(app) == app.pid


def test_a_variable_that_names_no_predecessor_is_refused(server):
    app = server(start=False)
    app.environment = {**app.environment, "FORKTAIL_UPGRADE": "77"}
    result = app.run()
    assert result.returncode == 1 and "FORKTAIL_UPGRADE=77" in result.stderr


def test_systemd_hears_of_the_new_pid_and_then_from_it(upgradable, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    app = upgradable(start=False)
    # A ping a second: ten that nobody has read yet leave no room for what matters.
    app.environment = {**app.environment, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"}
    app.start()
    manager.next("READY")
    app.wait_log("generation 1 serves")
    new = upgrade(app)
    said = []
    while not said or "MAINPID" not in said[-1]:
        said.append(manager.next("MAINPID", "READY", "STOPPING"))
    assert said[-1] == {"MAINPID": str(new)}
    assert not any("STOPPING" in message for message in said)
    assert manager.next("READY", "STOPPING")["STATUS"] == "generation 2 serves with 2 workers, fork mode preload"
    assert manager.next("WATCHDOG", "STOPPING") == {"WATCHDOG": "1"}
    manager.socket.close()


def test_a_socket_of_systemds_goes_from_one_to_the_next_and_stays_systemds(upgradable, tmp_path):
    path = str(tmp_path / "handed.sock")
    with listening(path) as theirs:
        app = handed_over(upgradable(start=False, socket=None), [theirs])
        app.dial = lambda: path
        app.start()
        with Load(app.get) as load:
            upgrade(app)
            last = upgrade(app)
        assert load.answered and not load.failures
        os.kill(last, signal.SIGTERM)
        wait_for(lambda: not is_alive(last), "end of the last master")
        assert os.path.exists(path)


@every_mode
def test_no_request_is_lost_over_an_upgrade_with_tls(upgradable, certificates, nginx, work_app, mode):
    """Those whose handshake falls between the two masters, too."""
    port = free_port()
    app = upgradable(start=False, app=work_app, fork_mode=mode, tls_cert=certificates / "backend.pem",
                     tls_key=certificates / "backend.key", tls_client_ca=certificates / "ca.pem")
    app.options["socket"] = [app.home / "app.sock", f"127.0.0.1:{port}"]
    app.start()
    app.port, app.tls = port, client_context(certificates)
    web = pass_tls(nginx, app, with_client(certificates))
    old = tls_pid(app)
    with Work(web, clients=8, sizes=(0, 3000, 70_000)) as load:
        app.send_signal(signal.SIGUSR2)
        app.wait_log("this one leaves", limit=30)
        load.wait(50)
        wait_for(lambda: not is_alive(app.pid) or app.process.poll() is not None, "end of the old master", 30)
        load.wait(50)
    assert not load.failures
    assert not is_alive(old) and tls_pid(app) is not None
    with Kept(app) as peer:
        assert peer.ask().status == 200
