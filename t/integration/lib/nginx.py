"""One nginx with the module."""

import http.client
import os
import re
import subprocess
from pathlib import Path

from lib.logs import json_lines, sanitizer_reports
from lib.waiting import LIMIT, free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("TEST_NGINX_BINARY", "/usr/sbin/nginx")
TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi", "forktail")


def upstream(name, server, options=""):
    lines = [f"server {'unix:' if '/' in socket else ''}{socket} {options};"
             for socket in server.sockets()]
    return f"upstream {name} {{ {' '.join(lines)} }}"


class Nginx:
    """Listens on `port`. Its prefix, `home`, has nginx.conf, access.log (JSON) and error.log."""

    def __init__(self, module, home, environment, http_conf, server_conf, main_conf="",
                 workers=1, connections=1024, listen="", expected=()):
        self.home = home
        self.environment = environment
        self.expected = expected  # patterns of alerts that the test provokes
        self.port = free_port()
        self.process = None
        temp_paths = " ".join(f"{name}_temp_path {home}/{name};" for name in TEMP_PATHS)
        (home / "nginx.conf").write_text(f"""
load_module {module};
{'user root;' if os.geteuid() == 0 else ''}
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log info;
worker_processes {workers};
worker_rlimit_nofile {connections + 64};
{main_conf}
events {{ worker_connections {connections}; }}
http {{
    include {ROOT}/conf/nginx/forktail_log.conf;
    access_log {home}/access.log forktail;
    forktail on;
    {temp_paths}
    {http_conf}
    server {{
        listen 127.0.0.1:{self.port} backlog={connections} {listen};
        {server_conf}
    }}
}}
""")

    def start(self):
        with open(self.home / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [BINARY, "-p", str(self.home), "-c", "nginx.conf", "-e", "error.log"],
                env=self.environment, stdin=subprocess.DEVNULL, stderr=stderr)
        wait_for(self.accepts, "nginx that accepts")
        return self

    def accepts(self):
        assert self.process.poll() is None, (self.home / "stderr").read_text() + self.error_text()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.connect()
            return True
        except ConnectionRefusedError:
            return False
        finally:
            connection.close()

    # What it says.
    def error_text(self):
        path = self.home / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def errors(self, *levels):
        """The error log's lines of these levels; without any, of `error` and above."""
        wanted = "|".join(levels or ("error", "crit", "alert", "emerg"))
        return [line for line in self.error_text().splitlines()
                if re.search(rf"^\S+ \S+ \[({wanted})\]", line)]

    def access(self):
        return json_lines(self.home / "access.log")

    def wait_access(self, count):
        """The access log as soon as it has `count` lines: nginx writes one after the response."""
        wait_for(lambda: len(self.access()) >= count, f"{count} lines in the access log")
        return self.access()

    # What is done to it.
    def get(self, path="/", method="GET", body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(LIMIT)

    def end(self):
        """The fixture's last words: complaints about how it went."""
        complaints = []
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                complaints.append(f"nginx did not end within {LIMIT} s of SIGTERM")
        complaints += [line for line in self.errors("alert", "emerg")
                       if not any(re.search(pattern, line) for pattern in self.expected)]
        for name in ("stderr", "error.log"):
            complaints += sanitizer_reports(self.home / name)
        return complaints
