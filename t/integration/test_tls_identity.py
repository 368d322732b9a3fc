"""Who is at the other end of a TLS connection, and where the server's own key is."""

import contextlib
import os
import ssl
import subprocess
from pathlib import Path

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.tools import need_root
from tls_support import client_context, tls_pid

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])

# The subject that the server knows.
SUBJECT = """
#include <forktail/app.h>
struct Subject : forktail::App {
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    const std::string_view subject = request.variable("TLS_PEER_SUBJECT");
    return {200, "text/plain", subject.empty() ? "none" : std::string(subject)};
  }
};
FORKTAIL_APP(Subject)
"""


@every_mode
def test_the_application_and_the_log_know_the_client(tls_server, build_app, certificates, mode):
    app = tls_server(app=build_app(SUBJECT), fork_mode=mode)
    with Kept(app) as peer:
        for _ in range(3):
            assert peer.ask(TLS_PEER_SUBJECT="CN=admin").body == b"CN=client.example"
    assert app.get("/", TLS_PEER_SUBJECT="CN=admin").body == b"none"
    lines = app.wait_lines(4, event="request")
    assert [line.get("tls_peer") for line in lines] == ["CN=client.example"] * 3 + [None]


def test_without_a_client_certificate_there_is_no_subject(tls_server, build_app, certificates):
    app = tls_server(app=build_app(SUBJECT), tls_client_ca=None)
    app.tls = client_context(certificates, None)
    with Kept(app) as peer:
        assert peer.ask(TLS_PEER_SUBJECT="CN=admin").body == b"none"


def memory_of(pid):
    """All that a process has in its memory."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights = line.split()[:2]
        if "r" in rights and "[v" not in line:
            begin, end = (int(part, 16) for part in where.split("-"))
            with open(f"/proc/{pid}/mem", "rb") as memory, contextlib.suppress(OSError):
                memory.seek(begin)
                yield memory.read(end - begin)


@every_mode
def test_the_key_is_in_the_tls_process_and_nowhere_else(tls_server, certificates, mode):
    need_root()
    app = tls_server(fork_mode=mode, processes=2)
    request = Kept(app)
    assert request.ask().status == 200
    lines = (certificates / "backend.key").read_text().splitlines()
    text = lines[1].encode()
    others = [app.pid, app.template(), *app.workers().values()]
    for pid in others:
        assert not any(text in part for part in memory_of(pid)), f"the key is in process {pid}"
    files = {pid: [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
             for pid in (*others, tls_pid(app))}
    holders = {pid for pid, links in files.items() if any("forktail-tls" in link for link in links)}
    assert holders <= {app.pid, tls_pid(app)}
    for pid in (app.pid, tls_pid(app)):  # another process of the same user may not look
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    request.close()


def test_a_refused_subject_is_named(tls_server, certificates, tmp_path):
    """One that is too long to be handed on whole."""
    name = "/".join(f"OU={'x' * 60}{i}" for i in range(9))
    for command in (
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "long.key",
         "-out", "long.csr", "-subj", f"/CN=long/{name}"],
        ["x509", "-req", "-in", "long.csr", "-CA", certificates / "ca.pem", "-CAkey", certificates / "ca.key",
         "-CAcreateserial", "-out", "long.pem", "-days", "2"],
    ):
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)
    app = tls_server()
    context = client_context(certificates, None)
    context.load_cert_chain(tmp_path / "long.pem", tmp_path / "long.key")
    with contextlib.suppress(OSError, ssl.SSLError), uwsgi.connect(("127.0.0.1", app.port)) as plain:
        with context.wrap_socket(plain, server_hostname="backend.example") as s:
            uwsgi.read_to_end(s)
    assert "may have 1 to 500" in app.wait_log("the subject of the client's certificate has")["msg"]
