"""TLS connections are kept connections like any other: what holds for those holds for them."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from dispatch_support import APP, Kept, Load
from lib import uwsgi
from lib.hold import Held, release, wait_held
from lib.processes import is_alive, state_of
from lib.tools import need, need_files
from lib.waiting import LIMIT, wait_for
from tls_support import StepByStep, client_context, pass_tls, tls_pid, with_client

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])

@pytest.fixture(scope="module")
def work_app(build_app):
    return build_app(APP)


@pytest.fixture
def holding(tls_server, hold_app):
    return lambda **options: tls_server(app=hold_app, **{"processes": 2, **options})


def ended(peer):
    """The connection ends within a moment."""
    try:
        return peer.receive() is None
    except OSError:
        return True


@every_mode
def test_any_idle_worker_serves_a_kept_tls_connection(holding, mode):
    app = holding(fork_mode=mode)
    with Kept(app) as peer:
        first = peer.ask().body
        held = [Held(app, "held-by-one-worker")]
        for _ in range(50):
            answer = peer.ask()
            assert "close" not in answer.all("Connection")
            assert int(answer.body) not in [one.pid for one in held]
        release(app)
        assert first and b"200" in held[0].answer()


@every_mode
def test_a_worker_that_dies_in_a_request_ends_that_connection_and_no_other(holding, mode):
    app = holding(fork_mode=mode)
    with Kept(app) as peer, Kept(app) as other:
        assert peer.ask().status == other.ask().status == 200
        peer.send("/hold", REQUEST_ID="killed-in-this")
        (pid,) = wait_held(app).values()
        os.kill(int(pid), signal.SIGKILL)
        assert ended(peer)
        assert other.ask().status == 200
    assert app.wait_lines(1, event="lost")[0]["request_id"] == "killed-in-this"


def test_a_worker_that_dies_in_the_first_request_of_a_connection_ends_it(holding):
    app = holding()
    with Kept(app) as peer:
        peer.send("/hold", REQUEST_ID="killed-in-this")
        (pid,) = wait_held(app).values()
        os.kill(int(pid), signal.SIGKILL)
        assert ended(peer)


def test_an_idle_worker_that_is_killed_costs_no_connection(holding):
    app = holding()
    with Kept(app) as peer:
        for count in range(1, 4):
            victim = int(peer.ask().body)
            app.wait_lines(count, event="request")
            wait_for(lambda pid=victim: state_of(pid) == "S", "worker that waits")
            os.kill(victim, signal.SIGKILL)
            app.wait_lines(count, event="worker_died")
        assert peer.ask().status == 200


def test_harakiri_ends_the_connection_at_once(holding):
    app = holding(harakiri="300ms", harakiri_grace="100ms")
    with Kept(app) as peer:
        peer.send("/hold")
        assert ended(peer)
    assert app.wait_lines(1, event="harakiri_kill")


@every_mode
def test_a_reload_asks_for_connections_back_and_serves_what_has_crossed(holding, mode):
    app = holding(fork_mode=mode)
    with Kept(app) as idle, Kept(app) as crossing, Kept(app) as busy:
        assert idle.ask().status == crossing.ask().status == 200
        busy.send("/hold", REQUEST_ID="over-the-reload")
        wait_held(app)
        app.send_signal(signal.SIGHUP)
        assert idle.socket.recv(10) == crossing.socket.recv(10) == b"\r\n"
        answer = crossing.ask()
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert crossing.receive() is None
        release(app)
        answer = busy.receive()
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert busy.receive() is None
        idle.close()
        app.wait_log("generation 1 has left")
    app.wait_lines(1, event="tls_process_left")
    with Kept(app) as peer:
        assert "close" not in peer.ask().all("Connection")


class Halfway(StepByStep):
    """Has got the server's half of the handshake, and finishes it when it is told to."""

    def __init__(self, app):
        super().__init__(uwsgi.connect(("127.0.0.1", app.port)), app.tls)
        self.step(self.tls.do_handshake)
        assert self.receive()

    def finish_and_ask(self):
        self.shake_hands()
        self.step(self.tls.write, uwsgi.packet(uwsgi.variables("/", UWSGI_KEEP_CONN="1")))
        with self.plain:
            return uwsgi.Response(self.read_to_end())


def test_a_client_in_its_handshake_during_a_reload_is_served_by_the_next_generation(holding, forktail):
    app = holding(control="control", socket_timeout="30s")
    client, before = Halfway(app), tls_pid(app)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 1 has left")
    wait_for(lambda: tls_pid(app) != before, "new TLS process")
    # Whoever answers this has told the old one to leave.
    subprocess.run([forktail, "ctl", "--control", app.home / "control", "status"], env=app.environment, check=True,
                   timeout=LIMIT, capture_output=True)
    answer = client.finish_and_ask()
    assert (answer.status, answer["Connection"]) == (200, "close")
    assert int(answer.body) in app.workers().values()
    wait_for(lambda: not is_alive(before), "end of the old TLS process")


