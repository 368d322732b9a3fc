"""What the stats socket and the stats page tell: uWSGI's fields and ours, and Prometheus text."""

import http.client
import json
import os
import re
import signal
import time

import pytest

from lib import uwsgi
from lib.hold import Held, release
from lib.waiting import LIMIT, free_port, wait_for

# As uWSGI documents and sends them (https://uwsgi-docs.readthedocs.io/en/latest/StatsServer.html).
TOP = {"version": str, "listen_queue": int, "listen_queue_errors": int, "signal_queue": int, "load": int,
       "pid": int, "uid": int, "gid": int, "cwd": str, "sockets": list, "workers": list}
SOCKET = {"name": str, "proto": str, "queue": int, "max_queue": int, "shared": int, "can_offload": int}
WORKER = {"id": int, "pid": int, "accepting": int, "requests": int, "delta_requests": int, "exceptions": int,
          "harakiri_count": int, "signals": int, "signal_queue": int, "status": str, "rss": int, "vsz": int,
          "uss": int, "pss": int, "running_time": int, "last_spawn": int, "respawn_count": int, "tx": int,
          "avg_rt": int, "apps": list, "cores": list}
CORE = {"id": int, "requests": int, "static_requests": int, "routed_requests": int,
        "offloaded_requests": int, "write_errors": int, "read_errors": int, "in_request": int}


def check_fields(given, wanted):
    assert {name: type(given.get(name)) for name in wanted} == wanted


def stats(app):
    """What comes when a client just connects, as uwsgitop does."""
    address = app.options["stats"]
    if "/" not in address and ":" in address:
        host, _, port = address.rpartition(":")
        address = (host, int(port))
    with uwsgi.connect(address if isinstance(address, tuple) else app.home / address) as s:
        return json.loads(uwsgi.read_to_end(s))


def get(app, path, method="GET"):
    connection = http.client.HTTPConnection(app.options["stats_http"], timeout=LIMIT)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        response.body = response.read().decode()
        return response
    finally:
        connection.close()


def samples(text):
    """Prometheus text as {name{labels}: value}, read strictly: every sample stands behind the HELP and
    the TYPE of its family, each family comes once, counters end in _total."""
    assert text.endswith("\n")
    found, families, family, helped = {}, {}, None, None
    for line in text.splitlines():
        if match := re.fullmatch(r"# HELP ([a-z_]+) (\S.*)", line):
            helped = match[1]
        elif match := re.fullmatch(r"# TYPE ([a-z_]+) (counter|gauge)", line):
            family = match[1]
            assert family == helped and family not in families, line
            assert (match[2] == "counter") == family.endswith("_total"), line
            families[family] = match[2]
        else:
            label = r'[a-z_]+="(?:[^"\\]|\\["\\n])*"'
            match = re.fullmatch(rf"(([a-z_]+)(?:\{{{label}(?:,{label})*\}})?) (\S+)", line)
            assert match and match[2] == family, line
            assert match[1] not in found, line
            found[match[1]] = float(match[3])
    return found


def metrics(app):
    return samples(get(app, "/metrics").body)


@pytest.fixture
def with_stats(server):
    """A server with both, whose every request has been counted when its answer has come: a slot's
    count is written after the answer."""

    def make(**options):
        return server(stats="stats.sock", stats_http=f"127.0.0.1:{free_port()}", **options)

    return make


def wait_requests(app, count):
    return wait_for(lambda: (now := stats(app))["requests"] == count and now, f"{count} requests")


def test_every_field_that_uwsgis_stats_have_is_there(with_stats):
    app = with_stats(processes=2, threads=2)
    app.get("/")
    now = wait_requests(app, 1)
    check_fields(now, TOP)
    check_fields(now["sockets"][0], SOCKET)
    assert [worker["id"] for worker in now["workers"]] == [1, 2]
    for worker in now["workers"]:
        check_fields(worker, WORKER)
        assert [core["id"] for core in worker["cores"]] == [0, 1]
        for core in worker["cores"]:
            check_fields(core, CORE)
    assert now["pid"] == app.pid
    assert now["cwd"] == str(app.home)
    assert now["uid"] == os.getuid()
    assert {worker["id"]: worker["pid"] for worker in now["workers"]} == app.workers()
    assert now["sockets"][0]["name"] == str(app.home / "app.sock")


