"""`forktail trace`: from an id to what happened, over all logs."""

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.waiting import LIMIT, wait_for

STORY = Path(__file__).resolve().parents[1] / "story"
ENDINGS = sorted(path.name for path in (STORY / "endings").iterdir())
SAMPLES = STORY / "samples"
FIRST = "01a2209823267ea1940ac0260f664e0d"  # of the samples' access logs
UPDATE = os.environ.get("FORKTAIL_GOLDEN") == "update"


@pytest.fixture
def forktail_logs(forktail, environment, tmp_path):
    """Runs a command on logs, in a fixed zone and width."""

    def run(*words, stdin=None, cwd=None, code=0, **variables):
        fixed = {"TZ": "UTC", "LANG": "C", "LC_ALL": "C", "COLUMNS": "80", "FORKTAIL_LOGS": ""}
        result = subprocess.run([forktail, *map(str, words)], env={**environment, **fixed, **variables},
                                input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False,
                                cwd=cwd or tmp_path)
        assert result.returncode == code, (result.stdout, result.stderr)
        return result

    return run


def id_of(ending):
    return (STORY / "endings" / ending / "id").read_text().strip()


def compare(path, text):
    """With a file that holds what it should be; FORKTAIL_GOLDEN=update writes it anew."""
    if UPDATE:
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_ending_is_told_as_its_golden_files_say(forktail_logs, ending, tmp_path):
    folder = STORY / "endings" / ending
    result = forktail_logs("trace", id_of(ending), "--logs", ".", "--html", tmp_path / "page.html", "--otlp",
                           tmp_path / "spans.jsonl", cwd=folder)
    compare(STORY / f"expected/{ending}.txt", result.stdout)
    compare(STORY / f"expected/{ending}.html", (tmp_path / "page.html").read_text())
    compare(STORY / f"expected/{ending}.otlp", (tmp_path / "spans.jsonl").read_text())
    answer = json.loads(forktail_logs("trace", id_of(ending), "--logs", ".", "--json", cwd=folder).stdout)
    compare(STORY / f"expected/{ending}.json", json.dumps(answer, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("ending,words", [
    ("answered", "answered 200 in 16 ms by worker 3"),
    ("crash", "answered 502: worker 3 was killed by SIGSEGV while handling it"),
    ("harakiri", "answered 502: worker 3 was killed by harakiri"),
    ("retry", "answered 200 at try 2: before, the upstream refused the connection"),
    ("client-left", "the client left after 2.1 s"),
    ("queue-timeout", "it waited 5 s in nginx's queue"),
    ("queue-full", "nginx's queue was full"),
    ("never-reached", "it never reached a worker"),
    ("out-of-memory", "was killed by the kernel, which was out of memory"),
])
def test_the_verdict_comes_first(forktail_logs, ending, words):
    out = forktail_logs("trace", id_of(ending), "--logs", STORY / "endings" / ending).stdout
    assert words in " ".join(out.splitlines()[:2])


@pytest.mark.parametrize("name", sorted(path.name for path in (SAMPLES / "access").glob("*.log")
                                        if not path.name.startswith("f13")))
def test_every_shape_of_access_log_is_read(forktail_logs, name):
    out = forktail_logs("trace", FIRST, "--logs", SAMPLES / "access" / name, "--json").stdout
    request = json.loads(out)["requests"][0]
    assert (request["request_id"], request["status"]) == (FIRST, 200)
    assert request["method"] == "GET" and request["path"].startswith("/orders")
    # With the format that the configuration names it says the same.
    conf = (SAMPLES / "access" / name).with_suffix(".conf")
    again = forktail_logs("trace", FIRST, "--logs", SAMPLES / "access" / name, "--json", "--nginx-conf", conf).stdout
    again = json.loads(again)["requests"][0]
    assert {key: again.get(key) for key in ("status", "method", "path")} == {
        key: request.get(key) for key in ("status", "method", "path")}


@pytest.mark.parametrize("name,request_id", [
    ("docker-compose.log", "01a220bd2f2a7c31a4d2c0ffee001144"),
    ("docker-json-file.jsonl", "01a220bd2f2a7c31a4d2c0ffee001155"),
    ("k8s-cri.log", "01a220bd2f2a7c31a4d2c0ffee001155"),
    ("journald.jsonl", "01a220bd2f2a7c31a4d2c0ffee001155"),
    ("journalctl-short.log", "01a220bd2f2a7c31a4d2c0ffee001155"),
])
def test_lines_that_something_else_has_carried_are_read(forktail_logs, name, request_id):
    path = SAMPLES / name
    for logs, stdin in ((path, None), ("-", path.read_text())):
        out = forktail_logs("trace", request_id, "--logs", logs, "--json", stdin=stdin).stdout
        request = json.loads(out)["requests"][0]
        assert request["worker"] == 4 and request["status"] == 200
        assert "order 7" in [event.get("message") for event in request["events"]]


def test_a_traceback_belongs_to_the_line_before_it(forktail_logs):
    out = forktail_logs("trace", "80f57454-2996-4b45-85dc-fc9e11306ba3", "--logs", SAMPLES / "python-app.log").stdout
    assert "Traceback (most recent call last):" in out
    assert "ValueError: no card" in out
    assert out.count("~") >= 4


def test_the_beginning_and_the_end_of_an_id_are_enough(forktail_logs):
    logs = STORY / "endings" / "crash"
    for part in (id_of("crash")[:30], id_of("crash")[-8:], id_of("crash")[-6:]):
        assert id_of("crash") in forktail_logs("trace", part, "--logs", logs).stdout
    listed = forktail_logs("trace", id_of("crash")[:9], "--logs", logs).stdout.splitlines()
    assert len(listed) > 5 and all(line.startswith(id_of("crash")[:9]) for line in listed)


def test_rotated_and_packed_logs_are_read_too(forktail_logs, tmp_path):
    logs = STORY / "endings" / "answered"
    shutil.copy(logs / "forktail.json", tmp_path / "forktail.json.1")
    (tmp_path / "forktail.json").write_text("")
    with gzip.open(tmp_path / "access.json.2.gz", "wb") as packed:
        packed.write((logs / "access.json").read_bytes())
    (tmp_path / "access.json").write_text("")
    out = forktail_logs("trace", id_of("answered"), "--logs", "access.json", "forktail.json").stdout
    assert "answered 200 in 16 ms by worker 3" in out


HOPS = [("inner", 0.075, 0.070, "10.0.0.1"), ("outer", 0.080, 0.080, "192.0.2.10")]


def hop_in_json(end, took, client):
    line = json.loads((STORY / "endings" / "answered" / "access.json").read_text().splitlines()[0])
    return json.dumps({**line, "msec": round(line["msec"] // 1 + end, 3), "request_time": took, "remote_addr": client,
                       "request_id": id_of("answered"), "pid": len(client)})


def hop_in_text(end, took, client):
    del end
    return f'{client} [28/Nov/2026:06:00:00 +0000] "GET /orders HTTP/1.1" 200 {took} {id_of("answered")}'


@pytest.mark.parametrize("form", [hop_in_json, hop_in_text])
@pytest.mark.parametrize("order", [("inner", "outer"), ("outer", "inner")])
def test_each_hop_of_a_request_is_told_the_outermost_first(forktail_logs, tmp_path, form, order):
    for hop, *values in HOPS:
        (tmp_path / hop).mkdir()
        (tmp_path / hop / "access.log").write_text(form(*values) + "\n")
    (tmp_path / "app.json").write_text(json.dumps({"ts": "2026-11-28T06:00:00.020Z", "request_id": id_of("answered"), "msg": "begin"}) + "\n")
    told = forktail_logs("trace", id_of("answered"), "--log-format", '$remote_addr [$time_local] "$request" $status $request_time $request_id',
                         "--logs", *order, "app.json", "--json").stdout
    requests = json.loads(told)["requests"]
    assert [(request["client"], request["duration_ms"]) for request in requests] == [("192.0.2.10", 80.0), ("10.0.0.1", 70.0)]
    assert ["begin" in [event.get("message") for event in request["events"]] for request in requests] == [False, True]


def test_what_can_not_be_read_is_said_and_the_rest_is_read(forktail_logs, tmp_path):
    with gzip.open(tmp_path / "cut.log.gz", "wb") as packed:
        packed.write((STORY / "endings" / "answered" / "access.json").read_bytes())
    whole = (tmp_path / "cut.log.gz").read_bytes()
    (tmp_path / "cut.log.gz").write_bytes(whole[:-20])
    result = forktail_logs("trace", id_of("answered"), "--logs", "missing.log", "cut.log.gz",
                           STORY / "endings" / "answered" / "forktail.json")
    assert "missing.log: No such file or directory" in result.stderr
    assert "cut.log.gz: ends in the middle of its compressed data" in result.stderr


def test_logs_that_only_others_may_read_are_named_with_the_cure(forktail, environment, tmp_path):
    as_nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    (tmp_path / "logs").mkdir(mode=0)
    tmp_path.chmod(0o755)
    result = subprocess.run([forktail, "trace", "f" * 32, "--logs", "logs"], cwd=tmp_path, text=True, capture_output=True,
                            env={**environment, "LC_ALL": "C"}, timeout=LIMIT, check=False, **as_nobody)
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    told = [line.partition(": ")[2] for line in result.stderr.splitlines()]
    assert told == ["logs: Permission denied", "use sudo, or join the group that may read them (for /var/log, mostly adm)",
                    "there are no logs to read: name some with --logs PATH"]


def test_an_id_of_nobody_is_exit_code_1_and_a_bad_one_2(forktail_logs):
    logs = STORY / "endings" / "answered"
    assert "hold no request" in forktail_logs("trace", "f" * 32, "--logs", logs, code=1).stderr
    assert json.loads(forktail_logs("trace", "f" * 32, "--logs", logs, "--json", code=1).stdout)["requests"] == []
    assert "has 3 characters" in forktail_logs("trace", "abc", "--logs", logs, code=2).stderr
    forktail_logs("trace", "--logs", logs, code=2)
    assert "is no time" in forktail_logs("trace", "f" * 32, "--logs", logs, "--since", "noon", code=2).stderr
    forktail_logs("at", "noon", "--logs", logs, code=2)


def test_an_id_whose_line_does_not_stand_where_its_time_says_is_found_all_the_same(forktail_logs, tmp_path):
    lines = (STORY / "endings" / "answered" / "access.json").read_text().splitlines(keepends=True)
    late = next(line for line in lines if id_of("answered") in line)
    later = [re.sub(r'"msec":\d+', '"msec":1795849999', line) for line in lines if line != late] * 200
    (tmp_path / "late.json").write_text("".join(lines[:2] + later + [late.replace("1795845600", "1795849999")] + later))
    result = forktail_logs("trace", id_of("answered"), "--logs", "late.json")
    assert id_of("answered") in result.stdout
    assert "read everything" in result.stderr


def test_logs_come_from_the_environment_when_none_are_named(forktail_logs):
    logs = STORY / "endings" / "answered"
    out = forktail_logs("trace", id_of("answered"), FORKTAIL_LOGS=f"{logs}/access.json:{logs}/forktail.json").stdout
    assert "answered 200" in out


def test_hostile_lines_are_shown_harmless_and_bounded(forktail_logs, tmp_path):
    request_id = "hostile-request-1"
    lines = [
        f'\x1b]0;owned\x07\x1b[2J {request_id} \x00 \x9b2J <script>alert(1)</script>\n',
        json.dumps({"ts": "2026-11-28T06:00:00.5Z", "request_id": request_id, "msg": "</title><script>alert(2)</script>\u202e"}) + "\n",
        f"2026-11-28T06:00:00Z {request_id} " + "x" * 1_000_000 + "\n",
        "{" * 70_000 + request_id + "\n",
    ]
    (tmp_path / "app.log").write_text("".join(lines))
    result = forktail_logs("trace", request_id, "--logs", "app.log", "--html", "page.html")
    for text in (result.stdout, (tmp_path / "page.html").read_text()):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
        assert len(text) < 200_000
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(2)" in page


def test_a_packed_bomb_is_given_up(forktail_logs, tmp_path):
    with gzip.open(tmp_path / "bomb.log.gz", "wb", compresslevel=9) as packed:
        block = b"a" * ((1 << 20) - 1) + b"\n"
        for _ in range(100):
            packed.write(block)
    result = forktail_logs("trace", "hostile-request-1", "--logs", "bomb.log.gz", code=1)
    assert "far more than a log" in result.stderr


def test_following_shows_lines_as_they_come_over_a_rotation(forktail, environment, tmp_path):
    log = tmp_path / "app.log"
    log.write_text("")

    def line(text):
        return json.dumps({"ts": "2026-11-28T06:00:00.5Z", "request_id": "followed-request", "msg": text}) + "\n"

    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([forktail, "trace", "-f", "followed-request", "--logs", log],
                                   env={**environment, "TZ": "UTC"}, stdout=out, stderr=subprocess.DEVNULL)
    try:
        def shown():
            return (tmp_path / "out").read_text()

        def write_and_see():
            with open(log, "a") as file:  # again and again: it may not have begun to follow yet
                file.write(line("before"))
            return "before" in shown()

        wait_for(write_and_see, "the first line")
        with open(log, "a") as file:
            file.write(line("half of it")[:30])
        log.rename(tmp_path / "app.log.1")
        with open(tmp_path / "app.log.1", "a") as file:
            file.write(line("half of it")[30:])
        log.write_text(line("after"))
        wait_for(lambda: "after" in shown(), "the line in the new file")
        assert "half of it" in shown()
        os.truncate(log, 0)
        wait_for(lambda: log.stat().st_size == 0, "the truncation")
        with open(log, "a") as file:
            file.write(line("anew"))
        wait_for(lambda: "anew" in shown(), "the line behind the truncation")
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0


def test_memory_stays_small_whatever_the_logs_are(forktail, environment, tmp_path):
    block = (STORY / "endings" / "answered" / "forktail.json").read_bytes() * 1000
    (tmp_path / "some.json").write_bytes(block[:len(block) // 4])
    with open(tmp_path / "big.json", "wb") as file:
        for _ in range(6):
            file.write(block)
    # What a process has had before its exec counts as well: so one in between, smaller than pytest.
    between = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=-3, stderr=-3); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    for name, *words in (["big.json", "trace", "order-that-nobody-made"], ["some.json", "verify"], ["some.json", "slow"],
                         ["some.json", "errors"]):
        result = subprocess.run(["/usr/bin/python3", "-S", "-c", between, forktail, *words, "--logs", name],
                                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True)
        assert 1024 < int(result.stdout) < 64 * 1024, words
