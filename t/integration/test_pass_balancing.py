"""forktail_pass under nginx's own ways of choosing a server."""

import contextlib
import threading

import pytest

from pass_support import Nginx, Server, response, wait_for


@pytest.fixture
def pool(tmp_path):
    """Starts nginx over servers `a` and `b`; those that are `down` listen, and close at once."""

    @contextlib.contextmanager
    def start(upstream, down=(), answers=None):
        def serve(name):
            def answer(s, request):
                if name in down:
                    return True
                if answers:
                    answers[name](request)
                s.sendall(response(name.encode()))
                return False

            return answer

        http = "upstream app {" + upstream.format(
            a=f"unix:{tmp_path}/a.sock", b=f"unix:{tmp_path}/b.sock") + "}"
        location = "location / { forktail_pass app; }"
        with Server(tmp_path / "a.sock", serve("a")) as a, Server(tmp_path / "b.sock", serve("b")) as b:
            with Nginx(tmp_path, "forktail on;" + http, location) as nginx:
                yield nginx, a, b

    return start


def test_servers_take_turns(pool):
    with pool("server {a}; server {b}; keepalive 4;") as (nginx, a, b):
        assert sorted(nginx.get().body for _ in range(10)) == [b"a"] * 5 + [b"b"] * 5


def test_a_retry_bears_the_same_id(pool):
    with pool("server {a}; server {b}; keepalive 4;", down="a") as (nginx, a, b):
        assert [nginx.get().body for _ in range(4)] == [b"b"] * 4
        assert len(a.requests) >= 1
        tried = {request["REQUEST_ID"] for request in a.requests}
        assert tried <= {request["REQUEST_ID"] for request in b.requests}


def test_max_fails_leaves_a_failing_server_alone(pool):
    with pool("server {a} max_fails=2 fail_timeout=60s; server {b};", down="a") as (nginx, a, b):
        assert [nginx.get().body for _ in range(20)] == [b"b"] * 20
        assert len(a.requests) == 2


def test_a_backup_serves_only_when_the_others_can_not(pool):
    with pool("server {a}; server {b} backup;") as (nginx, a, b):
        assert [nginx.get().body for _ in range(5)] == [b"a"] * 5
    with pool("server {a} max_fails=1; server {b} backup;", down="a") as (nginx, a, b):
        assert [nginx.get().body for _ in range(5)] == [b"b"] * 5
        assert len(a.requests) == 1


@pytest.mark.parametrize("zone", ["", "zone app 64k;"], ids=["local", "shared zone"])
def test_least_conn_goes_round_a_busy_server(pool, zone):
    release = threading.Event()

    def a_answer(request):
        if request["PATH_INFO"] == "/slow":
            release.wait(10)

    answers = {"a": a_answer, "b": lambda request: None}
    with pool(zone + "least_conn; server {a}; server {b}; keepalive 4;", answers=answers) as (nginx, a, b):
        slow = threading.Thread(target=lambda: nginx.get("/slow"))
        slow.start()
        try:
            wait_for(lambda: any(r["PATH_INFO"] == "/slow" for r in a.requests + b.requests), "slow request")
            if any(r["PATH_INFO"] == "/slow" for r in b.requests):
                pytest.fail("the first request goes to the first server")
            assert [nginx.get().body for _ in range(6)] == [b"b"] * 6
        finally:
            release.set()
            slow.join(10)


def test_hash_keeps_a_key_on_its_server(pool):
    with pool("hash $uri; server {a}; server {b}; keepalive 4;") as (nginx, a, b):
        seen = {path: {nginx.get(path).body for _ in range(3)} for path in map("/{}".format, range(20))}
        assert all(len(servers) == 1 for servers in seen.values())
        assert set().union(*seen.values()) == {b"a", b"b"}


def test_kept_connections_are_used_per_server(pool):
    with pool("server {a}; server {b}; keepalive 4;") as (nginx, a, b):
        for _ in range(20):
            nginx.get()
        assert (a.connections, b.connections) == (1, 1)
