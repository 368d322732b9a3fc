"""forktail_queue beside what else nginx does with a request: error pages, filters, subrequests, retries, bodies
that come by and by, HTTP/2."""

import contextlib
import json
import socket
import subprocess
import time

import pytest

from lib.tools import give_up, need
from pass_support import IMAGE_FILTER, LIMIT, NGINX, chunked, free_port, response, wait_for
from queue_support import Client, Rig


def same_queue(name, queue="10 active=1"):
    """A location that passes to the same server, by the same queue."""
    return f"location = {name} {{ forktail_pass app; forktail_queue {queue}; }}"


def test_an_error_page_does_not_wait_behind_the_response_that_it_replaces(tmp_path):
    with Rig(tmp_path, "10 active=1", extra="forktail_intercept_errors on; error_page 404 = /other;",
             server=same_queue("/other")) as rig:
        rig.backend.release_all()
        rig.backend.answer = lambda request: response(
            b"", status="404 Not Found" if request["PATH_INFO"] == "/a" else "200 OK", keep="")
        assert rig.nginx.get("/a").status == 200
        rig.wait_for(active=0, admitted=2, waited=0)


def test_a_request_keeps_its_place_while_the_next_server_is_tried(tmp_path):
    queue = "10 active=1 zone=app:64k"
    with Rig(tmp_path, queue,
             http=f"upstream two {{ server unix:{tmp_path}/dead.sock; server unix:{tmp_path}/app.sock; }}",
             server=f"location = /two {{ forktail_pass two; forktail_queue {queue}; }}") as rig:
        rig.nginx.expected = (r"connect\(\) to unix:\S+/dead.sock failed",)
        first = rig.client("/a", active=1)
        second = rig.client("/two", waiting=1)
        third = rig.client("/b", waiting=2)
        rig.backend.release_all()
        assert {client.result().status for client in (first, second, third)} == {200}
        assert rig.backend.arrived == ["/a", "/two", "/b"]
        assert rig.backend.most == 1
        rig.wait_for(active=0, waiting=0, admitted=3)


def auth_rig(home, queue):
    return Rig(home, queue, extra="auth_request /auth;", server=same_queue("/auth", queue))


def test_a_request_does_not_wait_behind_the_subrequest_that_lets_it_pass(tmp_path):
    with auth_rig(tmp_path, "10 active=1") as rig:
        rig.backend.release_all()
        assert rig.nginx.get("/a").status == 200
        rig.wait_for(active=0, admitted=2, waited=0)


def test_a_subrequest_waits_as_a_request_does(tmp_path):
    with auth_rig(tmp_path, "10 active=1") as rig:
        first = rig.client("/a", active=1)
        last = rig.behind_one_that_leaves("/b")
        rig.backend.release_all()
        assert first.result().status == last.result().status == 200
        assert rig.backend.arrived == ["/a", "/b", "/a", "/b"]
        rig.wait_for(active=0, waiting=0, admitted=4)


def test_a_refused_subrequest_leaves_no_trace_in_the_answer(tmp_path):
    with auth_rig(tmp_path, "0 active=1") as rig:
        first = rig.client("/a", active=1)
        refused = rig.nginx.get("/b")
        assert (refused.status, refused.getheader("Retry-After")) == (500, None)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, full=1)


def test_a_mirror_waits_for_the_request_that_it_copies(tmp_path):
    with Rig(tmp_path, "10 active=1", extra="mirror /mirror;", server=same_queue("/mirror")) as rig:
        first = rig.client("/a", active=1, waiting=1)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0, admitted=2, waited=1)


def test_a_mirror_leaves_with_the_client_of_the_request_that_it_copies(tmp_path):
    with Rig(tmp_path, "10 active=1", extra="mirror /mirror;", server=same_queue("/mirror")) as rig:
        leaver = rig.nginx.connect()
        leaver.request("GET", "/gone")
        rig.wait_for(active=1, waiting=1)
        leaver.close()
        rig.wait_for(active=0, waiting=0, left=1)