def test_after_a_reload_new_connections_see_the_new_certificate(holding, certificates, tmp_path):
    cert, key = tmp_path / "now.pem", tmp_path / "now.key"
    shutil.copy(certificates / "backend.pem", cert)
    shutil.copy(certificates / "backend.key", key)
    app = holding(tls_cert=cert, tls_key=key)
    with Kept(app) as busy:
        busy.send("/hold", REQUEST_ID="under-the-old")
        wait_held(app)
        shutil.copy(certificates / "client.pem", cert)
        shutil.copy(certificates / "client.key", key)
        old = tls_pid(app)
        app.send_signal(signal.SIGHUP)
        wait_for(lambda: tls_pid(app) != old, "new TLS process")

        def name_seen():
            with uwsgi.connect(("127.0.0.1", app.port)) as plain:
                context = client_context(certificates)
                context.check_hostname = False
                with context.wrap_socket(plain) as s:
                    return dict(pair for (pair,) in s.getpeercert()["subject"])["commonName"]

        wait_for(lambda: name_seen() == "client.example", "new certificate")
        release(app)
        assert busy.receive().status == 200


def test_killing_a_tls_process_costs_its_connections_and_nothing_else(holding):
    app = holding(processes=3)
    with Kept(app) as peer, Kept(app) as busy:
        assert peer.ask().status == 200
        busy.send("/hold", REQUEST_ID="cut-with-its-tls")
        held = Held(app, "not-over-tls-at-all")
        wait_held(app, 2)
        workers = app.workers()
        victim = tls_pid(app)
        os.kill(victim, signal.SIGKILL)
        assert ended(peer) and ended(busy)
        (line,) = app.wait_lines(1, event="tls_process_died")
        assert line["of_pid"] == victim and "killed by SIGKILL" in line["msg"]
        wait_for(lambda: tls_pid(app) != victim, "successor")
        with Kept(app) as another:
            assert another.ask().status == 200
        release(app)
        assert b"200" in held.answer()
        assert app.workers() == workers


def test_a_tls_process_that_dies_again_and_again_is_started_later_each_time(holding):
    app = holding()
    for count in range(4):
        pid = tls_pid(app)
        os.kill(pid, signal.SIGKILL)
        app.wait_lines(count + 1, event="tls_process_died")
        wait_for(lambda pid=pid: tls_pid(app) not in (pid, None), "successor")
    waits = [line["retry_ms"] for line in app.log(event="tls_process_died")]
    assert waits == sorted(waits) and waits[0] == 0 and waits[3] >= 200
    with Kept(app) as peer:
        assert peer.ask().status == 200


def test_several_tls_processes_share_the_work_and_outlive_each_other(holding):
    app = holding(tls_processes=3)
    ready = app.wait_lines(3, event="tls_process_ready")
    assert {line["of_tls"] for line in ready} == {1, 2, 3}
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Kept(app)) for _ in range(30)]
        assert {peer.ask().status for peer in peers} == {200}
        os.kill(ready[0]["of_pid"], signal.SIGKILL)
        app.wait_lines(4, event="tls_process_ready")
        lost = sum(ended(peer) for peer in peers if peer.has_answer() and not peer.socket.pending())
        for _ in range(10):
            with Kept(app) as another:
                assert another.ask().status == 200
        assert lost < 30


def test_half_open_handshakes_hold_no_worker_and_delay_nobody(holding, record):
    need_files(2500)
    app = holding(socket_timeout="12s")
    with contextlib.ExitStack() as stack:
        stalled = []
        for i in range(2000):
            stalled.append(stack.enter_context(uwsgi.connect(("127.0.0.1", app.port))))
            if i % 4:
                stalled[-1].sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[: 1 + i % 9])
        took = []
        for _ in range(20):
            begin = time.monotonic()
            with Kept(app) as peer:
                assert peer.ask().status == 200
            assert app.get("/").status == 200
            took.append(time.monotonic() - begin)
        record(f"2,000 half-open handshakes: a new TLS connection, its request and a plain one take at most "
               f"{max(took) * 1000:.0f} ms, {sorted(took)[10] * 1000:.0f} ms in the middle")
        assert max(took) < 6 and sorted(took)[10] < 1
        for s in stalled[:: 100]:
            s.settimeout(20)
            assert uwsgi.read_to_end(s) == b""
        assert len(app.wait_lines(1500, event="bad_request")) == 1500, "one for each that had begun"


