"""A short form of script/soak server, which runs for five minutes by itself."""

import os
import subprocess
from pathlib import Path

import pytest

from lib.tools import QUICK

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone
def test_a_server_is_whole_after_half_a_minute_of_an_application_that_misbehaves():
    seconds = "10" if QUICK else "30"
    run = subprocess.run([ROOT / "script/soak", "server", "--seconds", seconds], env=os.environ,
                         capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
