"""Sentences of the pages that were once false, each held by a test: here, or where it belongs.

    check takes the steps of a start                 test_hostile_settings.py
    events, and the fields of `lost`                 script/check-events, lib/events.py for each line of each test
    harakiri names what is read, handled, written    test_harakiri.py
    `ctl stop` and the files that stay               test_ctl.py, test_hostile_users.py
    blocks of commands and configurations            test_docs.py
"""

import re
import signal
import stat
import subprocess

import pytest

from lib import uwsgi
from lib.app import ROOT
from lib.events import documented
from lib.nginx import upstream
from lib.waiting import free_port, wait_for
from test_stats import metrics
from test_upgrade import upgradable, upgrade  # noqa: F401: a fixture

PARAMS = ROOT / "conf/nginx/forktail_uwsgi_params"


def page(name):
    return (ROOT / "docs" / name).read_text()


def test_stock_uwsgi_pass_sends_the_id_and_no_client_can(server, nginx):
    app = server()
    web = nginx(http_conf=upstream("app", app), server_conf=f"location / {{ include {PARAMS}; uwsgi_pass app; }}")
    answer = web.get("/", headers={"REQUEST_ID": "forged-by-a-client", "X-Request-ID": "forged-too"})
    (line,) = app.wait_lines(event="request")
    assert answer.getheader("X-Request-ID") == line["request_id"] == web.wait_access(1)[0]["request_id"]
    assert not line["request_id"].startswith("forged")