@pytest.mark.parametrize("error_page, status, retry_after", [
    ("503 @text", 503, "1"),
    ("503 = @text", 200, None),
    ("503 =200 @text", 200, None),
    ("503 = @same", 503, "1"),  # refused once more
    ("503 @page", 503, "9"),  # which says so itself
])
def test_the_503_of_a_refused_request_says_when_to_retry_and_no_other_answer_does(
        tmp_path, error_page, status, retry_after):
    queue = "0 active=1"
    with Rig(tmp_path, queue, extra=f"error_page {error_page};", server=f"""
                location @text {{ return 200 text; }}
                location @same {{ forktail_pass app; forktail_queue {queue}; }}
                location @page {{ forktail_pass app; }}""") as rig:
        first = rig.client("/a", active=1)
        rig.backend.release("/c")
        rig.backend.answer = lambda request: response(b"page", headers=["Retry-After: 9"], keep="")
        refused = rig.nginx.get("/c")
        assert (refused.status, refused.getheader("Retry-After")) == (status, retry_after)
        rig.backend.release_all()
        assert first.result().status == 200


@contextlib.contextmanager
def upload(socket_path, protocol):
    """A POST to /post of 8 bytes, which are sent by what it yields."""
    with subprocess.Popen(
            [need("curl"), "-s", protocol, "--unix-socket", socket_path, "-T", "-", "-X", "POST",
             "-H", "Transfer-Encoding:", "-H", "Content-Length: 8", "http://localhost/post"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0) as curl:
        yield curl.stdin.write


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("rest", ["while it waits", "afterwards"])
def test_a_body_has_all_the_time_that_its_request_waits(tmp_path, protocol, rest):
    with Rig(tmp_path, "5 active=1", server=f"listen unix:{tmp_path}/h.sock{' http2' * ('2' in protocol)};",
             extra="forktail_request_buffering off; client_body_timeout 1s;") as rig:
        first = rig.client("/a", active=1)
        with upload(f"{tmp_path}/h.sock", protocol) as send:
            send(b"half")
            rig.wait_for(waiting=1)
            if rest == "while it waits":
                send(b"rest")
            time.sleep(1.2)  # longer than client_body_timeout
            rig.backend.release_all()
            rig.wait_for(waiting=0)
            if rest == "afterwards":
                send(b"rest")
            # Not from curl, which drops a response that comes before it has ended its HTTP/2 stream.
            line = wait_for(lambda: [x for x in rig.nginx.access() if x.startswith("/post")], "a line")
        assert line[0].startswith("/post 200")
        assert first.result().status == 200
        assert rig.server.requests[-1].body == b"halfrest"


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("error_page", ["", "error_page 415 = /other;"])
def test_a_response_that_a_filter_replaces_gives_its_place_back(tmp_path, buffering, error_page):
    """nginx forgets there what modules know of the request. To an error page that is passed on too,
    as here, it cuts the connection; what counts is that /other does not wait behind /a."""
    if NGINX != "/usr/sbin/nginx" or not IMAGE_FILTER.exists():
        give_up("this nginx's image filter is not installed")
    queue = "10 active=1"
    with Rig(tmp_path, queue, main=f"load_module {IMAGE_FILTER};",
             extra=f"image_filter test; forktail_buffering {buffering}; {error_page}",
             server=f"location = /other {{ forktail_pass app; forktail_queue {queue}; }}") as rig:
        rig.backend.release_all()
        rig.backend.answer = lambda request: chunked(b"no image", bytes(300000), keep="")
        answer = Client(rig.nginx, "/a").result()
        assert error_page or answer.status == 415
        rig.wait_for(active=0, admitted=2 if error_page else 1, waited=0)


def curl(home, *options):
    return subprocess.Popen(
        [need("curl"), "-s", "-o", "/dev/null", "-w", "%{http_code} %header{retry-after}\n",
         "--http2-prior-knowledge", "--unix-socket", f"{home}/h2.sock", *options],
        stdout=subprocess.PIPE, text=True)


def test_an_http2_request_waits_and_leaves_as_others_do(tmp_path):
    with Rig(tmp_path, "2 active=1", server=f"listen unix:{tmp_path}/h2.sock http2;") as rig:
        first = rig.client("/a", active=1)
        with curl(tmp_path, "http://localhost/gone") as leaver, \
                curl(tmp_path, "http://localhost/b") as second:
            rig.wait_for(waiting=2)
            with curl(tmp_path, "http://localhost/c") as refused:
                assert refused.stdout.read() == "503 1\n"
            leaver.kill()
            rig.wait_for(waiting=1, left=1)
            rig.backend.release_all()
            assert second.stdout.read() == "200 \n"
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0, admitted=2)


