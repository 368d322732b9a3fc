"""TLS to a TCP backend, with names and certificates checked on both sides."""

import contextlib
import shutil
import socket
import ssl
import threading

import pytest

from pass_support import LIMIT, Nginx, Server, nginx_version, response, wait_for


class TlsServer(Server):
    """On a free TCP port, asking its client for a certificate."""

    def __init__(self, certificates, need_client=False):
        super().__init__("", lambda s, r: s.sendall(response()))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates / "backend.pem", certificates / "backend.key")
        self.names = []
        self.context.sni_callback = lambda s, name, context: self.names.append(name)
        self.clients = []
        if need_client:
            self.context.load_verify_locations(certificates / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(FileNotFoundError):
            super().__exit__()

    def serve(self, s, connection):
        try:
            s.settimeout(LIMIT)
            s = self.context.wrap_socket(s, server_side=True)
            self.clients.append(s.getpeercert())
        except OSError:
            s.close()
            return
        with self.lock:
            self.sockets = {s}
        super().serve(s, connection)


def run(home, certificates, directives, need_client=False, expected=(), requests=1):
    with TlsServer(certificates, need_client) as server:
        http = f"upstream app {{ server 127.0.0.1:{server.port}; keepalive 2; }}"
        with Nginx(home, http, f"location / {{ forktail_pass suwsgi://app; {directives} }}",
                   expected=expected) as nginx:
            answers = [nginx.get("/", "POST", b"body") for _ in range(requests)]
            return [a.status for a in answers], server, nginx.errors()


def test_a_connection_is_encrypted_and_kept(tmp_path, certificates):
    status, server, _ = run(tmp_path, certificates, "", requests=2)
    assert status == [200, 200]
    assert [r.body for r in server.requests] == [b"body"] * 2
    assert server.connections == 1


def test_a_certificate_of_the_right_name_is_accepted(tmp_path, certificates):
    status, server, _ = run(tmp_path, certificates, f"""
        forktail_ssl_verify on; forktail_ssl_trusted_certificate {certificates}/ca.pem;
        forktail_ssl_server_name on; forktail_ssl_name backend.example;
        forktail_ssl_protocols TLSv1.3; forktail_ssl_verify_depth 2;""")
    assert status == [200]
    assert server.names == ["backend.example"]


def test_a_certificate_of_another_name_is_not(tmp_path, certificates):
    status, server, errors = run(tmp_path, certificates, f"""
        forktail_ssl_verify on; forktail_ssl_trusted_certificate {certificates}/ca.pem;
        forktail_ssl_name other.example;""")
    assert status == [502]
    assert 'upstream SSL certificate does not match "other.example"' in errors
    assert not server.requests


def test_a_certificate_of_nobody_trusted_is_not(tmp_path, certificates):
    status, server, errors = run(tmp_path, certificates, f"""
        forktail_ssl_verify on; forktail_ssl_trusted_certificate {certificates}/client.pem;
        forktail_ssl_name backend.example;""")
    assert status == [502]
    assert "upstream SSL certificate verify error" in errors
    assert not server.requests


@pytest.mark.parametrize("key", [
    "client.key", "locked.key", "$arg_none/client.key"], ids=["plain", "locked", "by variables"])
def test_the_backend_gets_a_client_certificate(tmp_path, certificates, key):
    path = f"{certificates}/{key}" if "$" not in key else f"{certificates}$arg_none/client.key"
    status, server, _ = run(tmp_path, certificates, f"""
        forktail_ssl_certificate {certificates}/client.pem;
        forktail_ssl_certificate_key {path};
        forktail_ssl_password_file {certificates}/passwords;""", need_client=True)
    assert status == [200]
    assert ("commonName", "client.example") in server.clients[0]["subject"][0]


@pytest.mark.skipif(nginx_version() < (1, 27, 4), reason="this nginx has no cache of certificates")
@pytest.mark.parametrize("cache, second", [("max=2", 200), ("max=2 valid=1m inactive=1m", 200), ("off", 500)])
def test_certificates_by_variables_can_be_cached(tmp_path, certificates, cache, second):
    with TlsServer(certificates, need_client=True) as server:
        server.answer = lambda s, r: s.sendall(response(keep="Connection: close\r\n")) or True
        shutil.copy(certificates / "client.pem", tmp_path)
        location = f"""
            forktail_pass suwsgi://127.0.0.1:{server.port};
            forktail_ssl_certificate {tmp_path}$arg_none/client.pem;
            forktail_ssl_certificate_key {certificates}$arg_none/client.key;
            forktail_ssl_certificate_cache {cache}; forktail_ssl_session_reuse off;"""
        with Nginx(tmp_path, "", f"location / {{ {location} }}", expected=("cannot load certificate",)) as nginx:
            assert nginx.get().status == 200
            (tmp_path / "client.pem").unlink()
            assert nginx.get().status == second
        assert server.connections == 2


def test_a_backend_that_misses_one_refuses(tmp_path, certificates):
    status, server, _ = run(tmp_path, certificates, "forktail_ssl_protocols TLSv1.2;", need_client=True,
                            expected=(r"SSL_do_handshake\(\) failed", r"SSL_write\(\) failed"))
    assert status == [502]
    assert not server.requests


def test_a_target_of_variables_may_ask_for_tls(tmp_path, certificates):
    with TlsServer(certificates) as server:
        location = f"location / {{ set $to 127.0.0.1:{server.port}; forktail_pass suwsgi://$to; }}"
        with Nginx(tmp_path, "", location) as nginx:
            assert nginx.get().status == 200
            wait_for(lambda: len(server.requests) == 1, "request")
