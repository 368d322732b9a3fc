"""`forktail trace` where nginx has the id part alone, and something else than forktail answers.

Each stack logs by conf/examples/python_logging.py, but for the one that is no Python application of anybody's: a plain HTTP
server that writes the header into its own lines.
"""

import http.client
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.app import ROOT
from lib.prefork import Prefork, listens
from lib.tools import give_up
from lib.waiting import LIMIT, free_port, wait_for

EXAMPLE = ROOT / "conf/examples/python_logging.py"
WEBPY = """
import logging
import os
import python_logging
import web

python_logging.configure()


class Order:
    def GET(self, path):
        logging.getLogger("shop").info("order %s", path)
        if path == "/die":
            os.abort()
        return "hello"


application = python_logging.with_request_id(web.application(("(/.*)", "Order"), globals()).wsgifunc())
"""
FLASK = """
import logging
import os
import flask
import python_logging

python_logging.configure()
app = flask.Flask("shop")


@app.route("/<path:path>")
def order(path):
    app.logger.info("order /%s", path)
    if path == "die":
        os.abort()
    return "hello"


application = python_logging.with_request_id(app)
"""
PLAIN = """
import http.server
import os
import sys


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.log_date_time_string(), "rid=" + self.headers["X-Request-ID"], "order", self.path, file=sys.stderr, flush=True)
        if self.path == "/die":
            os.abort()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


def need_module(name):
    if subprocess.run(["/usr/bin/python3", "-c", f"import {name}"], stderr=subprocess.DEVNULL, check=False).returncode:
        give_up(f"{name} for Python is not installed")


@pytest.fixture
def prefork(environment):
    one = Prefork(environment)
    shutil.copy(EXAMPLE, one.home)
    yield one
    one.end()


def uwsgi_and_webpy(prefork):
    need_module("web")
    _, path = prefork.uwsgi(WEBPY, workers=2)
    return f"include {ROOT}/conf/nginx/forktail_uwsgi_params; uwsgi_pass unix:{path};"


def gunicorn_and_flask(prefork):
    need_module("flask")
    _, url = prefork.gunicorn(FLASK, workers=2)
    return f"proxy_pass {url};"


def plain_http(prefork):
    (prefork.home / "plain.py").write_text(PLAIN)
    port = free_port()
    with open(prefork.home / "output", "ab") as output:
        process = subprocess.Popen(["/usr/bin/python3", "plain.py", str(port)], cwd=prefork.home, stderr=output,
                                   env=prefork.environment)
    prefork.processes.append(process)
    wait_for(lambda: listens(port), "HTTP server")
    return f"proxy_pass http://127.0.0.1:{port};"


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("X-Request-ID")


# The stack, and what tells of a worker's death: nobody does where there is no master.
STACKS = [(uwsgi_and_webpy, "signal 6"), (gunicorn_and_flask, "SIGABRT"), (plain_http, None)]


@pytest.mark.parametrize(("stack", "death"), STACKS, ids=[stack.__name__ for stack, _ in STACKS])
def test_a_foreign_applications_lines_are_in_the_story(prefork, nginx, forktail, environment, stack, death):
    web = nginx(server_conf=f"location / {{ {stack(prefork)} }}")

    def trace(request_id):
        result = subprocess.run([forktail, "trace", request_id, "--json", "--logs", web.home / "access.log",
                                 web.home / "error.log", prefork.home / "output"],
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
    words = ["order /die", "prematurely closed", '"kind": "access"', *([death] if death else [])]
    request = wait_for(lambda: told(request_id, *words), "all lines of the death")
    assert request["verdict"].startswith("answered 502: ")
    if death:
        (drawn,) = [event for event in request["events"] if death in event["raw"]]
        assert drawn["drawn"], "it bears no id: it is there by its process and time"
