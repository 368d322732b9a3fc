"""TLS on the server's TCP sockets: who is let in, and what slow and broken peers cost."""

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from lib import uwsgi
from lib.server import refused
from lib.waiting import LIMIT, wait_for
from tls_support import BIG, FILE, STREAM, client_context, pass_tls, request, with_client

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])

@every_mode
def test_nginx_with_a_client_certificate_is_served(tls_server, nginx, certificates, mode):
    app = tls_server(fork_mode=mode, processes=2)
    front = pass_tls(nginx, app, with_client(certificates))
    for path, body in (("/big", BIG), ("/file", FILE), ("/stream", STREAM), ("/big", BIG)):
        answer = front.get(path)
        assert (answer.status, answer.body) == (200, body)
    assert not [line for line in app.log() if line["level"] in ("warn", "error") and "root" not in line["msg"]]


def test_bodies_of_requests_come_whole(tls_server, certificates):
    app = tls_server()
    context = client_context(certificates)
    body = b"x" * 300_000
    answer, _, _ = request(app, context, "/", method="POST", body=body)
    assert answer.body.split()[0] == body


def test_the_version_is_12_or_later_and_the_answer_ends_in_good_order(tls_server, certificates):
    app = tls_server()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(certificates)
        context.minimum_version = context.maximum_version = version
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        assert request(app, context, "/big")[0].body == BIG  # no close_notify would be an error


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@every_mode
def test_a_session_is_resumed_by_any_worker(tls_server, certificates, mode, version):
    app = tls_server(processes=3, fork_mode=mode)
    context = client_context(certificates)
    context.maximum_version = version
    _, session, reused = request(app, context)
    assert not reused
    pids = set()
    for _ in range(8):
        answer, newer, reused = request(app, context, session=session)
        assert reused
        pids.add(answer.body.split()[-1])
        session = newer or session
    assert pids


@pytest.mark.parametrize("name, why", [
    (None, "the client gave no certificate, and tls-client-ca asks for one"),
    ("stranger", "the client's certificate is refused: self-signed certificate"),
])
def test_a_client_without_a_certificate_of_the_ca_is_refused(tls_server, nginx, certificates, name, why):
    app = tls_server()
    directives = with_client(certificates, name) if name else "forktail_ssl_verify off;"
    front = pass_tls(nginx, app, directives, expected=(r"SSL_\w+\(\) failed", r"upstream prematurely"))
    assert front.get("/").status == 502
    line = app.wait_log("the TLS handshake failed")
    assert line["level"] == "warn" and why in line["msg"] and line["request_id"]
    assert not app.log(event="request")


def test_without_a_client_ca_any_client_is_served(tls_server, certificates):
    app = tls_server(tls_client_ca=None)
    assert request(app, client_context(certificates, None))[0].status == 200


@pytest.mark.parametrize("sent, why", [
    (uwsgi.packet(uwsgi.variables("/")), "this is no TLS; this socket speaks TLS"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "this is HTTP, not uwsgi; this socket speaks TLS"),
    (b"\x16\x03\x01\x00\x05hello", "the TLS handshake failed"),
], ids=["uwsgi", "HTTP", "garbage that begins like TLS"])
def test_bytes_that_are_no_tls_are_named_and_do_no_harm(tls_server, certificates, sent, why):
    app = tls_server()
    answer = uwsgi.exchange(("127.0.0.1", app.port), sent)
    assert b"HTTP/1.1 200" not in answer
    assert why in app.wait_log("bad request")["msg"]
    assert request(app, client_context(certificates))[0].status == 200


def test_unix_sockets_stay_plain(tls_server):
    assert tls_server().get("/").status == 200


def test_peers_that_say_nothing_hold_no_worker(tls_server, certificates, record):
    app = tls_server(processes=1, socket_timeout="2s")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(uwsgi.connect(("127.0.0.1", app.port)))
        begin = time.monotonic()
        assert request(app, client_context(certificates))[0].status == 200
        assert app.get("/").status == 200
        record(f"20 silent connections, one worker: two answers after {(time.monotonic() - begin) * 1000:.0f} ms")
        assert time.monotonic() - begin < 1


