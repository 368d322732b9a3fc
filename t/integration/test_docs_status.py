"""docs/status.md: each line that it tells to look for is written in the case that it is there for."""

import contextlib
import re
import socket
import threading

import pytest

from lib import uwsgi
from lib.app import ROOT
from lib.nginx import upstream
from lib.waiting import LIMIT, free_port, wait_for

PAGE = (ROOT / "docs/status.md").read_text()
PASS = "location / { forktail_pass app; }"


def lines_of_page():
    """{(status, line)} of the tables."""
    found = set()
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        for cell in re.findall(r"^\| \w+ \| ([^|]*) \|", section, re.M):
            found |= {(section[:3], line) for line in re.findall(r"`([^`]+)`", cell) if line not in ("queue_time",)}
    return found


class World:
    """A server that answers, an nginx in front of it, and what both have written."""

    def __init__(self, server, nginx, build_app):
        self.server, self.nginx, self.build_app = server, nginx, build_app
        self.app = self.web = None

    def serve(self, **options):
        self.app = self.server(**options)
        return self.app

    def front(self, server_conf=PASS, http_conf="", **options):
        self.web = self.nginx(http_conf=upstream("app", self.app, "max_fails=0") + http_conf, server_conf=server_conf, **options)
        return self.web

    def written(self):
        text = self.web.error_text() if self.web else ""
        if self.web:
            text += (self.web.home / "access.log").read_text()
        return text + (self.app.log_text() if self.app else "")

    def go_on(self):
        """The slow request of SLOW ends."""
        (self.app.home / "go_on").touch()

    def raw(self, data, end=True):
        """Bytes to nginx's port; the answer."""
        with socket.create_connection(("127.0.0.1", self.web.port), timeout=LIMIT) as s:
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(OSError):
                while part := s.recv(65536):
                    answer += part
            return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


def to_server(world, data, **options):
    app = world.serve(**options)
    return uwsgi.Response(uwsgi.exchange(app.dial(), data)).status


def no_http(world):
    world.serve(), world.front()
    return status_of(world.raw(b"\x16\x03\x01 nonsense\r\n\r\n"))


def long_header(world):
    world.serve(), world.front(http_conf="large_client_header_buffers 2 1k;")
    return world.web.get("/", headers={"Cookie": "x" * 2000}).status


