"""`forktail verify`, `slow`, `errors` and `at`: whole logs."""

import datetime
import gzip
import http.client
import json
import subprocess
from pathlib import Path

import pytest

from lib.tools import need
from lib.waiting import LIMIT

ENDINGS = Path(__file__).resolve().parents[1] / "story" / "endings"


@pytest.fixture
def run(forktail, environment):
    def call(*words, code=0, stdin=None):
        result = subprocess.run([forktail, *map(str, words)], env={**environment, "TZ": "UTC", "COLUMNS": "80"},
                                capture_output=True, text=True, timeout=LIMIT, check=False, input=stdin)
        assert result.returncode == code, (result.stdout, result.stderr)
        return result.stdout

    return call


@pytest.fixture
def logs(tmp_path):
    """A copy of logs that join; `lines(NAME)` and `write(NAME, LINES)` change them."""
    class Logs:
        path = tmp_path / "logs"

        def lines(self, name):
            return (self.path / name).read_text().splitlines(keepends=True)

        def write(self, name, lines):
            (self.path / name).write_text("".join(lines))

    Logs.path.mkdir()
    for name in ("access.json", "forktail.json"):
        (Logs.path / name).write_bytes((ENDINGS / "answered" / name).read_bytes())
    return Logs()


def fault(run, logs, name):
    found = json.loads(run("verify", "--logs", logs.path, "--json", code=1))
    assert not found["ok"]
    others = {key: value["count"] for key, value in found.items()
              if isinstance(value, dict) and key != name and value["count"]}
    return found[name], others


def test_logs_that_join_are_exit_code_0(run, logs):
    found = json.loads(run("verify", "--logs", logs.path, "--json"))
    assert found["ok"] and found["requests"] == 31 and found["with_app_lines"] == 31
    assert "all lines join" in run("verify", "--logs", logs.path)


def test_a_request_that_never_shows_in_the_servers_log_is_named(run, logs):
    lines = logs.lines("access.json")
    lost = json.loads(lines[7])["request_id"]
    logs.write("access.json", [line.replace('"status":200', '"status":502') if lost in line else line for line in lines])
    logs.write("forktail.json", [line for line in logs.lines("forktail.json") if lost not in line])
    found, _ = fault(run, logs, "without_app_lines")
    assert [(case["request_id"], case["status"]) for case in found["cases"]] == [(lost, 502)]
    assert f"{lost}  502" in run("verify", "--logs", logs.path, code=1)


def test_an_id_of_any_form_is_named_out_of_a_log_of_any_format(run, tmp_path):
    (tmp_path / "access.log").write_text("".join(
        f'192.0.2.10 [28/Nov/2026:06:00:0{n} +0000] "GET /orders/{n} HTTP/1.1" 502 0.016 balancer-000{n} accepted\n' for n in range(9)))
    (tmp_path / "app.json").write_text("".join(
        f'{{"ts":"2026-11-28T06:00:0{n}.001Z","request_id":"balancer-000{n}","msg":"begin"}}\n' for n in range(9) if n != 4))
    log_format = '$remote_addr [$time_local] "$request" $status $request_time $forktail_id $forktail_id_source'
    found = json.loads(run("verify", "--log-format", log_format, "--logs", tmp_path, "--json", code=1))
    assert [(case["request_id"], case["status"]) for case in found["without_app_lines"]["cases"]] == [("balancer-0004", 502)]
    assert (found["requests"], found["with_app_lines"]) == (9, 8)


def test_a_workers_lines_without_a_request_are_named(run, logs):
    lines = logs.lines("access.json")
    logs.write("access.json", lines[:5] + lines[6:])
    # Those that may still run at the log's end are not judged: this one began long before it.
    last = json.loads(lines[-1])
    last.update(msec=last["msec"] + 60, request_id="an-access-line-of-later", upstream="")
    last.pop("upstream_status"), last.pop("upstream_response_time")
    logs.write("access.json", [*logs.lines("access.json"), json.dumps(last) + "\n"])
    found, _ = fault(run, logs, "without_request")
    assert [case["request_id"] for case in found["cases"]] == [json.loads(lines[5])["request_id"]]