def test_the_lines_of_uwsgitop_can_be_made_of_it(with_stats):
    app = with_stats(processes=2)
    for _ in range(3):
        app.get("/")
    now = wait_requests(app, 3)
    assert sum(worker["requests"] for worker in now["workers"]) == 3
    assert sum(worker["tx"] for worker in now["workers"]) > 100
    for worker in now["workers"]:
        line = "%d %d %d %d %s %dms %d %d %d %d" % (
            worker["id"], worker["pid"], worker["requests"], worker["exceptions"], worker["status"],
            worker["avg_rt"] / 1000, worker["rss"] / 1024 / 1024, worker["vsz"] / 1024 / 1024,
            worker["tx"], worker["running_time"] / 1000)
        assert line.split()[4] == "idle"


def test_over_tcp_it_is_the_same(server):
    app = server(stats=f"127.0.0.1:{free_port()}")
    check_fields(stats(app), TOP)


def test_a_worker_is_idle_busy_or_cheap_and_busy_with_what(with_stats, hold_app):
    app = with_stats(app=hold_app, processes=3, cheaper=2)
    request = Held(app, "shown-in-stats")
    now = stats(app)
    by_pid = {worker["pid"]: worker for worker in now["workers"]}
    busy = by_pid[request.pid]
    assert busy["status"] == "busy"
    core = busy["cores"][0]
    assert (core["in_request"], core["state"], core["request_id"]) == (1, "handling", "shown-in-stats")
    assert (core["method"], core["path"]) == ("GET", "/hold")
    assert 0 <= core["age_ms"] < 5000
    assert sorted(worker["status"] for worker in now["workers"]) == ["busy", "cheap", "idle"]
    assert by_pid[0]["id"] == 3 and by_pid[0]["accepting"] == 0
    release(app)
    assert request.answer()
    wait_for(lambda: {w["status"] for w in stats(app)["workers"]} == {"idle", "cheap"}, "idle workers")


def test_memory_is_told_of_each_worker_and_of_all(with_stats):
    now = stats(with_stats(processes=3))
    for worker in now["workers"]:
        assert 0 < worker["uss"] <= worker["pss"] <= worker["rss"] < worker["vsz"]
    assert now["pss"] == sum(worker["pss"] for worker in now["workers"])


def test_counters_survive_a_respawn(with_stats):
    app = with_stats()
    for _ in range(5):
        app.get("/")
    app.get("/throw")
    first = wait_requests(app, 6)["workers"][0]
    os.kill(first["pid"], signal.SIGKILL)
    wait_for(lambda: stats(app)["workers"][0]["accepting"] and
             stats(app)["workers"][0]["pid"] != first["pid"], "successor")
    app.get("/")
    now = wait_requests(app, 7)
    worker = now["workers"][0]
    assert (worker["requests"], worker["exceptions"]) == (7, 1)
    assert (worker["respawn_count"], worker["crashes"]) == (1, 1)
    assert (now["respawns"], now["crashes"], now["exceptions"]) == (1, 1, 1)
    assert worker["tx"] > first["tx"] and worker["running_time"] >= first["running_time"]
    assert worker["last_spawn"] >= first["last_spawn"] >= time.time() - 60


def test_a_harakiri_is_counted(with_stats):
    app = with_stats(harakiri="100ms", harakiri_grace="100ms")
    with pytest.raises(AssertionError, match="no whole response"):
        app.get("/sleep?ms=5000")
    now = wait_for(lambda: (now := stats(app))["harakiris"] and now, "counted harakiri")
    assert now["workers"][0]["harakiri_count"] == 1


def test_no_counter_of_the_metrics_ever_falls(with_stats):
    """Over answers, exceptions, a crash, a reload and a change of their number."""
    app = with_stats(processes=2)
    last = metrics(app)

    def check():
        nonlocal last
        now = metrics(app)
        for name, value in now.items():
            assert "_total" not in name or value >= last[name], name
        last = now
        return now

    for number in range(3):
        app.get("/")
        check()
        app.get("/throw")
        check()
        with pytest.raises(AssertionError, match="no whole response"):
            app.get("/crash")
        check()
        app.send_signal(signal.SIGHUP)
        app.wait_log(f"generation {number + 1} has left")
        check()
        app.send_signal(signal.SIGTTOU)
        wait_for(lambda: check()["forktail_workers_wanted"] == 1, "one worker less")
    now = wait_for(lambda: (now := check())["forktail_requests_total"] == 6 and now, "six requests")
    assert now["forktail_exceptions_total"] == 3
    assert now["forktail_crashes_total"] == 3
    assert now["forktail_generation"] == 4


