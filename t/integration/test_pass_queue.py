"""forktail_queue: how many requests are at the backend, who waits, and who goes next."""

import contextlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from pass_support import LIMIT, wait_for
from queue_support import Client, Rig, queue_up


def test_no_more_than_active_requests_are_at_the_backend_and_the_others_go_in_order(tmp_path):
    with Rig(tmp_path, "10 active=2") as rig:
        clients = [rig.client(f"/{i}", active=min(i + 1, 2), waiting=max(i - 1, 0))
                   for i in range(6)]
        wait_for(lambda: rig.backend.inside == 2, "two requests")
        for i in range(6):
            rig.backend.release(f"/{i}")
            assert clients[i].result().status == 200
            wait_for(lambda: len(rig.backend.arrived) == min(i + 3, 6), "the next request")
        assert rig.backend.most == 2
        assert rig.backend.arrived[2:] == ["/2", "/3", "/4", "/5"]
        rig.wait_for(active=0, waiting=0, admitted=6, waited=4, full=0, timed_out=0, left=0)


def test_a_full_queue_answers_503_with_retry_after_and_the_id(tmp_path):
    with Rig(tmp_path, "1 active=1") as rig:
        first = rig.client("/a", active=1)
        second = rig.client("/b", waiting=1)
        refused = rig.nginx.get("/c")
        assert refused.status == 503
        assert refused.getheader("Retry-After") == "1"
        assert rig.status()["full"] == 1
        rig.backend.release_all()
        assert first.result().status == second.result().status == 200
        assert "the queue is full" in rig.nginx.errors()


def test_a_request_that_waited_too_long_gets_503(tmp_path):
    with Rig(tmp_path, "1 active=1 timeout=50ms") as rig:
        first = rig.client("/a", active=1)
        late = rig.nginx.get("/b")
        assert late.status == 503
        assert late.getheader("Retry-After") == "1"
        assert rig.status()["timed_out"] == 1
        rig.backend.release_all()
        assert first.result().status == 200
        line = wait_for(lambda: [x for x in rig.nginx.access() if x.startswith("/b 503")], "a line")
        assert 0.05 <= float(line[0].split()[2]) < LIMIT


def test_the_queue_time_is_logged_to_the_millisecond(tmp_path):
    with Rig(tmp_path, "1 active=1") as rig:
        first = rig.client("/a", active=1)
        second = rig.client("/b", waiting=1)
        time.sleep(0.05)  # what is measured
        rig.backend.release_all()
        first.result()
        second.result()
        lines = wait_for(lambda: (x := rig.nginx.access())[-1:] and len(
            [y for y in x if y[:2] in ("/a", "/b")]) == 2 and x, "two lines")
        times = {x.split()[0]: x.split()[2] for x in lines}
        assert times["/a"] == "0.000"
        assert re.fullmatch(r"\d+\.\d{3}", times["/b"]) and float(times["/b"]) >= 0.049
        assert times["/status"] == "-"


def test_a_client_that_leaves_is_out_of_the_queue(tmp_path):
    with Rig(tmp_path, "5 active=1") as rig:
        first = rig.client("/a", active=1)
        last = rig.behind_one_that_leaves("/b")
        rig.backend.release_all()
        assert first.result().status == last.result().status == 200
        assert rig.backend.arrived == ["/a", "/b"]


def test_a_client_that_leaves_is_waited_for_when_its_abort_is_ignored(tmp_path):
    with Rig(tmp_path, "5 active=1", extra="forktail_ignore_client_abort on;") as rig:
        first = rig.client("/a", active=1)
        leaver = rig.nginx.connect()
        leaver.request("GET", "/gone")
        rig.wait_for(waiting=1)
        leaver.close()
        last = rig.client("/b", waiting=2)
        rig.backend.release_all()
        assert first.result().status == last.result().status == 200
        assert rig.backend.arrived == ["/a", "/gone", "/b"]


def test_a_client_that_leaves_the_backend_makes_room(tmp_path):
    with Rig(tmp_path, "5 active=1") as rig:
        leaver = rig.nginx.connect()
        leaver.request("GET", "/gone")
        rig.wait_for(active=1)
        second = rig.client("/b", waiting=1)
        leaver.close()
        wait_for(lambda: "/b" in rig.backend.arrived, "the next request")
        rig.backend.release_all()
        assert second.result().status == 200


