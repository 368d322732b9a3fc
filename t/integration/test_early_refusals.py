"""A server that refuses a request before it has read all of it takes what still comes, so that nginx, which
sends on, gets the answer and neither a reset nor a 502."""

import concurrent.futures
import random
import time

import pytest

from lib import uwsgi
from lib.nginx import upstream
from lib.waiting import free_port, wait_for
from tls_support import pass_tls, with_client

MIB = 1 << 20
UPLOADS = 50

# What is refused, and with which status: an option of the server each.
REFUSALS = {
    "body above body-limit": ({"body_limit": "1m"}, 413, "body-limit"),
    "packet above buffer-size": ({"buffer_size": "64"}, 400, "buffer-size"),
    "body that can not be stored": ({"post_buffering": "1k", "env": "TMPDIR=/proc/self"}, 500, "can not be kept"),
}


def listening(kind, count, tmp_path):
    if kind == "tcp":
        return [f"127.0.0.1:{free_port()}" for _ in range(count)]
    return [tmp_path / f"app{i}.sock" for i in range(count)]


def uploads(rig, sizes, path="/"):
    bodies = bytes(max(sizes))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda size: rig.get(path, "POST", memoryview(bodies)[:size]).status, sizes))


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_each_of_many_large_uploads_is_answered_with_413(server, nginx, tmp_path, kind, servers):
    app = server(socket=listening(kind, servers, tmp_path), body_limit="1m", processes=2)
    rig = nginx(http_conf=f"{upstream('app', app)} sendfile off; client_max_body_size 0;",
                server_conf="""
                    location / { forktail_pass app; }
                    location /stock { include /etc/nginx/uwsgi_params; uwsgi_pass app; }
                    location /unbuffered { forktail_pass app; forktail_request_buffering off; }
                """)
    sizes = [random.Random(n).randrange(2 * MIB, 16 * MIB) for n in range(UPLOADS)]
    assert uploads(rig, sizes) == [413] * UPLOADS
    for path in ("/stock", "/unbuffered"):
        assert uploads(rig, sizes[:10], path) == [413] * 10, path
    assert rig.get("/forkfacts").status == 200, "no server of the block was taken for dead"
    assert not rig.errors(), rig.errors()


def test_large_uploads_over_tls_are_answered_with_413(tls_server, nginx, certificates):
    app = tls_server(body_limit="1m", processes=2)
    rig = pass_tls(nginx, app, with_client(certificates) + "client_max_body_size 0;")
    assert uploads(rig, [random.Random(n).randrange(2 * MIB, 16 * MIB) for n in range(20)]) == [413] * 20
    assert rig.get("/file").status == 200
    assert not rig.errors(), rig.errors()


@pytest.mark.parametrize("options, status, why", REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_each_early_refusal_reaches_the_client(server, nginx, tmp_path, kind, options, status, why):
    app = server(start=False, socket=listening(kind, 1, tmp_path), **options)
    app.start(quiet=True)
    rig = nginx(to=app, http_conf="sendfile off; client_max_body_size 0;")
    assert uploads(rig, [8 * MIB] * 8) == [status] * 8
    assert why in app.log_text()


def test_a_peer_that_sends_on_for_ever_is_given_socket_timeout_and_no_more(server):
    app = server(body_limit="1k", socket_timeout="500ms", processes=1)
    head = uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH=str(1 << 40)))
    with uwsgi.connect(app.dial()) as endless:
        endless.settimeout(10)
        endless.sendall(head)
        begin = time.monotonic()

        def refused():
            try:
                endless.sendall(bytes(65536))
            except OSError:
                return True
            return False

        wait_for(refused, "end of the connection")
        assert 0.4 < time.monotonic() - begin < 5
        assert app.get("/").status == 200


def test_a_peer_that_has_sent_all_and_stays_holds_no_worker(server):
    app = server(body_limit="1k", socket_timeout="60s", processes=1)
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH="2000")) + bytes(2000))
        assert uwsgi.Response(uwsgi.read_to_end(s)).status == 413
        begin = time.monotonic()
        assert app.get("/").status == 200
        assert time.monotonic() - begin < 10
