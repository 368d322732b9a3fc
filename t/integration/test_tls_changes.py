"""What a reload or an upgrade does to TLS when something goes wrong in it, and when it turns TLS on or off."""

import contextlib
import os
import resource
import signal
import socket
import subprocess

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.processes import children_of, is_alive
from lib.waiting import LIMIT, free_port, wait_for
from test_upgrade import master, upgradable  # noqa: F401 (a fixture)
from tls_support import StepByStep, client_context, request, tls_pid

# Its workers are ready when there is no file `wait`.
SLOW = """
#include <forktail/app.h>
#include <unistd.h>
struct Slow : forktail::App {
  void on_worker_start(const forktail::Worker&) override {
    for (int i = 0; i < 6000 && access("wait", F_OK) == 0; ++i) {
      usleep(10'000);
    }
  }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "text/plain", std::to_string(getpid())};
  }
};
FORKTAIL_APP(Slow)
"""


@pytest.fixture(scope="module")
def slow_app(build_app):
    return build_app(SLOW)


@contextlib.contextmanager
def no_more_descriptors(pid):
    """The process can open nothing."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    lowest = next(number for number in range(len(taken) + 1) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def ctl(app, forktail, *words):
    return subprocess.Popen([forktail, "ctl", "--control", app.home / "control", *words], env=app.environment,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def begin_reload(app, forktail):
    """Until the new generation's workers start, which takes until there is no file `wait`."""
    (app.home / "wait").touch()
    before = len(children_of(app.pid))
    asked = ctl(app, forktail, "reload")
    wait_for(lambda: len(children_of(app.pid)) == before + 3, "template and workers of the new generation")
    return asked


def test_a_tls_process_that_can_not_be_forked_fails_the_reload_and_the_old_one_serves_on(
        tls_server, slow_app, forktail):
    app = tls_server(app=slow_app, processes=2, control="control")
    old = tls_pid(app)
    with Kept(app) as peer:
        assert peer.ask().status == 200
        asked = begin_reload(app, forktail)
        with no_more_descriptors(app.pid):
            (app.home / "wait").unlink()
            said, _ = asked.communicate(timeout=LIMIT)
        assert asked.returncode == 1
        assert "TLS process 1 did not start" in said and "Too many open files" in said
        line = app.wait_log("generation 1 goes on serving")
        assert line["event"] == "reload_failed" and "TLS process 1 did not start" in line["reason"]
        assert peer.ask().status == 200
    assert tls_pid(app) == old
    with Kept(app) as another:
        assert another.ask().status == 200
    asked = ctl(app, forktail, "reload")
    assert "serves" in asked.communicate(timeout=LIMIT)[0] and asked.returncode == 0
    wait_for(lambda: tls_pid(app) not in (old, None), "new TLS process")
    with Kept(app) as another:
        assert another.ask().status == 200


def test_a_tls_process_that_is_killed_during_a_reload_has_a_successor_and_the_reload_goes_on(
        tls_server, slow_app, forktail):
    app = tls_server(app=slow_app, processes=2, control="control")
    asked = begin_reload(app, forktail)
    os.kill(tls_pid(app), signal.SIGKILL)
    app.wait_lines(2, event="tls_process_ready")
    with Kept(app) as peer:
        assert peer.ask().status == 200
    (app.home / "wait").unlink()
    assert asked.communicate(timeout=LIMIT) and asked.returncode == 0
    app.wait_lines(3, event="tls_process_ready")
    wait_for(lambda: len(app.log(event="tls_process_left")) == 1, "end of the old TLS process")
    with Kept(app) as peer:
        assert peer.ask().status == 200