def test_without_descriptors_it_says_so_and_accepts_again_when_there_are_some(tls_server, hold_app):
    app = tls_server(start=False, app=hold_app, processes=1)
    app.through = [need("prlimit"), "--nofile=600"]
    app.start()
    with contextlib.ExitStack() as stack:
        for _ in range(700):
            stack.enter_context(uwsgi.connect(("127.0.0.1", app.port)))
        assert "raise the limit of open files" in app.wait_lines(1, event="accept_failed")[0]["msg"]
    with Kept(app) as peer:
        assert peer.ask().status == 200


def test_a_client_that_takes_nothing_holds_an_old_tls_process_for_its_mercy_and_no_longer(tls_server, work_app):
    app = tls_server(app=work_app, socket_timeout="60s", reload_mercy="500ms", processes=1)
    with Kept(app) as peer:
        peer.send("/", bytes(32 << 20))
        wait_for(peer.has_answer, "first bytes of an answer")
        old = tls_pid(app)
        app.send_signal(signal.SIGHUP)
        line = app.wait_log("killing TLS process", limit=30)
        assert line["of_pid"] == old
        app.wait_lines(1, event="tls_process_left")
    assert not app.log(event="tls_process_died")


def test_handshakes_all_at_once_are_all_done(holding, record):
    app = holding()
    done = []

    def connect():
        for _ in range(10):
            with Kept(app) as peer:
                done.append(peer.ask().status)

    threads = [threading.Thread(target=connect) for _ in range(30)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record(f"300 handshakes and requests by 30 clients in {time.monotonic() - begin:.1f} s")
    assert done == [200] * 300


def test_more_requests_than_the_workers_queue_holds_wait_for_their_turn(holding):
    need_files(2500)
    app = holding(processes=1)
    held = Held(app, "held-by-the-only-one")
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(700):
            peers.append(stack.enter_context(Kept(app)))
            peers[-1].send("/")
        assert not app.log(event="request")
        peers.pop().close()  # one that has not waited
        release(app)
        assert {peer.receive().status for peer in peers} == {200}
    assert b"200" in held.answer()


def test_a_stop_serves_the_clients_that_are_in_their_handshakes(holding):
    app = holding()
    halfway = Halfway(app)
    with uwsgi.connect(("127.0.0.1", app.port)) as plain:
        with app.tls.wrap_socket(plain, server_hostname="backend.example") as s:
            app.send_signal(signal.SIGTERM)
            app.wait_log("stopping")
            assert halfway.finish_and_ask().status == 200
            s.sendall(uwsgi.packet(uwsgi.variables("/")))
            assert uwsgi.Response(uwsgi.read_to_end(s)).status == 200
    assert app.process.wait(LIMIT) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_answers_what_is_in_flight_over_tls(holding, number):
    app = holding(processes=1)
    with Kept(app) as busy, Kept(app) as queued:
        busy.send("/hold", REQUEST_ID="over-the-stop")
        wait_held(app)
        queued.send("/")
        app.send_signal(number)
        app.wait_log("stopping")
        release(app)
        for peer in (busy, queued):
            assert uwsgi.Response(uwsgi.read_to_end(peer.socket)).status == 200
    assert app.process.wait(LIMIT) == 0


def test_a_stop_at_once_waits_for_nobody(holding):
    app = holding()
    with Kept(app) as busy:
        busy.send("/hold", REQUEST_ID="cut-by-the-stop")
        wait_held(app)
        begin = time.monotonic()
        assert app.stop(signal.SIGINT) in (0, 1)
        assert time.monotonic() - begin < 5
        assert ended(busy)


def test_signals_to_the_whole_process_group_are_the_masters_affair(holding):
    app = holding()
    with Kept(app) as peer:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(tls_pid(app), number)
        assert peer.ask().status == 200


@every_mode
def test_no_request_is_lost_over_reloads_with_tls(tls_server, work_app, nginx, certificates, mode, record):
    app = tls_server(app=work_app, processes=2, fork_mode=mode)
    web = pass_tls(nginx, app, with_client(certificates))
    with Load(web, clients=8, sizes=(0, 3000, 70_000)) as load:
        for generation in range(2, 6):
            app.send_signal(signal.SIGHUP)
            app.wait_log(f"generation {generation} serves")
            load.wait(50)
    record(f"{mode}: {load.count} requests over 4 reloads")
    assert not load.failures


def test_no_request_is_lost_over_a_refork_with_tls(tls_server, work_app, nginx, certificates, forktail):
    app = tls_server(app=work_app, processes=2, control="control")
    web = pass_tls(nginx, app, with_client(certificates))
    before = tls_pid(app)
    with Load(web, clients=8, sizes=(0, 3000, 70_000)) as load:
        for generation in (2, 3):
            command = [forktail, "ctl", "--control", app.home / "control", "refork"]
            subprocess.run(command, env=app.environment, check=True, timeout=LIMIT, capture_output=True)
            app.wait_log(f"generation {generation} serves")
            load.wait(50)
    assert not load.failures
    assert tls_pid(app) == before, "the files are those of before"