def test_duplicates_torn_lines_and_gaps_are_counted(run, logs):
    access = logs.lines("access.json")
    logs.write("access.json", [*access, access[3]])
    assert fault(run, logs, "duplicates")[0]["count"] == 1
    logs.write("access.json", access)
    server = logs.lines("forktail.json")
    logs.write("forktail.json", server[:4] + [server[4][:50] + server[5]] + server[6:])
    assert fault(run, logs, "torn")[0]["count"] == 1
    logs.write("forktail.json", server[:4] + server[6:])
    assert fault(run, logs, "lost_lines")[0]["count"] >= 1


def test_a_request_that_died_with_its_worker_is_named(run):
    found = json.loads(run("verify", "--logs", ENDINGS / "crash", "--json", code=1))
    assert [case["request_id"] for case in found["lost"]["cases"]] == [(ENDINGS / "crash" / "id").read_text().strip()]


def test_the_slowest_come_first_with_where_their_time_went(run):
    rows = json.loads(run("slow", "--logs", ENDINGS / "queue-wait", "-n", "3", "--json"))["requests"]
    assert rows[0]["request_id"] == (ENDINGS / "queue-wait" / "id").read_text().strip()
    assert (rows[0]["duration_ms"], rows[0]["nginx_queue_ms"], rows[0]["handle_ms"]) == (1250.0, 1235.0, 10.5)
    assert len(rows) == 3
    run("slow", "--logs", ENDINGS / "queue-wait", "--over", "10s", code=1)


def test_errors_are_listed_with_their_reason(run):
    out = run("errors", "--logs", ENDINGS / "crash")
    assert "worker 3 killed by SIGSEGV while handling it" in out
    assert (ENDINGS / "crash" / "id").read_text().strip() in out
    run("errors", "--logs", ENDINGS / "answered", code=1)


def test_what_was_in_flight_at_a_time_is_listed(run):
    rows = json.loads(run("at", "2026-11-28T06:00:02Z", "--logs", ENDINGS / "client-left", "--json"))["requests"]
    assert (ENDINGS / "client-left" / "id").read_text().strip() in [row["request_id"] for row in rows]
    run("at", "2026-11-28T09:00:00Z", "--logs", ENDINGS / "client-left", code=1)


def rotate(logs, packer):
    """Half of each log into NAME.1, the first quarter of it packed: as logrotate leaves them."""
    for name in ("access.json", "forktail.json"):
        lines = logs.lines(name)
        quarter, half = len(lines) // 4, len(lines) // 2
        logs.write(name, lines[half:])
        logs.write(f"{name}.1", lines[quarter:half])
        packer(name, "".join(lines[:quarter]))


def by_gzip(logs):
    def pack(name, text):
        with gzip.open(logs.path / f"{name}.2.gz", "wt") as file:
            file.write(text)
    return pack


def by_zstd(logs):
    def pack(name, text):
        subprocess.run([need("zstd"), "-q", "-o", logs.path / f"{name}.2.zst"], input=text.encode(), check=True, timeout=LIMIT)
    return pack


@pytest.mark.parametrize("packer", [by_gzip, by_zstd])
def test_what_was_rotated_away_is_read_with_the_log_that_is_named(run, logs, packer):
    request_id = (ENDINGS / "answered" / "id").read_text().strip()
    named = ["--logs", logs.path / "access.json", logs.path / "forktail.json"]
    whole = {name: json.loads(run(name, *named, "--json", "-n", "100")) for name in ("verify", "slow")}
    rotate(logs, packer(logs))
    for name, before in whole.items():
        assert json.loads(run(name, *named, "--json", "-n", "100")) == before
    rows = json.loads(run("at", "2026-11-28T06:00:00.4Z", "--around", "20s", *named, "--json"))["requests"]
    assert len(rows) == whole["verify"]["requests"]
    assert run("trace", request_id, *named).startswith("answered 200 in 16 ms by worker 3")


def test_errors_in_rotated_logs_are_listed(run, tmp_path):
    for log in (ENDINGS / "crash").glob("*.*"):
        (tmp_path / f"{log.name}.1").write_bytes(log.read_bytes())
        (tmp_path / log.name).write_text("")
    assert "killed by SIGSEGV" in run("errors", "--logs", tmp_path / "access.json", tmp_path / "forktail.json")


def test_what_comes_by_a_pipe_is_read_by_every_command(run):
    text = "".join(f"web-1  | {line}" for name in ("access.json", "forktail.json")
                   for line in (ENDINGS / "crash" / name).read_text().splitlines(keepends=True))
    request_id = (ENDINGS / "crash" / "id").read_text().strip()
    assert request_id in run("errors", "--logs", "-", stdin=text)
    assert request_id in run("slow", "-n", "100", "--logs", "-", stdin=text)
    assert request_id in run("verify", "--logs", "-", stdin=text, code=1)


