"""The experiment that started it: 5,000 clients, four workers, one log file. Does each line tell whose
it is?"""

import collections
import json
import re
import subprocess
import time

import pytest

from lib.logs import each_json_line
from lib.tools import QUICK, need, need_files

pytestmark = pytest.mark.alone

CLIENTS = 5000
REQUESTS = 10_000 if QUICK else 100_000
ROUND = 2 if QUICK else 10  # seconds
APPLICATION_LINES = ("begin", "counter", "in", "end")  # how forkfacts' lines for a request begin
LIMIT = 120  # seconds for a mode; a machine that needs them is too slow for 5,000 clients


def load(url, requests, environment):
    """Runs wrk in rounds until so many requests are answered. Returns their number and the errors."""
    answered, errors, end = 0, [], time.monotonic() + LIMIT
    while answered < requests:
        assert time.monotonic() < end, f"only {answered} requests in {LIMIT} s"
        result = subprocess.run(
            [need("wrk"), "-t2", f"-c{CLIENTS}", f"-d{ROUND}s", "--timeout", "30s", url],
            env=environment, capture_output=True, text=True, check=True, timeout=LIMIT)
        answered += int(re.search(r"(\d+) requests in", result.stdout)[1])
        errors += re.findall(r"Socket errors: .*|Non-2xx.*", result.stdout)
    return answered, errors


@pytest.mark.parametrize("mode", ["preload", "lazy"])
def test_under_5000_clients_every_line_bears_the_id_of_its_request(server, nginx, forktail, environment, record, mode,
                                                                   tmp_path):
    # A unix socket's listen queue holds net.core.somaxconn connections (4096 by default) and refuses
    # the next with EAGAIN, where TCP would let it wait. Four sockets of the one server have room for all,
    # and for those whose clients went away at the end of the round before.
    need_files(2 * CLIENTS + 2000)
    app = server(processes=4, fork_mode=mode, socket=[tmp_path / f"{name}.sock" for name in "abcd"])
    web = nginx(to=app, connections=2 * CLIENTS + 1000)
    start = time.monotonic()
    answered, errors = load(f"http://127.0.0.1:{web.port}/", REQUESTS, environment)
    seconds = time.monotonic() - start
    # wrk ends its rounds in the middle of requests: the rest of them is in the logs when both have ended.
    assert app.stop() == 0
    web.stop()

    ids, statuses = [], collections.Counter()
    for line in each_json_line(web.home / "access.log"):
        ids.append(line["request_id"])
        statuses[line["status"]] += 1
    requests, workers, untaken = collections.Counter(), collections.Counter(), 0
    lines = collections.defaultdict(list)
    for line in each_json_line(app.home / "server.log"):
        if line.get("event") == "request":
            requests[line["request_id"]] += 1
            workers[line["worker"]] += 1
        elif line["msg"].startswith("the response was not taken"):
            untaken += 1
        elif "request_id" in line:
            lines[line["request_id"]].append(line["msg"].split()[0])
    record(f"{mode}: {answered} requests answered in {seconds:.0f} s, errors: {errors}\n"
           f"nginx: {len(ids)} access lines, {len(set(ids))} ids, by status {dict(statuses)}\n"
           f"server: {sum(requests.values())} request lines with {len(requests)} ids, "
           f"{sum(map(len, lines.values()))} application lines with {len(lines)} ids, "
           f"{untaken} responses not taken, by worker {dict(sorted(workers.items()))}")
    assert answered >= REQUESTS
    assert errors == []
    assert web.errors() == []
    # 499 is what wrk leaves behind when its time is over.
    assert set(statuses) <= {200, 499}
    assert untaken <= statuses[499]
    assert len(set(ids)) == len(ids)
    assert set(requests) == set(lines) == set(ids)
    assert set(requests.values()) == {1}
    assert set(map(tuple, lines.values())) == {APPLICATION_LINES}
    assert set(workers) == {1, 2, 3, 4}
    # What it says of the logs whose every line has been looked at above.
    verified = subprocess.run([forktail, "verify", "--logs", web.home / "access.log", app.home / "server.log", "--json"],
                              env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["requests"] == len(ids)