def test_the_streams_of_one_connection_wait_for_each_other(tmp_path, certificates):
    port = free_port()
    with Rig(tmp_path, "10 active=1", server=f"""
                listen 127.0.0.1:{port} ssl http2;
                ssl_certificate {certificates}/backend.pem;
                ssl_certificate_key {certificates}/backend.key;
             """) as rig:
        with subprocess.Popen(
                [need("curl"), "-sk", "--http2", "-Z", f"https://127.0.0.1:{port}/[0-4]",
                 "-w", "%{http_code}\n", "-o", "/dev/null"], stdout=subprocess.PIPE, text=True) as streams:
            rig.wait_for(active=1, waiting=4)
            rig.backend.release_all()
            assert streams.stdout.read() == "200\n" * 5
        assert rig.backend.most == 1
        rig.wait_for(active=0, waiting=0, admitted=5)


def test_a_page_and_what_it_includes_have_one_place_together(tmp_path):
    includes = "".join(f'<!--#include virtual="/part?{i}" -->' for i in range(5))
    with Rig(tmp_path, "10 active=1 timeout=2s zone=app:64k", extra="ssi on; forktail_buffering off;",
             server=same_queue("/part", "10 active=1 timeout=2s zone=app:64k")) as rig:
        rig.backend.answer = lambda request: response(
            b"+" if request["PATH_INFO"] == "/part" else includes.encode() + b"x" * 100_000,
            headers=["Content-Type: text/html"], keep="")
        rig.backend.release_all()
        assert rig.nginx.get("/page").body == b"+" * 5 + b"x" * 100_000
        rig.wait_for(active=0, waiting=0, timed_out=0, waited=0)


def test_the_time_in_the_queue_of_a_client_that_left_is_logged(tmp_path):
    with Rig(tmp_path, "10 active=1") as rig:
        first = rig.client("/a", active=1)
        with socket.create_connection(("127.0.0.1", rig.nginx.port)) as leaver:
            leaver.sendall(b"GET /leaver HTTP/1.1\r\nHost: a\r\n\r\n")
            rig.wait_for(waiting=1)
            time.sleep(0.2)
        rig.wait_for(waiting=0, left=1)
        rig.backend.release_all()
        assert first.result().status == 200
        (line,) = [line.split() for line in rig.nginx.access() if line.startswith("/leaver 499")]
        assert 0.1 < float(line[2]) < LIMIT


def test_the_times_in_several_queues_add_up(tmp_path):
    with Rig(tmp_path, "10 active=1 timeout=200ms", extra="error_page 503 = @spare;",
             server="location @spare { forktail_pass app; forktail_queue 10 active=5 zone=spare:64k; }") as rig:
        rig.status = lambda: json.loads(rig.nginx.get("/status").body)["forktail_queue:app"]
        first = rig.client("/a", active=1)
        second = Client(rig.nginx, "/b")
        wait_for(lambda: "/b" in rig.backend.arrived, "/b")
        rig.backend.release_all()
        assert {first.result().status, second.result().status} == {200}
        (line,) = wait_for(lambda: [line.split() for line in rig.nginx.access() if line.startswith("/b ")], "/b")
        assert line[1] == "200"
        assert 0.2 <= float(line[2]) < LIMIT
