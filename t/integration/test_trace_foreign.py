"""`forktail trace` where nginx has the id part alone, and something else than forktail answers."""

import http.client
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.tools import need
from lib.waiting import LIMIT, wait_for

EXAMPLE = Path(__file__).resolve().parents[2] / "conf/examples/python_logging.py"
SHOP = """
import logging
import os
import python_logging

python_logging.configure()


def answer(environ, start_response):
    logging.getLogger("shop").info("order %s", environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/die":
        os.abort()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


application = python_logging.with_request_id(answer)
"""


@pytest.fixture
def gunicorn(environment, tmp_path):
    """The folder of a gunicorn that serves SHOP at gunicorn.sock and logs to app.log."""
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    with open(tmp_path / "app.log", "wb") as log:
        process = subprocess.Popen([need("gunicorn"), "-w", "2", "-b", f"unix:{tmp_path}/gunicorn.sock", "shop:application"],
                                   cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: (tmp_path / "app.log").read_bytes().count(b"Booting worker") >= 2, "gunicorn's workers", limit=30)
        yield tmp_path
    finally:
        process.terminate()
        process.wait(30)


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("X-Request-ID")


def test_a_python_applications_lines_are_in_the_story(gunicorn, nginx, forktail, environment):
    web = nginx(server_conf=f"location / {{ proxy_pass http://unix:{gunicorn}/gunicorn.sock; }}")

    def trace(request_id):
        result = subprocess.run([forktail, "trace", request_id, "--json", "--logs", web.home / "access.log",
                                 web.home / "error.log", gunicorn / "app.log"],
                                env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
        return json.loads(result.stdout)["requests"][0] if result.returncode == 0 else None

    def told(request_id, *words):
        request = wait_for(lambda: trace(request_id), "the request in the logs")
        text = json.dumps(request)
        return request if all(word in text for word in words) else None

    status, request_id = ask(web.port, "/orders")
    assert status == 200
    request = wait_for(lambda: told(request_id, "order /orders", '"kind": "access"'), "the application's line")
    assert request["verdict"].startswith("answered 200") and request["missing"] == []

    status, request_id = ask(web.port, "/die")
    assert status == 502
    request = wait_for(lambda: told(request_id, "order /die", "prematurely closed", '"kind": "access"'), "nginx's lines")
    assert request["verdict"].startswith("answered 502: ")