def test_a_body_reaches_the_backend_after_waiting(tmp_path):
    with Rig(tmp_path, "5 active=1", extra="client_body_buffer_size 1k;") as rig:
        first = rig.client("/a", active=1)
        body = os.urandom(200000)
        answers = []
        poster = threading.Thread(
            target=lambda: answers.append(rig.nginx.get("/post", "POST", body)))
        poster.start()
        rig.wait_for(waiting=1)
        rig.backend.release_all()
        poster.join(LIMIT)
        first.result()
        assert answers[0].status == 200
        assert rig.server.requests[-1].body == body


def test_the_packet_says_when_it_was_sent_not_when_it_began_to_wait(tmp_path):
    with Rig(tmp_path, "5 active=1") as rig:
        first = rig.client("/a", active=1)
        second = rig.client("/b", waiting=1)
        before = time.time()
        rig.backend.release_all()
        first.result()
        second.result()
        assert float(rig.server.requests[1]["FORKTAIL_SENT"]) > before - 0.001


def test_the_packet_can_say_how_long_its_request_waited(tmp_path):
    with Rig(tmp_path, "5 active=1", extra="forktail_param WAITED $forktail_queue_time;") as rig:
        first = rig.client("/a", active=1)
        second = rig.client("/b", waiting=1)
        time.sleep(0.05)  # what is measured
        rig.backend.release_all()
        first.result()
        second.result()
        assert rig.server.requests[0]["WAITED"] == "0.000"
        assert 0.049 <= float(rig.server.requests[1]["WAITED"]) < LIMIT


def test_a_packet_that_has_grown_too_large_while_its_request_waited_gives_the_place_back(tmp_path):
    queue = "5 active=1"
    with Rig(tmp_path, queue, extra="forktail_param PAD $pad; error_page 431 = /other;",
             http="""large_client_header_buffers 8 64k;
                     map $forktail_queue_time $pad { volatile; 0.000 ""; default $http_x; }""",
             server=f"""location = /other {{
                     forktail_pass app; forktail_queue {queue}; forktail_pass_request_headers off;
             }}""") as rig:
        first = rig.client("/a", active=1)
        second = Client(rig.nginx, "/b", {"X": "x" * 40000})
        rig.wait_for(waiting=1)
        time.sleep(0.01)  # so that it has waited
        rig.backend.release_all()
        assert first.result().status == second.result().status == 200
        assert rig.server.requests[1]["PATH_INFO"] == "/other"
        rig.wait_for(active=0, waiting=0)


def serving_workers(rig):
    """The kernel spreads connections over workers by their ports, so that most tests reach all."""
    return {line.split()[3] for line in rig.nginx.access() if not line.startswith("/status")}


def test_the_limit_holds_over_all_workers_and_order_too(tmp_path):
    with Rig(tmp_path, "100 active=3", workers=3) as rig:
        clients = queue_up(rig, 3, 0, active=1)
        clients += queue_up(rig, 40, 3, waiting=1)
        for i, client in enumerate(clients):
            rig.backend.release(f"/{i}")
            assert client.result().status == 200
        assert rig.backend.most == 3
        # Three are at the backend at a time, so neighbours may swap on their way there.
        order = [int(path[1:]) for path in rig.backend.arrived]
        assert all(abs(place - number) <= 3 for place, number in enumerate(order))
        assert len(serving_workers(rig)) == 3


@pytest.mark.alone
def test_another_worker_is_woken_within_two_milliseconds(tmp_path):
    """All wait for one place, which so goes from worker to worker."""
    with Rig(tmp_path, "100 active=1", workers=4) as rig:
        first = rig.client("/0", active=1)
        clients = queue_up(rig, 40, 1, waiting=1)
        began = time.monotonic()
        rig.backend.release_all()
        for client in clients:
            assert client.result().status == 200
        took = time.monotonic() - began
        first.result()
        print(f"{len(clients)} handovers in {took * 1000:.1f} ms")
        assert took / len(clients) < 0.002
        assert len(serving_workers(rig)) == 4