def test_the_page_has_the_json_and_the_metrics(with_stats):
    app = with_stats(processes=2)
    app.get("/")
    wait_requests(app, 1)
    page = get(app, "/")
    assert (page.status, page.getheader("Content-Type")) == (200, "application/json")
    assert json.loads(page.body).keys() == stats(app).keys()
    page = get(app, "/metrics")
    assert page.status == 200
    assert page.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    found = samples(page.body)
    assert found["forktail_requests_total"] == 1
    assert found["forktail_workers_wanted"] == 2
    assert found['forktail_workers{status="idle"}'] == 2
    assert found['forktail_workers{status="busy"}'] == 0
    assert found['forktail_worker_pss_bytes{worker="1"}'] > 0
    assert found[f'forktail_listen_queue{{socket="{app.home}/app.sock"}}'] == 0
    assert get(app, "/favicon.ico").status == 404
    assert get(app, "/metrics", method="POST").status == 405


def test_what_is_no_http_does_no_harm(with_stats):
    app = with_stats()
    host, _, port = app.options["stats_http"].rpartition(":")
    for garbage in (b"\r\n\r\n", b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"x" * 20000):
        uwsgi.exchange((host, int(port)), garbage)
    assert get(app, "/").status == 200
    assert app.get("/").status == 200


def test_a_client_that_stalls_keeps_nobody_waiting(with_stats):
    app = with_stats()
    host, _, port = app.options["stats_http"].rpartition(":")
    silent = [uwsgi.connect((host, int(port))) for _ in range(10)]
    start = time.monotonic()
    assert get(app, "/").status == 200
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    assert time.monotonic() - start < 3
    for s in silent:
        s.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_listen_queue_is_counted(with_stats, hold_app, kind):
    socket = {"socket": f"127.0.0.1:{free_port()}"} if kind == "tcp" else {}
    app = with_stats(app=hold_app, listen=17, **socket)
    request = Held(app, "in-flight-1")
    waiting = []
    for _ in range(3):
        waiting.append(uwsgi.connect(app.dial()))
        waiting[-1].sendall(uwsgi.packet(uwsgi.variables("/")))
    now = wait_for(lambda: (now := stats(app))["listen_queue"] == 3 and now, "three that wait")
    assert (now["sockets"][0]["queue"], now["sockets"][0]["max_queue"], now["load"]) == (3, 17, 3)
    name = app.sockets()[0]
    assert metrics(app)[f'forktail_listen_queue{{socket="{name}"}}'] == 3
    release(app)
    assert request.answer()
    for s in waiting:
        with s:
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    assert stats(app)["listen_queue"] == 0


def test_strange_bytes_do_not_spoil_the_json_or_the_metrics(with_stats, hold_app, tmp_path):
    (tmp_path / 'a "quoted" name').mkdir()
    path = tmp_path / 'a "quoted" name' / "back\\slash.sock"
    app = with_stats(app=hold_app, socket=path)
    s = uwsgi.connect(path)
    s.sendall(uwsgi.packet(uwsgi.variables("/hold", PATH_INFO='/hold', REQUEST_URI='/\xff"\x01')))
    wait_for(lambda: stats(app)["workers"][0]["status"] == "busy", "busy worker")
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    wait_for(lambda: metrics(app)[f'forktail_listen_queue{{socket="{escaped}"}}'] == 0, "empty queue")
    release(app)
    with s:
        assert uwsgi.read_to_end(s)


@pytest.mark.parametrize("option", ["stats", "stats_http", "control"])
def test_an_address_that_is_taken_is_an_error_that_names_it(server, option):
    port = free_port()
    taken = "taken.sock" if option != "stats_http" else f"127.0.0.1:{port}"
    first = server(**{option: taken})
    second = server(start=False, **{option: str(first.home / taken) if option != "stats_http" else taken})
    result = second.run()
    assert result.returncode == 1
    assert taken in result.stderr
    assert first.get("/").status == 200


def test_delta_requests_are_those_of_the_process(with_stats):
    app = with_stats(max_requests=5)
    for _ in range(7):
        app.get("/")
    now = wait_requests(app, 7)
    assert [worker["delta_requests"] for worker in now["workers"]] == [2]


def test_a_query_changes_nothing(with_stats):
    assert "# TYPE" in get(with_stats(), "/metrics?name=x").body
