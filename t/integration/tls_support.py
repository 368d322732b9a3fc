"""Clients of a server that speaks TLS, and an application with bodies of every kind."""

import contextlib
import ssl

from lib import uwsgi
from lib.processes import is_alive

# GET /file is answered from a file, /stream by parts, /big with a megabyte; POST with what came.
BODIES = """
#include <forktail/app.h>
#include <unistd.h>
struct Bodies : forktail::App {
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/file") {
      return forktail::Response::file("file", "text/plain");
    }
    if (request.path() == "/stream") {
      return forktail::Response::stream(200, "text/plain", [](forktail::Writer& writer) {
        for (int i = 0; i < 100; ++i) {
          writer.write(std::string(1000, static_cast<char>('a' + i % 26)));
        }
      });
    }
    if (request.path() == "/big") {
      return {200, "text/plain", std::string(1 << 20, 'b')};
    }
    return {200, "text/plain", std::string(request.body()) + " " + std::to_string(getpid())};
  }
};
FORKTAIL_APP(Bodies)
"""
BIG = b"b" * (1 << 20)
FILE = b"0123456789" * 5000
STREAM = b"".join(bytes([97 + i % 26]) * 1000 for i in range(100))


def client_context(certificates, name="client"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates / "ca.pem")
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def request(app, context, path="/", session=None, **extra):
    """Over TLS. Returns the answer, and the connection for what is known of it."""
    with uwsgi.connect(("127.0.0.1", app.port)) as plain:
        with context.wrap_socket(plain, server_hostname="backend.example", session=session) as s:
            s.sendall(uwsgi.packet(uwsgi.variables(path, **extra)) + extra.get("body", b""))
            return uwsgi.Response(uwsgi.read_to_end(s)), s.session, s.session_reused


class StepByStep:
    """A client that speaks TLS a step at a time, and whose halves of the connection end each for itself, which
    Python's TLS sockets can not."""

    def __init__(self, plain, context):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="backend.example")

    def step(self, do, *arguments):
        """False when it has to wait for the server."""
        done = True
        try:
            do(*arguments)
        except ssl.SSLWantReadError:
            done = False
        self.plain.sendall(self.outgoing.read())
        return done

    def receive(self):
        part = self.plain.recv(65536)
        self.incoming.write(part) if part else self.incoming.write_eof()
        return part

    def shake_hands(self):
        while not self.step(self.tls.do_handshake):
            assert self.receive(), "the server has closed the connection"

    def read_to_end(self):
        text = b""
        more = True
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            while more:
                try:
                    more = self.tls.read(65536)
                    text += more
                except ssl.SSLWantReadError:
                    self.receive()
        return text


def pass_tls(nginx, app, directives, **options):
    return nginx(http_conf=f"upstream app {{ server 127.0.0.1:{app.port} max_fails=0; keepalive 2; }}",
                 server_conf=f"location / {{ forktail_pass suwsgi://app; {directives} }}", **options)


def with_client(certificates, name="client"):
    return (f"forktail_ssl_certificate {certificates}/{name}.pem;"
            f"forktail_ssl_certificate_key {certificates}/{name}.key;"
            f"forktail_ssl_verify on; forktail_ssl_trusted_certificate {certificates}/ca.pem;"
            "forktail_ssl_name backend.example;")


def tls_pid(app):
    """The newest TLS process that is there."""
    pids = [line["of_pid"] for line in app.log(event="tls_process_ready") if is_alive(line["of_pid"])]
    return pids[-1] if pids else None