def test_a_killed_worker_leaves_nothing_behind(tmp_path):
    with Rig(tmp_path, "10 active=1", workers=2) as rig:
        rig.nginx.expected = (r"exited on signal 9",)
        workers = rig.nginx.worker_pids()
        held = socket.create_connection(("127.0.0.1", rig.nginx.port))
        held.sendall(b"GET /held HTTP/1.0\r\n\r\n")
        rig.wait_for(active=1)
        waiting = []
        for i in range(6):
            s = socket.create_connection(("127.0.0.1", rig.nginx.port))
            s.sendall(b"GET /w%d HTTP/1.0\r\n\r\n" % i)
            waiting.append(s)
        rig.wait_for(waiting=6)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(rig.nginx.worker_pids()) == 2
                 and not set(rig.nginx.worker_pids()) & set(workers), "new workers")
        rig.wait_for(active=0, waiting=0)
        rig.backend.release_all()
        assert rig.nginx.get("/after").status == 200
        for s in [held, *waiting]:
            s.close()


def test_a_killed_worker_makes_room_for_those_who_wait_in_others(tmp_path):
    """One worker's request is at the backend, another's waits; the first worker is killed."""
    with Rig(tmp_path, "20 active=1", workers=4) as rig:
        rig.nginx.expected = (r"exited on signal 9",)
        held = socket.create_connection(("127.0.0.1", rig.nginx.port))
        held.sendall(b"GET /held HTTP/1.0\r\n\r\n")
        rig.wait_for(active=1)
        owner = next(pid for pid in rig.nginx.worker_pids() if has_client(pid))
        waiting = queue_up(rig, 16, 0, waiting=1)
        os.kill(owner, signal.SIGKILL)
        # Whoever did not wait in the killed worker itself is served now.
        wait_for(lambda: len(rig.backend.arrived) > 1, "the next request")
        rig.backend.release_all()
        for client in waiting:
            client.join(LIMIT)
        assert any(client.response is not None for client in waiting)
        held.close()
        rig.wait_for(active=0, waiting=0)


def test_a_killed_worker_is_cleaned_up_after_by_one_that_takes_another_seat(tmp_path):
    """A reload's workers take seats beyond those of the old ones, whose seats are free then."""
    with Rig(tmp_path, "10 active=1") as rig:
        rig.nginx.expected = (r"exited on signal 9",)
        (old,) = rig.nginx.worker_pids()
        rig.nginx.signal(signal.SIGHUP)
        wait_for(lambda: len(rig.nginx.worker_pids()) == 1 and old not in rig.nginx.worker_pids(),
                 "one new worker")
        held = socket.create_connection(("127.0.0.1", rig.nginx.port))
        held.sendall(b"GET /held HTTP/1.0\r\n\r\n")
        rig.wait_for(active=1)
        os.kill(rig.nginx.worker_pids()[0], signal.SIGKILL)
        rig.wait_for(active=0)
        held.close()


@contextlib.contextmanager
def killed_while_it_ends(rig):
    """Within, an old worker has a request at the backend; afterwards it has been killed, which is when
    nginx starts no other one for it."""
    rig.nginx.expected = (r"exited on signal 9",)
    (old,) = rig.nginx.worker_pids()
    with socket.create_connection(("127.0.0.1", rig.nginx.port)) as held:
        held.sendall(b"GET /held HTTP/1.0\r\n\r\n")
        rig.wait_for(active=1)
        rig.nginx.signal(signal.SIGHUP)
        wait_for(lambda: "shutting down" in cmdline(old) and len(rig.nginx.worker_pids()) == 2,
                 "a new worker")
        yield
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: old not in rig.nginx.worker_pids(), "end of the old worker")


@pytest.mark.parametrize("size", [0, 10])
def test_a_worker_killed_while_it_ends_is_cleaned_up_after_by_the_next_request(tmp_path, size):
    with Rig(tmp_path, f"{size} active=1") as rig:
        with killed_while_it_ends(rig):
            waiting = [rig.client("/w", waiting=1)] if size else []
        rig.backend.release_all()
        assert rig.nginx.get("/after").status == 200
        assert all(client.result().status == 200 for client in waiting)
        rig.wait_for(active=0, waiting=0)


def test_a_worker_killed_while_it_ends_is_cleaned_up_after_by_those_who_wait(tmp_path):
    with Rig(tmp_path, "10 active=1 timeout=60s") as rig:
        with killed_while_it_ends(rig):
            waiting = rig.client("/w", waiting=1)
        rig.backend.release_all()
        assert waiting.result().status == 200
        rig.wait_for(active=0, waiting=0, timed_out=0)


