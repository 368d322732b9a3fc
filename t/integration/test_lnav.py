"""conf/lnav/forktail.json, in the real lnav."""

import csv
import io
import subprocess
from pathlib import Path

import pytest

from lib.tools import need
from lib.waiting import LIMIT

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "t/story/endings/crash"


@pytest.fixture
def lnav(tmp_path, environment):
    """lnav(QUERY) is the rows of the query over the three logs."""
    program = need("lnav")
    home = {**environment, "HOME": str(tmp_path), "TERM": "dumb", "TZ": "UTC"}
    installed = subprocess.run([program, "-i", ROOT / "conf/lnav/forktail.json"], env=home, capture_output=True,
                               text=True, timeout=LIMIT, check=False)
    assert installed.returncode == 0 and "error" not in installed.stderr.lower(), installed.stderr

    def query(text):
        logs = [LOGS / name for name in ("access.json", "forktail.json", "error.log")]
        result = subprocess.run([program, "-n", "-c", f";{text}", "-c", ":write-csv-to -", *logs], env=home,
                                capture_output=True, text=True, timeout=LIMIT, check=True)
        return list(csv.DictReader(io.StringIO(result.stdout)))

    return query


def lines(name):
    return len((LOGS / name).read_text().splitlines())


def test_each_log_is_read_by_its_format(lnav):
    for table, name in (("forktail_access_log", "access.json"), ("forktail_log", "forktail.json"),
                        ("forktail_nginx_error_log", "error.log")):
        assert lnav(f"select count(*) as n from {table}") == [{"n": str(lines(name))}]


def test_one_id_is_found_in_all_three(lnav):
    request_id = (LOGS / "id").read_text().strip()
    rows = lnav(f"select log_format from all_logs where ltrim(log_opid) = '{request_id}'")
    assert {row["log_format"] for row in rows} == {"forktail_log", "forktail_access_log", "forktail_nginx_error_log"}


def test_levels_are_those_of_the_lines(lnav):
    assert lnav("select log_level from forktail_nginx_error_log") == [{"log_level": "error"}]
    assert lnav("select log_level as l from forktail_access_log where status = 502") == [{"l": "error"}]
    assert lnav("select log_level as l from forktail_log where event = 'crash'") == [{"l": "critical"}]
