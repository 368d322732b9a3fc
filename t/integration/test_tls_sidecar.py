"""TLS by nginx's stream module on the server's machine, as conf/nginx/tls_stream.conf has it."""

import concurrent.futures
import re
import signal
from pathlib import Path

import pytest

from lib.app import ROOT
from lib.hold import Held, release
from lib.tools import give_up
from lib.waiting import free_port, wait_for
from tls_support import BIG, FILE, STREAM, pass_tls, with_client

MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


class Sidecar:
    """nginx with that configuration in front of `app`'s unix socket. Listens on `port`."""

    def __init__(self, nginx, app, certificates, home):
        self.port = free_port()
        self.log = home / "tls.log"
        text = (ROOT / "conf/nginx/tls_stream.conf").read_text()
        here = {"listen 3031": f"listen 127.0.0.1:{self.port}",
                "/etc/forktail/server.pem": certificates / "backend.pem",
                "/etc/forktail/server.key": certificates / "backend.key",
                "/etc/forktail/clients-ca.pem": certificates / "ca.pem",
                "/var/log/nginx/forktail_tls.log": self.log,
                "/run/forktail/forktail.sock": app.dial()}
        for there, value in here.items():
            assert there in text
            text = text.replace(there, str(value))
        if not MODULE.exists():
            give_up("libnginx-mod-stream is not installed")
        self.nginx = nginx(main_conf=f"load_module {MODULE};\n{text}")

    def connections(self):
        """Those that have ended, as the log has them."""
        return self.log.read_text().splitlines()


@pytest.fixture
def sidecar(nginx, certificates, tmp_path):
    return lambda app: Sidecar(nginx, app, certificates, tmp_path)


def test_all_bodies_come_whole_over_one_kept_connection(server, bodies_app, sidecar, nginx, certificates):
    app = server(app=bodies_app, processes=2)
    (app.home / "file").write_bytes(FILE)
    tls = sidecar(app)
    front = pass_tls(nginx, tls, with_client(certificates))
    for path, body in (("/big", BIG), ("/file", FILE), ("/stream", STREAM), ("/big", BIG)) * 3:
        answer = front.get(path)
        assert (answer.status, answer.body) == (200, body)
    sent = b"y" * 300_000
    assert front.get("/", "POST", sent).body.split()[0] == sent
    front.stop()
    (line,) = wait_for(tls.connections, "line of the connection")
    assert '"CN=client.example" 200' in line


def test_any_idle_worker_serves_the_next_request(server, hold_app, sidecar, nginx, certificates):
    app = server(app=hold_app, processes=2)
    front = pass_tls(nginx, sidecar(app), with_client(certificates))
    first = front.get("/").body
    held = Held(app, "held-by-one")
    others = {front.get("/").body for _ in range(10)}
    assert first and others and str(held.pid).encode() not in {body.strip() for body in others}
    release(app)
    assert b"200" in held.answer()


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_client_without_a_certificate_of_the_ca_never_reaches_the_server(
        server, sidecar, nginx, certificates, name):
    app = server()
    directives = with_client(certificates, name) if name else "forktail_ssl_verify off;"
    front = pass_tls(nginx, sidecar(app), directives, expected=(r"SSL_\w+\(\) failed", r"upstream prematurely"))
    assert front.get("/").status == 502
    assert not app.log(event="request")


def test_reloads_lose_no_request(server, sidecar, nginx, certificates):
    app = server(processes=2)
    front = pass_tls(nginx, sidecar(app), with_client(certificates))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(front.get, "/") for _ in range(400)]
        for generation in (2, 3):
            app.send_signal(signal.SIGHUP)
            app.wait_log(f"generation {generation} serves")
        assert {answer.result().status for answer in answers} == {200}
    assert not [line for line in front.errors() if not re.search("keepalive", line)]
