"""How forktail_queue refuses a request, as its administrator wants it."""

import re
import subprocess

import pytest

from pass_support import MODULE, NGINX
from queue_support import Rig


@pytest.mark.parametrize("directives,status,level", [
    ("", 503, "error"),
    ("forktail_queue_status 429; forktail_queue_log_level info;", 429, "info"),
])
def test_the_status_and_the_log_level_of_a_refusal_are_configured(tmp_path, directives, status, level):
    with Rig(tmp_path, "0 active=1", extra=directives) as rig:
        first = rig.client("/a", active=1)
        refused = rig.nginx.get("/b")
        assert (refused.status, refused.getheader("Retry-After")) == (status, "1")
        assert re.search(rf"\[{level}\] .*the queue is full", rig.nginx.errors())
        rig.backend.release_all()
        assert first.result().status == 200


def test_a_retry_after_of_the_configuration_takes_the_place_of_ours(tmp_path):
    with Rig(tmp_path, "0 active=1", extra="add_header Retry-After 7 always;") as rig:
        first = rig.client("/a", active=1)
        assert rig.nginx.get("/b").headers.get_all("Retry-After") == ["7"]
        rig.backend.release_all()
        assert first.result().status == 200


def test_a_queue_beside_another_pass_is_warned_of(tmp_path):
    (tmp_path / "nginx.conf").write_text(f"""
        load_module {MODULE};
        pid {tmp_path}/pid;
        events {{ }}
        http {{ access_log off; server {{ listen 127.0.0.1:1;
            location /a {{ proxy_pass http://127.0.0.1:2; forktail_queue 10 active=1; }} }} }}
    """)
    checked = subprocess.run([NGINX, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"],
                             capture_output=True, text=True)
    assert checked.returncode == 0
    assert '"forktail_queue" does nothing in location "/a"' in checked.stderr
