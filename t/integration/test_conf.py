"""The example configurations are true for this version."""

import getpass
import grp
import os
import re
import subprocess

import pytest

from lib.app import ROOT
from lib.tools import need
from lib.waiting import free_port, wait_for

EXAMPLE = ROOT / "conf/forktail.ini"


def settings(commented):
    """The keys of forktail.ini with their values; of the commented-out ones too, if asked."""
    pattern = r"^;?([a-z][a-z-]+) = (.*)$" if commented else r"^([a-z][a-z-]+) = (.*)$"
    return dict(re.findall(pattern, EXAMPLE.read_text(), re.MULTILINE))


def test_the_example_ini_has_every_option_of_serve(forktail):
    usage = subprocess.run([forktail, "serve", "--help"], text=True, capture_output=True, check=True).stdout
    options = re.findall(r"^ +(?:-\w,)?--([a-z-]+)", usage, re.MULTILINE)
    aliases = {"lazy-apps"}
    assert set(settings(commented=True)) | aliases == set(options) - {"help", "config"} | aliases


@pytest.mark.parametrize("commented", [False, True], ids=["as it is", "with every default spelled out"])
def test_a_server_starts_with_the_example_ini(forkfacts, server, tmp_path, commented):
    # What only the right machine has gets a value that this one has, or none. The fixture gives the socket
    # and the log on the command line, which wins.
    here = {"app": forkfacts, "pidfile": tmp_path / "pid", "chdir": tmp_path,
            "control": tmp_path / "control.sock", "stats": tmp_path / "stats.sock",
            "stats-http": f"127.0.0.1:{free_port()}", "chown-socket": None, "uid": None, "gid": None,
            "tls-cert": None, "tls-key": None, "tls-client-ca": None}
    ini = tmp_path / "forktail.ini"
    ini.write_text("[forktail]\n" + "".join(
        f"{key} = {value}\n" for key, value in (settings(commented) | here).items() if value is not None))
    assert server(app=None, config=ini).get("/").status == 200


def test_logrotate_moves_the_log_away_and_the_server_writes_a_new_one(server, tmp_path):
    running = server(
        logto=tmp_path / "forktail.json", pidfile=tmp_path / "forktail.pid", quiet=True)
    log = running.options["logto"]
    text = (ROOT / "conf/logrotate/forktail").read_text()
    for there, here in (("/var/log/forktail", tmp_path), ("/run/forktail", tmp_path),
                        ("forktail adm", f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}")):
        assert there in text
        text = text.replace(there, str(here))
    rules = tmp_path / "rules"
    rules.write_text(text)
    rules.chmod(0o644)
    tmp_path.chmod(0o755)

    running.get("/", REQUEST_ID="before-it")
    subprocess.run([need("logrotate"), "--force", "--state", tmp_path / "state", rules], check=True)

    def written_to_the_new_one():
        running.get("/", REQUEST_ID="behind-it")
        return "behind-it" in log.read_text()

    wait_for(written_to_the_new_one, "line in the new log")
    assert "before-it" not in log.read_text()
    assert "before-it" in (tmp_path / "forktail.json.1").read_text()


def test_systemd_finds_nothing_wrong_with_the_unit(forktail, tmp_path):
    text = (ROOT / "conf/systemd/forktail.service").read_text()
    assert "/usr/local/bin/forktail" in text
    unit = tmp_path / "forktail.service"
    unit.write_text(text.replace("/usr/local/bin/forktail", str(forktail)))
    result = subprocess.run([need("systemd-analyze"), "verify", "--man=no", unit],
                            text=True, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
