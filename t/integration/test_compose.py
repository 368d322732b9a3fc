"""compose.yaml, on a Docker engine where there is one."""

import json
import os
import subprocess
import urllib.request
import uuid

import pytest

from lib.app import ROOT
from lib.tools import QUICK, give_up, need
from lib.waiting import free_port, wait_for

pytestmark = [pytest.mark.alone, pytest.mark.skipif(QUICK, reason="building the images takes minutes")]


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def compose(port):
    """compose(WORD...) runs docker-compose on a project of its own, which is up."""
    program = need("docker-compose")
    if subprocess.run([need("docker"), "info"], capture_output=True, check=False).returncode != 0:
        give_up("no Docker engine answers")
    project = f"forktail-test-{uuid.uuid4().hex[:8]}"

    def run(*words):
        command = [program, "--project-name", project, *words]
        result = subprocess.run(command, cwd=ROOT, env={**os.environ, "FORKTAIL_PORT": str(port)},
                                text=True, capture_output=True, check=False)
        assert result.returncode == 0, f"{command}:\n{result.stdout[-4000:]}{result.stderr[-4000:]}"
        return result.stdout

    try:
        run("up", "--build", "--detach")
        yield run
    finally:
        run("down", "--volumes", "--timeout", "5")


def logged(compose, service, request_id):
    """The service's JSON lines that bear the id."""
    lines = compose("logs", "--no-color", service).splitlines()
    texts = [line.partition("| ")[2] for line in lines if request_id in line]
    return [json.loads(text) for text in texts if text.startswith("{")]


def test_one_id_stands_in_the_logs_of_both_containers(compose, port):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/", timeout=10) as response:
        assert response.status == 200
        request_id = response.headers["X-Request-ID"]
    # nginx writes its line after the response.
    (access,) = wait_for(lambda: logged(compose, "nginx", request_id), "access line")
    assert (access["event"], access["status"]) == ("access", 200)
    lines = logged(compose, "server", request_id)
    assert [line["msg"].split()[0] for line in lines] == ["begin", "counter", "in", "end", "GET"]


@pytest.mark.parametrize("service", ["server", "nginx"])
def test_no_container_runs_as_root(compose, service):
    assert compose("exec", "-T", service, "id", "-u") == "10001\n"
