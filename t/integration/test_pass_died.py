"""A request that kills the process which serves it, over a kept connection."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.nginx import upstream
from lib.waiting import wait_for
from pass_support import KEEP, Nginx, Server, response

GIVES_BACK = KEEP + "Keep-Alive: gives-back\r\n"


def test_a_request_that_kills_a_worker_meets_no_second_one(server, nginx):
    app = server(processes=4)
    block = upstream("app", app, "max_fails=0")[:-1] + "keepalive 32; }"
    web = nginx(http_conf=block, server_conf="location / { forktail_pass app; }")
    for deaths in (1, 2):
        with ThreadPoolExecutor(8) as pool:  # as many kept connections
            assert set(pool.map(lambda _: web.get("/sleep?ms=20").status, range(32))) == {200}
        assert web.get("/die").status == 502
        app.wait_lines(deaths, event="lost")
        wait_for(lambda: len(app.workers()) == 4, "another worker")
        assert [line["path"] for line in app.log(event="lost")] == ["/die"] * deaths
    assert web.get("/").status == 200


@pytest.mark.parametrize("keep, last_word, status, connections", [
    (GIVES_BACK, b"", 502, 1),
    (GIVES_BACK, b"\r\n", 200, 2),
    (KEEP, b"", 200, 2),
], ids=["died", "gave it back", "can not say so"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_only_a_server_that_has_not_died_of_a_request_gets_it_again(tmp_path, method, keep, last_word, status,
                                                                  connections):
    def serve(s, r):
        if r.connection == 0 and len(server.requests) > 1:
            s.sendall(last_word)
            return True
        s.sendall(response(b"hello" if method == "GET" else b"", keep=keep))
        return False

    http = f"upstream app {{ server unix:{tmp_path}/app.sock max_fails=0; keepalive 4; }}"
    with Server(tmp_path / "app.sock", serve) as server, Nginx(
            tmp_path, http, "location / { forktail_pass app; }") as nginx:
        assert nginx.get(method=method).status == 200
        assert nginx.get(method=method).status == status
        assert server.connections == connections
        assert nginx.get(method=method).status == 200


def test_another_server_of_the_block_gets_it_where_the_configuration_says_so(tmp_path):
    def serve(s, r):
        if r["REQUEST_URI"] == "/die":
            return True
        s.sendall(response(keep=GIVES_BACK))
        return False

    http = f"""upstream app {{ server unix:{tmp_path}/a.sock max_fails=0; server unix:{tmp_path}/b.sock max_fails=0;
        keepalive 8; }}"""
    with Server(tmp_path / "a.sock", serve) as a, Server(tmp_path / "b.sock", serve) as b, Nginx(
            tmp_path, http, "location / { forktail_pass app; }") as nginx:
        for _ in range(4):
            assert nginx.get().status == 200
        assert nginx.get("/die").status == 502
        assert [r["REQUEST_URI"] for server in (a, b) for r in server.requests].count("/die") == 2
