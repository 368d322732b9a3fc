"""A configuration that nginx reads and then refuses leaves those alone that are served by the one before it."""

import os
import signal
import socket

from pass_support import wait_for
from queue_support import Rig

EXPECTED = ("exited on signal 9", r"bind\(\) to", "still could not bind")


def refused_reload(nginx, conf):
    """The new configuration is right but for a port that is taken, which nginx sees last."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        conf.write_text(conf.read_text().replace("listen ", f"listen 127.0.0.1:{taken.getsockname()[1]}; listen ", 1))
        nginx.signal(signal.SIGHUP)
        wait_for(lambda: "still could not bind()" in nginx.errors(), "refusal of the configuration")


def replace_worker(nginx):
    """As when one dies: its successor is a child of a master that has read another configuration since."""
    (old,) = nginx.worker_pids()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: nginx.worker_pids() not in ([], [old]), "another worker")


def test_a_refused_request_is_told_when_to_retry_though_a_configuration_without_queues_was_read(tmp_path):
    with Rig(tmp_path, "0 active=1") as rig:
        rig.nginx.expected = EXPECTED
        conf = tmp_path / "nginx.conf"
        conf.write_text(conf.read_text().replace("forktail_queue 0 active=1;", ""))
        refused_reload(rig.nginx, conf)
        replace_worker(rig.nginx)
        first = rig.client("/a", active=1)
        refused = rig.nginx.get("/b")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        rig.backend.release_all()
        assert first.result().status == 200