def test_the_module_alone_needs_none_of_the_servers_libraries(tmp_path):
    without = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("spdlog", "fmt", "CLI11", "nlohmann_json", "ZLIB", "GTest")]
    result = subprocess.run(["cmake", "--preset", "module", "-B", tmp_path, *without], cwd=ROOT, text=True, capture_output=True,
                            check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_counters_go_on_over_an_upgrade(upgradable):  # noqa: F811
    app = upgradable(stats_http=f"127.0.0.1:{free_port()}")
    for _ in range(5):
        assert app.get("/").status == 200
    wait_for(lambda: metrics(app)["forktail_requests_total"] == 5, "five requests counted")
    upgrade(app)
    wait_for(lambda: metrics(app)["forktail_requests_total"] == 5, "the same five")
    assert app.get("/").status == 200
    wait_for(lambda: metrics(app)["forktail_requests_total"] == 6, "six requests counted")


def test_workers_have_numbers_up_to_twice_processes_and_8(server, forktail):
    app = server(processes=2, control="control.sock")
    control = ["--control", app.home / "control.sock"]
    assert subprocess.run([forktail, "ctl", *control, "scale", "12"], check=True, capture_output=True, text=True).stdout
    assert sorted(app.workers()) == list(range(1, 13))
    assert subprocess.run([forktail, "ctl", *control, "scale", "13"], capture_output=True, check=False).returncode == 1
    for name in ("operations.md", "logs.md"):
        assert "twice `processes` plus 8" in page(name)


def test_the_lines_of_workers_and_templates_have_a_generation_and_those_of_the_master_none(server):
    app = server(processes=2)
    app.get("/")
    app.wait_lines(event="request")
    lines = app.log()
    assert {line["pid"] for line in lines if "gen" not in line} == {app.pid}
    assert all(line["gen"] == 1 for line in lines if "worker" in line)
    assert [line for line in lines if "gen" in line and "worker" not in line], "no line of the template"


def test_log_level_off_leaves_no_line_at_all_of_a_death_neither(server):
    app = server(quiet=True, log_level="off", control="control.sock")
    assert app.get("/").status == 200
    uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/die")))
    wait_for(lambda: app.get("/").status == 200, "successor")
    assert app.log_text() == "" and app.stderr() == ""


@pytest.mark.parametrize("options, mode", [({"umask": "022"}, 0o755), ({"umask": "022", "chmod_stats": "660"}, 0o660)])
def test_the_stats_socket_has_the_mode_of_the_umask_or_that_of_chmod_stats(server, options, mode):
    app = server(stats="stats.sock", control="control.sock", **options)
    assert stat.S_IMODE((app.home / "stats.sock").stat().st_mode) == mode
    assert stat.S_IMODE((app.home / "control.sock").stat().st_mode) == 0o600


def test_upstream_values_are_separated_by_commas_and_behind_an_internal_redirect_by_colons(server, nginx):
    down = f"127.0.0.1:{free_port()}"
    web = nginx(http_conf=f"upstream two {{ server {down}; server {down} backup; }}" + upstream("app", server()),
                server_conf="proxy_intercept_errors on; error_page 502 = @other; location / { proxy_pass http://two; } "
                            "location @other { forktail_pass app; }")
    assert web.get("/").status == 200
    (line,) = web.wait_access(1)
    assert line["upstream_status"] == "502, 502 : 200"
    head = (ROOT / "conf/nginx/forktail_log.conf").read_text().partition("map $status")[0]
    assert '", "' in head and '" : "' in head


def test_a_reload_takes_all_but_what_the_page_names(server, tmp_path):
    source = (ROOT / "backend/server/shared/options.cc").read_text()
    fixed = re.findall(r'compare\("([\w-]+)"', source)
    assert len(fixed) > 10
    sentence = re.search(r"taken at the start only: ([^.]*)\.", page("operations.md").replace("\n", " "))[1]
    assert re.findall(r"`([\w-]+)`", sentence) == fixed


def test_the_fields_of_a_lost_request_are_those_of_the_table(server):
    app = server()
    uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/die")))
    (lost,) = app.wait_lines(event="lost")
    level, fields = documented()["lost"]
    assert lost["level"] == level and fields == set(list(lost)[list(lost).index("event") + 1:])


STREAM = """
#include <forktail/app.h>
#include <unistd.h>
class Streams : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() != "/stream") {
      return {200, "text/plain", "here"};
    }
    return forktail::Response::stream(200, "text/plain", [](forktail::Writer& writer) {
      for (int i = 0; i < 10000 && access("go_on", F_OK) != 0 && writer.write("piece\\n"); ++i) {
        usleep(2000);
      }
      writer.write("end\\n");
    });
  }
};
FORKTAIL_APP(Streams)
"""


def begin_stream(app):
    """A connection on which a part of the stream has come."""
    s = uwsgi.connect(app.dial())
    s.sendall(uwsgi.packet(uwsgi.variables("/stream", REQUEST_ID="a-stream-that-runs")))
    assert b"piece" in s.recv(65536) + s.recv(65536)
    return s


def test_a_stream_is_finished_by_the_generation_that_began_it(server, build_app):
    app = server(app=build_app(STREAM))
    with begin_stream(app) as s:
        app.send_signal(signal.SIGHUP)
        app.wait_log("generation 2 serves")
        assert app.get("/").body == b"here"
        (app.home / "go_on").touch()
        assert uwsgi.read_to_end(s).endswith(b"end\n")


def test_a_stream_that_outlives_the_mercy_of_a_reload_is_cut_and_named(server, build_app):
    app = server(app=build_app(STREAM), reload_mercy="300ms", worker_reload_mercy="300ms")
    with begin_stream(app) as s:
        app.send_signal(signal.SIGHUP)
        (lost,) = app.wait_lines(event="lost")
        assert (lost["request_id"], lost["state"]) == ("a-stream-that-runs", "writing")
        assert not uwsgi.read_to_end(s).endswith(b"end\n")
        assert app.get("/").status == 200


def test_after_a_kill_of_the_master_the_next_start_takes_over_what_stayed(server):
    app = server(pidfile="pid")
    app.process.kill()
    app.process.wait()
    assert (app.home / "app.sock").exists() and (app.home / "pid").exists()
    app.start()
    assert app.get("/").status == 200
    assert int((app.home / "pid").read_text()) == app.pid
