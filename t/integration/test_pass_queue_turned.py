"""A request that waits in forktail_queue and is turned to something else meanwhile."""

import contextlib
import socket
from pathlib import Path

import pytest

from lib.tools import give_up
from pass_support import NGINX, response, wait_for
from queue_support import Rig


class Silent:
    """An HTTP server that takes connections and never answers."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(10)
        self.taken = []

    def wait_for_one(self):
        self.taken.append(self.listener.accept()[0])

    def close(self):
        for one in [*self.taken, self.listener]:
            one.close()


@contextlib.contextmanager
def rig_with_post_action(home, after, queue="10 active=1", extra=""):
    with Rig(home, queue, extra=f"post_action /after; {extra}",
             server=f"location = /after {{ {after} }}") as rig:
        workers = rig.nginx.worker_pids()
        yield rig
        assert rig.nginx.worker_pids() == workers, rig.nginx.errors()


def leave_while_waiting(rig, path="/gone"):
    leaver = rig.nginx.connect()
    leaver.request("GET", path)
    rig.wait_for(waiting=1)
    leaver.close()


def test_a_client_that_leaves_is_out_of_the_line_before_post_action_turns_its_request_elsewhere(tmp_path):
    silent = Silent(tmp_path / "after.sock")
    with contextlib.closing(silent), \
            rig_with_post_action(tmp_path, f"proxy_pass http://unix:{tmp_path}/after.sock;") as rig:
        first = rig.client("/a", active=1)
        leave_while_waiting(rig)
        silent.wait_for_one()
        rig.wait_for(active=1, waiting=0, left=1)
        # Its turn would come now, while another module has its request.
        rig.backend.release_all()
        assert first.result().status == 200
        assert rig.nginx.get("/b").status == 200
        rig.wait_for(active=0, waiting=0, left=1, timed_out=0)
        assert "/gone" not in rig.backend.arrived


def test_the_time_limit_of_a_wait_does_not_end_what_post_action_made_of_the_request(tmp_path):
    silent = Silent(tmp_path / "after.sock")
    with contextlib.closing(silent), \
            rig_with_post_action(tmp_path, f"proxy_pass http://unix:{tmp_path}/after.sock; proxy_read_timeout 1s;",
                                 "10 active=1 timeout=300ms") as rig:
        first = rig.client("/a", active=1)
        leave_while_waiting(rig)
        silent.wait_for_one()
        wait_for(lambda: "upstream timed out" in rig.nginx.errors(), "timeout of /after")
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0, left=1, timed_out=0)
        assert "has waited too long" not in rig.nginx.errors()


def test_a_post_action_can_wait_in_the_line_that_its_client_has_left(tmp_path):
    with rig_with_post_action(tmp_path, "forktail_pass app; forktail_queue 10 active=1;") as rig:
        first = rig.client("/a", active=1)
        leave_while_waiting(rig)
        rig.wait_for(active=1, waiting=1, left=1)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0, left=1)


def test_a_post_action_that_answers_itself_leaves_nothing_in_the_line(tmp_path):
    with rig_with_post_action(tmp_path, "return 204;") as rig:
        first = rig.client("/a", active=1)
        leave_while_waiting(rig)
        rig.wait_for(active=1, waiting=0, left=1)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0)


def test_what_x_accel_redirect_makes_of_a_request_waits_behind_those_who_came_before_it(tmp_path):
    with Rig(tmp_path, "10 active=1",
             server="location = /other { forktail_pass app; forktail_queue 10 active=1; }") as rig:
        rig.backend.answer = lambda request: response(
            request["PATH_INFO"].encode(), keep="",
            headers=["X-Accel-Redirect: /other"] if request["PATH_INFO"] == "/a" else [])
        first = rig.client("/a", active=1)
        second = rig.client("/b", waiting=1)
        rig.backend.release("/a")
        rig.wait_for(active=1, waiting=1, admitted=2)
        wait_for(lambda: rig.backend.arrived == ["/a", "/b"], "the second at the server")
        rig.backend.release_all()
        assert [first.result().body, second.result().body] == [b"/other", b"/b"]
        rig.wait_for(active=0, waiting=0, admitted=3, left=0)


def test_a_client_that_leaves_takes_the_auth_request_out_of_the_line_that_it_waits_in(tmp_path):
    with Rig(tmp_path, "10 active=1", server="""
            location = /page { auth_request /auth; try_files /none =404; }
            location = /auth { internal; forktail_pass app; forktail_queue 10 active=1; }""") as rig:
        first = rig.client("/a", active=1)
        leave_while_waiting(rig, "/page")
        rig.wait_for(active=1, waiting=0, left=1)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0)


@pytest.fixture
def lua():
    modules = Path("/usr/lib/nginx/modules")
    if NGINX != "/usr/sbin/nginx":
        pytest.skip("Debian's Lua module fits Debian's nginx only")
    if not (modules / "ngx_http_lua_module.so").exists():
        give_up("nginx's Lua module is not installed")
    return f"load_module {modules}/ndk_http_module.so; load_module {modules}/ngx_http_lua_module.so;"


def test_a_capture_of_lua_leaves_the_line_with_the_client_of_its_request(tmp_path, lua):
    with Rig(tmp_path, "10 active=1", main=lua, server="""
            location = /lua { lua_check_client_abort on; content_by_lua_block { ngx.location.capture("/c") } }
            """) as rig:
        workers = rig.nginx.worker_pids()
        first = rig.client("/a", active=1)
        leave_while_waiting(rig, "/lua")
        rig.wait_for(active=1, waiting=0, left=1)
        rig.backend.release_all()
        assert first.result().status == 200
        rig.wait_for(active=0, waiting=0)
        assert rig.nginx.worker_pids() == workers, rig.nginx.errors()


def test_lua_goes_elsewhere_after_a_capture_that_has_waited(tmp_path, lua):
    with Rig(tmp_path, "10 active=1", main=lua, server="""
            location = /lua { content_by_lua_block { ngx.location.capture("/c") ngx.exec("/d") } }
            """) as rig:
        first = rig.client("/a", active=1)
        second = rig.client("/lua", waiting=1)
        rig.backend.release_all()
        assert [first.result().status, second.result().status] == [200, 200]
        assert len(rig.backend.arrived) == 3
        rig.wait_for(active=0, waiting=0, admitted=3, left=0)
