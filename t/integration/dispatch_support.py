"""What the tests of dispatch share: an application, many clients at once, and a look at processes."""

import http.client
import os
import random
import select
import threading
import time
from pathlib import Path

from lib import uwsgi
from lib.processes import children_of
from lib.tools import QUICK
from lib.waiting import LIMIT, wait_for

FULL = os.environ.get("FORKTAIL_FULL") == "1"

# The body comes back, after as many milliseconds as ?ms= says.
APP = r"""
#include <forktail/app.h>
#include <unistd.h>

#include <cstdlib>

class Work : public forktail::App {
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    usleep(static_cast<unsigned>(atoi(request.query("ms").value_or("0").c_str())) * 1000);
    return {200, "application/octet-stream", std::string(request.body())};
  }
};
FORKTAIL_APP(Work)
"""


def seconds(normal, quick, full=None):
    """How long a load lasts."""
    return full if FULL and full else quick if QUICK else normal


def keep_conf(app, keepalive=64, more=""):
    """nginx's configuration that passes everything to `app` over kept connections."""
    return {
        "http_conf": f"""upstream app {{
            server unix:{app.dial()} max_fails=0; keepalive {keepalive}; {more} }}""",
        "server_conf": "client_max_body_size 0; location / { forktail_pass app; }",
    }


class Load:
    """Clients that POST random bodies to nginx and want them back, from the beginning of the `with` to
    its end. Each request has a connection of its own to nginx, so that no failure has an excuse."""

    SIZES = (0, 10, 3000, 70_000, 200_000)

    def __init__(self, web, clients=64, path="/", sizes=SIZES):
        self.web, self.path, self.sizes = web, path, sizes
        self.count = 0
        self.failures = []  # (request id or None, what happened)
        self.going = True
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait(len(self.threads))
        return self

    def __exit__(self, *_):
        self.going = False
        for thread in self.threads:
            thread.join()

    def wait(self, more):
        """Until so many more requests are answered."""
        target = self.count + more
        wait_for(lambda: self.count >= target, f"{more} more answers", 3 * LIMIT)

    def work(self, number):
        chance = random.Random(number)
        while self.going:
            failure = self.one(chance.randbytes(chance.choice(self.sizes)))
            with self.lock:
                self.count += 1
                if failure:
                    self.failures.append(failure)

    def one(self, body):
        try:
            response = self.web.get(self.path, "POST", body)
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error)
        if response.status != 200:
            return response.getheader("X-Request-ID"), response.status
        return None if response.body == body else (response.getheader("X-Request-ID"), "another body")


NOTICE = b"\r\n"


class Kept:
    """A peer that keeps its connection to the server; over TLS, to one that speaks it."""

    def __init__(self, app, timeout=LIMIT):
        self.socket = uwsgi.connect(("127.0.0.1", app.port) if app.tls else app.dial(), timeout)
        if app.tls:
            self.socket = app.tls.wrap_socket(self.socket, server_hostname="backend.example")

    def send(self, path="/", body=b"", **extra):
        variables = uwsgi.variables(path, "POST", body, **{"UWSGI_KEEP_CONN": "1", **extra})
        self.socket.sendall(uwsgi.packet(variables) + body)

    def receive(self):
        """One response, by its Content-Length; None at the end of the connection. The notice that it ends may stand
        behind it, and in front of the response to a request that was on its way."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(65536)
            if not part:
                assert not data, f"cut: {data[:200]!r}"
                return None
            data = (data + part).removeprefix(NOTICE)
        head, _, _ = data.partition(b"\r\n\r\n")
        whole = len(head) + 4 + int(uwsgi.Response(data)["Content-Length"])
        while len(data) < whole:
            part = self.socket.recv(65536)
            assert part, f"cut after {len(data)} of {whole} bytes"
            data += part
        assert data[whole:] in (b"", NOTICE), f"more than a response: {data[whole:][:100]!r}"
        return uwsgi.Response(data[:whole])

    def ask(self, path="/", body=b"", **extra):
        self.send(path, body, **extra)
        return self.receive()

    def has_answer(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def processes_of(app):
    """The master, its template and its workers."""
    return [app.pid, *children_of(app.pid)]


def descriptors(app):
    """How many descriptors each process of the server has open."""
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in processes_of(app)}


def activity(app):
    """What each process has done so far: CPU ticks, and how often each of its threads went to sleep."""
    found = {}
    for pid in processes_of(app):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        switches = [line.split()[1] for status in Path(f"/proc/{pid}/task").glob("*/status")
                    for line in status.read_text().splitlines()
                    if line.startswith("voluntary_ctxt_switches")]
        found[pid] = (fields[11], fields[12], sorted(switches))
    return found


def wait_quiet(app, limit=LIMIT):
    """Until no process of the server has done anything for a second."""
    end = time.monotonic() + limit
    before = activity(app)
    while True:
        time.sleep(1)
        now = activity(app)
        if now == before:
            return
        assert time.monotonic() < end, f"never quiet: {before} then {now}"
        before = now


def descriptors_at_rest(app):
    """As descriptors(), without the connection that asked the server whether it is ready."""
    wait_quiet(app)
    return descriptors(app)
