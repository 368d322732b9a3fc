"""A short form of script/soak module, which runs for ten minutes by itself."""

import os
import subprocess
from pathlib import Path

import pytest

from lib.tools import QUICK, give_up

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone
def test_nginx_with_all_its_neighbours_is_whole_after_half_a_minute_of_everything():
    if not Path("/usr/lib/nginx/modules/ngx_http_lua_module.so").exists():
        give_up("nginx's other modules are not installed")
    run = subprocess.run([ROOT / "script/soak", "module", "--seconds", "10" if QUICK else "30"], env=os.environ,
                         capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