def journal_of(ending):
    """What `journalctl -o json` prints of an ending's logs: one entry a line, those of both logs in turn, and what else a journal has."""
    entries = []
    for name, identifier in (("access.json", "nginx"), ("forktail.json", "forktail")):
        for line in (ENDINGS / ending / name).read_text().splitlines():
            fields = json.loads(line)
            at = fields.get("msec") or datetime.datetime.fromisoformat(fields["ts"].replace("Z", "+00:00")).timestamp()
            entries.append((at, {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "SYSLOG_IDENTIFIER": identifier,
                                 "_PID": str(fields["pid"]), "_TRANSPORT": "stdout", "MESSAGE": line}))
    entries.sort(key=lambda entry: entry[0])
    first = entries[0][1]["__REALTIME_TIMESTAMP"]
    others = [{"__REALTIME_TIMESTAMP": first, "SYSLOG_IDENTIFIER": "nginx", "MESSAGE": None},  # longer than 4 KiB, without --all
              {"__REALTIME_TIMESTAMP": first, "SYSLOG_IDENTIFIER": "shop", "MESSAGE": [99, 97, 102, 233]},  # no UTF-8
              {"__REALTIME_TIMESTAMP": first, "SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "Started shop.service."}]
    return "".join(json.dumps(entry) + "\n" for entry in [*others, *(entry for _, entry in entries)])


# Something is off; nothing is found.
EXIT_1 = [("verify", "crash"), ("verify", "harakiri"), ("errors", "answered"), ("errors", "client-left"), ("errors", "queue-wait")]


@pytest.mark.parametrize("ending", ["answered", "crash", "harakiri", "client-left", "queue-wait"])
@pytest.mark.parametrize("command", [["verify"], ["slow", "-n", "5"], ["errors"], ["at", "2026-11-28T06:00:01Z"]],
                         ids=lambda words: words[0])
def test_a_journal_by_a_pipe_tells_what_the_files_tell(run, tmp_path, command, ending):
    for name in ("access.json", "forktail.json"):
        (tmp_path / name).write_bytes((ENDINGS / ending / name).read_bytes())
    code = 1 if (command[0], ending) in EXIT_1 else 0
    from_files = json.loads(run(*command, "--json", "--logs", tmp_path, code=code) or "{}")
    from_journal = json.loads(run(*command, "--json", "--logs", "-", stdin=journal_of(ending), code=code) or "{}")
    for told in (from_files, from_journal):
        for value in told.values():
            for case in value.get("cases", []) if isinstance(value, dict) else []:
                case.pop("where")
        told.pop("lines", None)  # a journal has some of its own
    assert from_journal == from_files


def test_since_and_until_bound_what_is_read(run):
    whole = json.loads(run("verify", "--logs", ENDINGS / "answered", "--json"))
    part = json.loads(run("verify", "--logs", ENDINGS / "answered", "--json", "--since", "2026-11-28T06:00:00.5Z",
                          "--until", "2026-11-28T06:00:01Z"))
    assert 0 < part["requests"] < whole["requests"]


def test_each_request_that_a_flaky_server_loses_is_named(server, nginx, build_app, run, tmp_path):
    flaky = build_app((ENDINGS.parents[2] / "examples/flaky/flaky.cc").read_text().replace("kEvery = 1000", "kEvery = 40"))
    app = server(app=flaky, processes=2)
    web = nginx(to=app)
    lost = []
    for number in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=LIMIT)
        connection.request("GET", f"/order/{number}")
        answer = connection.getresponse()
        if answer.status != 200:
            assert answer.status == 502
            lost.append(answer.getheader("X-Request-ID"))
        connection.close()
    assert lost
    assert app.stop() == 0
    web.stop()
    found = json.loads(run("verify", "--logs", web.home / "access.log", app.home / "server.log", "--json", code=1))
    assert sorted(case["request_id"] for case in found["lost"]["cases"]) == sorted(lost)
    told = run("trace", lost[0], "--logs", web.home / "access.log", web.home / "error.log", app.home / "server.log")
    assert told.startswith("answered 502: worker ") and "was killed by SIGKILL while handling it" in told
