"""The sockets of `forktail serve`: their kinds, files, modes and owners, and whose they are."""

import os
import stat
from pathlib import Path

from lib import uwsgi
from lib.server import refused
from lib.tools import need_root
from lib.waiting import free_port


def test_the_socket_file_of_a_living_server_is_refused_and_untouched(server):
    first = server()
    inode = os.stat(first.dial()).st_ino
    second = server(start=False, socket=first.dial())
    refused(second.run(), first.dial(), "another server listens on it", code=1)
    assert os.stat(first.dial()).st_ino == inode
    assert first.get("/").status == 200


def test_a_stale_socket_file_is_taken_over(server):
    first = server()
    first.process.kill()
    first.process.wait()
    assert os.path.exists(first.dial())
    assert server(socket=first.dial()).get("/").status == 200


def test_a_file_that_is_no_socket_is_refused_and_untouched(server):
    app = server(start=False)
    Path(app.dial()).write_text("precious")
    refused(app.run(), app.dial(), "exists and is no socket", code=1)
    assert Path(app.dial()).read_text() == "precious"
    os.unlink(app.dial())


def test_a_socket_that_can_not_be_bound_is_named_and_the_others_are_removed(server):
    app = server(start=False)
    app.options["socket"] = [app.home / "a.sock", app.home / "nowhere" / "b.sock"]
    refused(app.run(), "nowhere/b.sock", "cannot bind", code=1)
    assert not (app.home / "a.sock").exists()


def test_several_sockets_of_each_kind_serve_at_once(server, tmp_path):
    app = server(socket=[tmp_path / "a.sock", f"127.0.0.1:{free_port()}", f"@forktail-{os.getpid()}"])
    assert [uwsgi.request(app.dial(number)).status for number in range(3)] == [200] * 3


def test_a_tcp_socket_that_is_not_loopback_needs_to_be_allowed(server):
    app = server(start=False, socket=f"0.0.0.0:{free_port()}")
    refused(app.run(), "0.0.0.0:", "plain-tcp = true", code=1)
    app.options["plain_tcp"] = True
    assert app.start().get("/").status == 200


def test_chmod_socket_is_the_mode_of_the_socket_file(server):
    for mode in (0o600, 0o666):
        app = server(chmod_socket=f"{mode:o}")
        assert stat.S_IMODE(os.stat(app.dial()).st_mode) == mode


def test_chown_socket_is_the_owner_of_the_socket_file(server):
    need_root()
    status = os.stat(server(chown_socket="nobody:nogroup").dial())
    assert (status.st_uid, status.st_gid) == (65534, 65534)
    refused(server(start=False, chown_socket="no-such-user").run(), "no-such-user", code=1)


def test_a_listen_queue_longer_than_the_kernel_allows_is_warned_of(server):
    longest = int(Path("/proc/sys/net/core/somaxconn").read_text())
    line = server(listen=longest + 1).wait_log(f"listen = {longest + 1} is more than the kernel allows")
    assert f"net.core.somaxconn={longest + 1}" in line["msg"]