def test_a_tls_process_that_is_killed_during_an_upgrade_has_a_successor_and_the_upgrade_goes_on(
        upgradable, slow_app, certificates):  # noqa: F811
    port = free_port()
    app = upgradable(start=False, app=slow_app, tls_cert=certificates / "backend.pem",
                     tls_key=certificates / "backend.key", tls_client_ca=certificates / "ca.pem")
    app.options["socket"] = [app.home / "app.sock", f"127.0.0.1:{port}"]
    app.start()
    app.port, app.tls = port, client_context(certificates)
    (app.home / "wait").touch()
    app.send_signal(signal.SIGUSR2)
    app.wait_log("upgrading:")
    killed = tls_pid(app)
    os.kill(killed, signal.SIGKILL)
    app.wait_lines(1, event="tls_process_died")
    app.wait_lines(2, event="tls_process_ready")
    with Kept(app) as peer:
        assert peer.ask().status == 200
    (app.home / "wait").unlink()
    assert app.process.wait(30) == 0
    wait_for(lambda: master(app) not in (app.pid, None), "new master")
    wait_for(lambda: len(app.log(event="tls_process_ready")) == 3, "TLS process of the new master")
    with Kept(app) as peer:
        assert peer.ask().status == 200
    assert not is_alive(killed)


def test_a_certificate_that_is_gone_fails_the_reload_and_the_old_one_stays_in_use(
        tls_server, certificates, tmp_path, forktail):
    cert, key = tmp_path / "now.pem", tmp_path / "now.key"
    cert.write_bytes((certificates / "backend.pem").read_bytes())
    key.write_bytes((certificates / "backend.key").read_bytes())
    app = tls_server(tls_cert=cert, tls_key=key, control="control")
    old = tls_pid(app)
    cert.unlink()
    asked = ctl(app, forktail, "reload")
    said, _ = asked.communicate(timeout=LIMIT)
    assert asked.returncode == 1
    for word in ("tls-cert", str(cert), "No such file"):
        assert word in said
    assert request(app, client_context(certificates))[0].status == 200
    assert tls_pid(app) == old


@pytest.fixture
def configured(server, bodies_app, certificates, tmp_path):
    """A server that reads a file, which names a TCP port and, with `tls`, the certificates."""
    port = free_port()
    app = server(start=False, app=bodies_app, socket=None, processes=2)
    app.options["config"] = tmp_path / "now.ini"

    def write(tls):
        files = (f"tls-cert = {certificates}/backend.pem\ntls-key = {certificates}/backend.key\n"
                 f"tls-client-ca = {certificates}/ca.pem\n") if tls else ""
        (tmp_path / "now.ini").write_text(f"[forktail]\nsocket = {tmp_path}/app.sock\n"
                                          f"socket = 127.0.0.1:{port}\n{files}")

    app.port, app.write = port, write
    app.dial = lambda: str(tmp_path / "app.sock")
    return app


def ask_plainly(app):
    with uwsgi.connect(("127.0.0.1", app.port)) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/")))
        return uwsgi.read_to_end(s)


def test_a_reload_turns_tls_on_and_off(configured, certificates):
    app = configured
    app.write(tls=False)
    app.start()
    assert b"200" in ask_plainly(app) and tls_pid(app) is None
    app.write(tls=True)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    app.wait_log("generation 1 has left")
    assert request(app, client_context(certificates))[0].status == 200
    assert b"200" not in ask_plainly(app)
    assert app.get("/").status == 200
    speaks = tls_pid(app)
    app.write(tls=False)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 3 serves")
    app.wait_log("generation 2 has left")
    wait_for(lambda: not is_alive(speaks), "end of the TLS process")
    assert b"200" in ask_plainly(app) and app.get("/").status == 200


@pytest.mark.parametrize("how", ["in good order", "without a word"])
def test_a_client_that_has_said_all_gets_its_answer(tls_server, certificates, how):
    """It closes its half of the connection behind the request."""
    app = tls_server()
    with uwsgi.connect(("127.0.0.1", app.port)) as plain:
        client = StepByStep(plain, client_context(certificates))
        client.shake_hands()
        client.step(client.tls.write, uwsgi.packet(uwsgi.variables("/big", UWSGI_KEEP_CONN="1")))
        if how == "in good order":
            assert not client.step(client.tls.unwrap)
        plain.shutdown(socket.SHUT_WR)
        answer = uwsgi.Response(client.read_to_end())
    assert answer.status == 200 and len(answer.body) == 1 << 20