def test_a_handshake_that_stalls_ends_at_socket_timeout_and_does_not_stop_the_master(tls_server, forktail):
    app = tls_server(processes=1, socket_timeout="400ms", control="control")
    with uwsgi.connect(("127.0.0.1", app.port)) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        begin = time.monotonic()
        status = [forktail, "ctl", "--control", app.home / "control", "status"]
        subprocess.run(status, env=app.environment, check=True, timeout=LIMIT, capture_output=True)
        assert uwsgi.read_to_end(s) == b""
        assert 0.2 < time.monotonic() - begin < 2
    assert "did not end within socket-timeout (400 ms)" in app.wait_log("the TLS handshake")["msg"]
    assert app.get("/").status == 200


def test_a_peer_that_leaves_in_the_middle_is_named(tls_server):
    app = tls_server()
    with uwsgi.connect(("127.0.0.1", app.port)) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        s.shutdown(socket.SHUT_WR)
        uwsgi.read_to_end(s)
    assert "the peer closed the connection in the middle" in app.wait_log("the TLS handshake failed")["msg"]


def test_tcp_beyond_loopback_needs_a_client_ca(tls_server, certificates):
    app = tls_server(start=False, tls_client_ca=None)
    app.options["socket"] = [app.home / "app.sock", f"0.0.0.0:{app.port}"]
    refused(app.run(), "needs TLS with a client CA (tls-cert, tls-key, tls-client-ca)", code=1)
    app.options["tls_client_ca"] = certificates / "ca.pem"
    assert request(app.start(), client_context(certificates))[0].status == 200


@pytest.mark.parametrize("options, words", [
    ({"tls_key": None}, ("tls-key", "is missing")),
    ({"tls_cert": None, "tls_client_ca": None}, ("tls-cert", "is missing")),
    ({"tls_cert": None, "tls_key": None}, ("tls-client-ca", "needs tls-cert and tls-key")),
])
def test_options_that_belong_together_are_asked_for(tls_server, options, words):
    refused(tls_server(start=False, **options).run(), *words)


@pytest.mark.parametrize("option, name, words", [
    ("tls_cert", "nowhere.pem", ("tls-cert", "nowhere.pem can not be read", "No such file")),
    ("tls_cert", "client.key", ("tls-cert: is no certificate in PEM",)),
    ("tls_key", "backend.pem", ("tls-key: is no private key in PEM",)),
    ("tls_key", "locked.key", ("tls-key: is no private key in PEM, without a password",)),
    ("tls_key", "client.key", ("tls-key: is not the key of the certificate",)),
    ("tls_client_ca", "client.key", ("tls-client-ca: has no certificate in PEM",)),
])
def test_files_that_can_not_be_used_are_named_at_the_start(tls_server, certificates, option, name, words):
    refused(tls_server(start=False, **{option: certificates / name}).run(), *words, code=1)


def test_a_reload_reads_the_files_anew_and_fails_when_they_are_bad(tls_server, certificates, tmp_path):
    cert, key = tmp_path / "now.pem", tmp_path / "now.key"
    shutil.copy(certificates / "backend.pem", cert)
    shutil.copy(certificates / "backend.key", key)
    app = tls_server(tls_cert=cert, tls_key=key)
    cert.write_text("nonsense")
    app.send_signal(signal.SIGHUP)
    assert "tls-cert: is no certificate" in app.wait_log("can not reload")["msg"]
    assert request(app, client_context(certificates))[0].status == 200
    shutil.copy(certificates / "stranger.pem", cert)
    shutil.copy(certificates / "stranger.key", key)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    wait_for(lambda: app.log(msg="generation 1 has left"), "end of the old generation")
    context = client_context(certificates)
    with pytest.raises(ssl.SSLCertVerificationError):
        request(app, context)
