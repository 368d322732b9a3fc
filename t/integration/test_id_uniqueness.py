"""Four nginx workers draw ids at full speed: none comes twice, and a worker's own are in order.

FORKTAIL_FULL=1 draws two million; without it a tenth of that, which is seconds.
"""

import os
import subprocess
from collections import defaultdict

import pytest

from lib.tools import need

pytestmark = pytest.mark.alone

COUNT = 2_000_000 if os.environ.get("FORKTAIL_FULL") == "1" else 200_000
WORKERS = 4


@pytest.mark.timeout(600)
def test_ids_of_four_workers_never_repeat_and_rise_within_a_worker(nginx, record, tmp_path):
    wrk = need("wrk")
    ids_log = tmp_path / "ids.log"
    served = nginx(
        workers=WORKERS,
        listen="reuseport",  # so that each gets its share
        http_conf="log_format ids '$pid $forktail_id';",
        server_conf=f"""
            keepalive_requests 1000000;
            access_log {ids_log} ids buffer=64k;
            location / {{ return 200; }}
        """)
    drawn = 0
    while drawn < COUNT:
        subprocess.run([wrk, "-t2", "-c64", "-d5s", f"http://127.0.0.1:{served.port}/"],
                       check=True, stdout=subprocess.DEVNULL)
        with open(ids_log, "rb") as lines:
            drawn = sum(1 for _ in lines)
    served.stop()  # writes the buffers out

    by_worker = defaultdict(list)
    with open(ids_log, encoding="ascii") as lines:
        for line in lines:
            pid, request_id = line.split()
            by_worker[pid].append(request_id)
    every = [request_id for ids in by_worker.values() for request_id in ids]
    record(f"{len(every)} ids from {len(by_worker)} workers")

    assert len(by_worker) == WORKERS
    assert len(every) >= COUNT
    assert len(set(every)) == len(every)
    for ids in by_worker.values():
        assert ids == sorted(ids)