def has_client(pid):
    """Whether a client is connected to the worker."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if match := re.fullmatch(r"socket:\[(\d+)\]", link):
                inodes.add(match[1])
    with open("/proc/net/tcp") as table:
        rows = [row.split() for row in table.readlines()[1:]]
    return any(row[9] in inodes and row[3] in ("01", "08") for row in rows)


def test_requests_wait_and_go_over_a_reload(tmp_path):
    with Rig(tmp_path, "20 active=1", workers=2) as rig:
        first = rig.client("/0", active=1)
        before = queue_up(rig, 4, 1, waiting=1)
        old = rig.nginx.worker_pids()
        rig.nginx.signal(signal.SIGHUP)
        wait_for(lambda: len(set(rig.nginx.worker_pids()) - set(old)) == 2, "new workers")
        # Old workers do not accept any more once the new ones do.
        wait_for(lambda: all("shutting down" in cmdline(pid) for pid in old), "old workers' end")
        assert rig.status()["waiting"] == 4
        after = queue_up(rig, 4, 5, waiting=5)
        for i, client in enumerate([first, *before, *after]):
            rig.backend.release(f"/{i}")
            assert client.result().status == 200
        assert rig.backend.most == 1
        assert rig.backend.arrived == [f"/{i}" for i in range(9)]
        wait_for(lambda: not set(rig.nginx.worker_pids()) & set(old), "end of the old workers")


def test_the_limit_holds_with_more_workers_than_a_set_of_them_has_bits(tmp_path):
    """More than 64, and twice as many while a reload has told the old ones to end."""
    with Rig(tmp_path, "100 active=1", workers=70) as rig:
        clients = [rig.client("/0", active=1), *queue_up(rig, 20, 1, waiting=1)]
        old = rig.nginx.worker_pids()
        rig.nginx.signal(signal.SIGHUP)
        wait_for(lambda: len(set(rig.nginx.worker_pids()) - set(old)) == 70, "new workers")
        wait_for(lambda: all("shutting down" in cmdline(pid) for pid in old), "old workers' end")
        clients += queue_up(rig, 40, 21, waiting=21)
        rig.backend.release_all()
        assert {client.result().status for client in clients} == {200}
        assert rig.backend.arrived == [f"/{i}" for i in range(61)]
        assert rig.backend.most == 1


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read()
    except FileNotFoundError:
        return "shutting down"


def test_a_reload_changes_the_limit_for_all_at_once(tmp_path):
    with Rig(tmp_path, "20 active=1 zone=app:128k") as rig:
        first = rig.client("/0", active=1)
        second = rig.client("/1", waiting=1)
        conf = tmp_path / "nginx.conf"
        conf.write_text(conf.read_text().replace("active=1", "active=3"))
        rig.nginx.signal(signal.SIGHUP)
        rig.wait_for(limit=3, active=2, waiting=0)
        third = rig.client("/2", active=3)
        rig.backend.release_all()
        assert {client.result().status for client in (first, second, third)} == {200}


def test_many_requests_over_few_places_all_arrive(tmp_path):
    with Rig(tmp_path, "400 active=4", workers=2) as rig:
        rig.backend.release_all()
        clients = [Client(rig.nginx, f"/{i}") for i in range(300)]
        assert {client.result().status for client in clients} == {200}
        assert rig.backend.most <= 4
        rig.wait_for(active=0, waiting=0, admitted=300)


@pytest.mark.parametrize("size", [0, 1])
def test_a_queue_without_places_is_a_plain_limit(tmp_path, size):
    with Rig(tmp_path, f"{size} active=1") as rig:
        first = rig.client("/a", active=1)
        others = [rig.client(f"/{i}", waiting=i + 1) for i in range(size)]
        assert rig.nginx.get("/b").status == 503
        rig.backend.release_all()
        assert first.result().status == 200
        assert all(client.result().status == 200 for client in others)


def test_a_reload_that_fails_leaves_the_limits(tmp_path):
    with Rig(tmp_path, "10 active=2") as rig, socket.create_server(("127.0.0.1", 0)) as taken:
        rig.nginx.expected = (r"bind\(\) to \S+ failed", "still could not bind")
        conf = tmp_path / "nginx.conf"
        port = taken.getsockname()[1]
        conf.write_text(conf.read_text().replace("10 active=2", "0 active=1")
                        .replace("reuseport;", f"reuseport; listen 127.0.0.1:{port};"))
        rig.nginx.signal(signal.SIGHUP)
        wait_for(lambda: "still could not bind" in rig.nginx.errors(), "failed reload")
        rig.wait_for(limit=2, size=10)
