"""A minute of what script/soak does for five."""

import subprocess

import pytest

from lib.app import ROOT
from lib.tools import FULL, QUICK

pytestmark = pytest.mark.alone


def test_a_server_withstands_its_application(record):
    seconds = 300 if FULL else 15 if QUICK else 60
    result = subprocess.run([ROOT / "script/soak", "server", "--seconds", str(seconds)], text=True, capture_output=True,
                            timeout=seconds + 200, check=False)
    record(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