def http_to_uwsgi(world):
    return to_server(world, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def small_buffer(world):
    world.serve(buffer_size="300"), world.front()
    return world.web.get("/", headers={"X-Long": "x" * 400}).status


def cut_body(world):
    with uwsgi.connect(world.serve().dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/", "POST", CONTENT_LENGTH="100")) + b"half")
        s.shutdown(socket.SHUT_WR)
        return status_of(s.recv(65536))


def silent_client(world):
    world.serve(), world.front(http_conf="client_body_timeout 200ms;")
    assert world.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", end=False) == b""
    return world.web.wait_access(1)[0]["status"]


def silent_peer(world):
    return to_server(world, b"\0\x10\0\0half of", socket_timeout="200ms")


def above_nginx_limit(world):
    world.serve(), world.front(http_conf="client_max_body_size 1k;")
    return world.web.get("/", "POST", b"x" * 2000).status


def above_server_limit(world):
    world.serve(body_limit="1k"), world.front()
    return world.web.get("/", "POST", b"x" * 2000).status


def long_uri(world):
    world.serve(), world.front(http_conf="large_client_header_buffers 2 1k;")
    return world.web.get("/" + "x" * 2000).status


def uri_above_packet(world):
    world.serve(), world.front(http_conf="large_client_header_buffers 4 128k;")
    return world.web.get("/?" + "x" * 70000).status


def headers_above_packet(world):
    world.serve(), world.front(http_conf="large_client_header_buffers 8 32k;")
    return world.web.get("/", headers={f"X-{n}": "x" * 30000 for n in range(3)}).status


def leaves(world, path, arrived):
    """A client that asks, and does not wait for the answer."""
    with socket.create_connection(("127.0.0.1", world.web.port), timeout=LIMIT) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(arrived, f"{path} that has arrived")
    wait_for(lambda: any(line["status"] == 499 for line in world.web.access()), "access line of a client that left")
    return 499


def client_that_leaves(world):
    world.serve(app=world.build_app(SLOW)), world.front()
    code = leaves(world, "/slow", lambda: world.app.log(msg="slow begins"))
    world.go_on()
    world.app.wait_lines(event="response_not_taken")
    return code


def client_that_leaves_the_queue(world):
    world.serve(app=world.build_app(SLOW), processes=1)
    world.front("location / { forktail_pass app; forktail_queue 10 active=1; } location = /queues { forktail_queue_report; }")
    first = threading.Thread(target=world.web.get, args=("/slow",))
    first.start()
    world.app.wait_log("slow begins")
    code = leaves(world, "/waits", lambda: b'"waiting":1' in world.web.get("/queues").body)
    world.go_on()
    first.join()
    return code


def throws(world):
    world.serve(), world.front()
    return world.web.get("/throw").status


def unsendable(world):
    world.serve(app=world.build_app(SLOW)), world.front()
    return world.web.get("/broken").status


def no_room(world):
    world.serve(post_buffering="1k", env="TMPDIR=/proc"), world.front()
    return world.web.get("/", "POST", b"x" * 4000).status


def cycle(world):
    world.serve(), world.front("location / { rewrite ^ /again last; }")
    return world.web.get("/").status


def killed(world):
    world.serve(), world.front()
    return world.web.get("/die").status


def missing_socket(world):
    world.front_of("unix:/nowhere/app.sock")
    return world.web.get("/").status


def refused(world):
    world.front_of(f"127.0.0.1:{free_port()}")
    return world.web.get("/").status


def dead_upstreams(world):
    port = free_port()
    world.front_of(f"127.0.0.1:{port}", f"127.0.0.1:{port}")
    for _ in range(3):
        code = world.web.get("/").status
    return code


def no_uwsgi(world):
    port, stop = free_port(), threading.Event()

    def answer():
        with socket.create_server(("127.0.0.1", port)) as listener:
            stop.set()
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"Bad\x01Header: x\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    stop.wait(LIMIT)
    world.front_of(f"127.0.0.1:{port}")
    code = world.web.get("/").status
    thread.join()
    return code


def queue(world, size, timeout):
    world.serve(app=world.build_app(SLOW), processes=1)
    world.front(f"location / {{ forktail_pass app; forktail_queue {size} active=1 timeout={timeout}; }}")
    first = threading.Thread(target=world.web.get, args=("/slow",))
    first.start()
    world.app.wait_log("slow begins")
    answer = world.web.get("/")
    world.go_on()
    first.join()
    assert answer.getheader("Retry-After") == "1"
    return answer.status


def full_queue(world):
    return queue(world, 0, "5s")


def late_in_queue(world):
    return queue(world, 5, "100ms")


def too_many_requests(world):
    world.serve(), world.front("location / { limit_req zone=z; forktail_pass app; }",
                               "limit_req_zone $binary_remote_addr zone=z:64k rate=1r/m;")
    world.web.get("/")
    return world.web.get("/").status


def own_503(world):
    world.serve(app=world.build_app(SLOW)), world.front()
    return world.web.get("/own-503").status


def slow_upstream(world):
    world.serve(app=world.build_app(SLOW)), world.front("location / { forktail_pass app; forktail_read_timeout 200ms; }")
    code = world.web.get("/slow").status
    world.go_on()
    return code


SLOW = """
#include <forktail/app.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
class Slow : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/slow") {
      spdlog::info("slow begins");
      for (int i = 0; i < 10000 && access("go_on", F_OK) != 0; ++i) {
        usleep(2000);
      }
    }
    if (request.path() == "/broken") {
      return forktail::Response(200, "text/plain", "").add_header("X-Broken", "two\\nlines");
    }
    return {request.path() == "/own-503" ? 503 : 200, "text/plain", "here\\n"};
  }
};
FORKTAIL_APP(Slow)
"""

CASES = {
    ("400", "client sent invalid"): no_http,
    ("400", "client sent too long header line"): long_header,
    ("400", "bad request: this is HTTP, not uwsgi"): http_to_uwsgi,
    ("400", "bad request: the packet has"): small_buffer,
    ("400", "bad request: the connection was closed after"): cut_body,
    ("408", '"status":408'): silent_client,
    ("408", "the packet did not come within socket-timeout"): silent_peer,
    ("413", "client intended to send too large body"): above_nginx_limit,
    ("413", "bad request: the body has"): above_server_limit,
    ("414", "client sent too long URI"): long_uri,
    ("414", "the request makes a uwsgi packet of"): uri_above_packet,
    ("431", "the request makes a uwsgi packet of"): headers_above_packet,
    ("499", '"event":"response_not_taken"'): client_that_leaves,
    ("499", '"upstream":""'): client_that_leaves_the_queue,
    ("500", '"event":"app_threw"'): throws,
    ("500", '"event":"bad_response"'): unsendable,
    ("500", '"event":"body_not_stored"'): no_room,
    ("500", "rewrite or internal redirection cycle"): cycle,
    ("502", "upstream prematurely closed connection"): killed,
    ("502", "connect() to unix:"): missing_socket,
    ("502", "(2: No such file or directory)"): missing_socket,
    ("502", "(111: Connection refused)"): refused,
    ("502", "no live upstreams"): dead_upstreams,
    ("502", "upstream sent invalid header"): no_uwsgi,
    ("503", 'the queue is full: "forktail_queue"'): full_queue,
    ("503", 'the request has waited too long: "forktail_queue"'): late_in_queue,
    ("503", "limiting requests"): too_many_requests,
    ("503", '"event":"request"'): own_503,
    ("503", '"status":503'): own_503,
    ("504", "upstream timed out"): slow_upstream,
}
# Whether it comes depends on who runs the test, or on how full a queue of the kernel's is at a moment.
NOT_TRIED = {
    ("502", "(13: Permission denied) while connecting to upstream"),
    ("502", "(11: Resource temporarily unavailable) while connecting to upstream"),
}


@pytest.fixture
def world(server, nginx, build_app):
    one = World(server, nginx, build_app)

    def front_of(*addresses):
        lines = " ".join(f"server {address} max_fails=1;" for address in addresses)
        one.web = nginx(http_conf=f"upstream app {{ {lines} }}", server_conf=PASS)

    one.front_of = front_of
    return one


@pytest.mark.parametrize("status, line", CASES, ids=[f"{status} {line}" for status, line in CASES])
def test_the_line_is_there_when_this_status_comes(world, status, line):
    assert CASES[status, line](world) == int(status)
    wait_for(lambda: line in world.written(), line)


def test_each_line_of_the_page_has_a_case_and_each_case_a_line():
    assert lines_of_page() == set(CASES) | NOT_TRIED


def test_each_status_that_people_ask_for_has_its_section():
    assert re.findall(r"^## (\d+)", PAGE, re.M) == ["400", "408", "413", "414", "431", "499", "500", "502", "503", "504"]
