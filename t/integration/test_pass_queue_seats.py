"""Whose seat a worker process has taken in forktail_queue, when several configurations are alive at once."""

import os
import signal
import socket

from pass_support import wait_for
from queue_support import Rig
from test_pass_queue import cmdline, has_client


def ask(rig, path):
    s = socket.create_connection(("127.0.0.1", rig.nginx.port))
    s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    return s


def reload_to(rig, old, conf):
    (rig.nginx.home / "nginx.conf").write_text(conf)
    rig.nginx.signal(signal.SIGHUP)
    wait_for(lambda: len(set(rig.nginx.worker_pids()) - set(old)) == 2, "new workers")
    return [pid for pid in rig.nginx.worker_pids() if pid not in old]


def test_a_dead_worker_is_cleaned_up_after_in_a_queue_that_its_seats_next_holder_does_not_have(tmp_path):
    """A reload gave the queue a zone of another size. A worker that ends with the old zone dies, and one
    that knows only the new zone sits down in its seat."""
    with Rig(tmp_path, "50 active=1 zone=app:64k timeout=60s", workers=2) as rig:
        rig.nginx.expected = ("exited on signal 9",)
        old = rig.nginx.worker_pids()
        held = [ask(rig, "/held")]
        rig.wait_for(active=1)
        (dying,) = [pid for pid in old if has_client(pid)]
        (living,) = [pid for pid in old if pid != dying]
        while not has_client(living):  # the kernel spreads them by their ports
            assert len(held) < 40
            held.append(ask(rig, f"/w{len(held)}"))
            rig.wait_for(waiting=len(held) - 1)
        larger = (tmp_path / "nginx.conf").read_text().replace("zone=app:64k", "zone=app:128k")
        new = reload_to(rig, old, larger)
        wait_for(lambda: all("shutting down" in cmdline(pid) for pid in old), "end of the old workers")
        os.kill(living, signal.SIGSTOP)  # it would clean up at once
        os.kill(dying, signal.SIGKILL)
        wait_for(lambda: dying not in rig.nginx.worker_pids(), "end of the worker")
        reload_to(rig, [living, *new], larger)
        os.kill(living, signal.SIGCONT)
        last = held[-1]  # the only one of the worker that lives
        rig.backend.release_all()
        last.settimeout(10)
        assert last.recv(100).startswith(b"HTTP/1.1 200")
        for one in held:
            one.close()
        wait_for(lambda: living not in rig.nginx.worker_pids(), "end of the last old worker")
