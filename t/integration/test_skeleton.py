"""One id, from nginx's access log to the application's lines."""

import re
import subprocess

from lib import uwsgi
from lib.logs import nginx_error_id


def test_one_id_stands_on_every_line_of_a_request(server, nginx):
    app = server(processes=2)
    web = nginx(to=app)
    response = web.get("/")
    request_id = response.getheader("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    (access,) = web.wait_access(1)
    assert (access["request_id"], access["status"], access["id_source"]) == (request_id, 200, "generated")
    lines = app.wait_lines(5, request_id=request_id)  # the last one comes after the response
    assert [line["msg"].split()[0] for line in lines] == ["begin", "counter", "in", "end", "GET"]
    assert lines[-1]["event"] == "request"
    assert {line["pid"] for line in lines} == {app.log(event="request")[0]["pid"]}


def test_the_error_line_of_a_killed_worker_ends_in_the_id(server, nginx):
    app = server(processes=2)
    web = nginx(to=app)
    response = web.get("/die")
    assert response.status == 502
    (access,) = web.wait_access(1)
    (error,) = web.errors()
    (lost,) = app.wait_lines(event="lost")
    assert (response.getheader("X-Request-ID") == access["request_id"] == nginx_error_id(error)
            == lost["request_id"])
    assert re.fullmatch(r"worker \d \(pid \d+\) killed by SIGKILL while handling GET /die \(\d+ ms\)",
                        lost["msg"])


def test_every_response_has_the_id_exactly_once(server, nginx):
    app = server()
    web = nginx(to=app)
    for number, path in enumerate(("/", "/throw", "/die"), 1):
        ids = web.get(path).headers.get_all("X-Request-ID")
        assert ids == [web.wait_access(number)[-1]["request_id"]]
    for path in ("/", "/throw"):
        assert len(app.get(path).all("X-Request-ID")) == 1


def test_the_variable_request_id_is_the_id(server):
    app = server(trust_header_id=True)
    response = app.get("/", REQUEST_ID="from-the-variable", HTTP_X_REQUEST_ID="from-the-header")
    assert response["X-Request-ID"] == "from-the-variable"
    assert len(app.log(request_id="from-the-variable")) == 5


def test_the_header_is_the_id_only_where_it_is_trusted(server):
    trusting, wary = server(trust_header_id=True), server()
    assert trusting.get("/", HTTP_X_REQUEST_ID="from-the-header")["X-Request-ID"] == "from-the-header"
    made = wary.get("/", HTTP_X_REQUEST_ID="from-the-header")["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_an_invalid_id_is_replaced_and_the_log_says_so(server):
    app = server(trust_header_id=True)
    for bad in ("short", "x" * 129, "with a blank", "forged\nline-of-log", "<script>alert(1)"):
        before = len(app.log())
        response = app.get("/", REQUEST_ID=bad)
        assert re.fullmatch("[0-9a-f]{32}", response["X-Request-ID"])
        assert app.wait_log("REQUEST_ID is no valid id", before)["level"] == "warn"
        assert re.fullmatch("[0-9a-f]{32}", app.get("/", HTTP_X_REQUEST_ID=bad)["X-Request-ID"])
    assert not app.log(request_id="short")


def test_without_an_id_each_request_gets_one_of_its_own(server):
    app = server(processes=4)
    ids = [app.get("/")["X-Request-ID"] for _ in range(50)]
    assert len(set(ids)) == 50


def test_an_id_that_the_application_sets_itself_does_not_double_the_header(server, build_app):
    app = server(app=build_app("""
        #include <forktail/app.h>
        class Echo : public forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            return forktail::Response(200, "text/plain", "x").add_header("x-request-id", "my-own-id");
          }
        };
        FORKTAIL_APP(Echo)
    """))
    assert app.get("/", REQUEST_ID="the-true-one").all("X-Request-ID") == ["the-true-one"]


def test_a_ping_is_answered(server):
    assert uwsgi.ping(server().dial())


def test_the_hand_client_reaches_the_server(server, forktail, environment):
    app = server()
    result = subprocess.run([forktail, "request", "--socket", app.dial(), "-i", "--id", "by-hand-1",
                             "POST", "/echo", "-d", "the body"], env=environment, text=True,
                            capture_output=True, timeout=10, check=False)
    assert result.returncode == 0, result.stderr
    assert "X-Request-ID: by-hand-1" in result.stdout
    assert result.stdout.endswith("the body")
