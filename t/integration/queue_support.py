"""A queue before a server that holds each request until the test lets it go."""

import contextlib
import http.client
import json
import threading

from pass_support import LIMIT, Nginx, Server, response, wait_for


class Backend:
    """Holds each request until the test lets it go, and remembers in which order they came."""

    def __init__(self):
        self.lock = threading.Condition()
        self.arrived = []
        self.released = set()
        self.most = 0
        self.inside = 0
        self.open = False
        self.answer = lambda request: response(request["REQUEST_URI"].encode(), keep="")

    def __call__(self, s, request):
        path = request["REQUEST_URI"]
        with self.lock:
            self.arrived.append(path)
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.open or path in self.released, LIMIT)
            self.inside -= 1
        s.sendall(self.answer(request))
        return True

    def release(self, *paths):
        with self.lock:
            self.released.update(paths)
            self.lock.notify_all()

    def release_all(self):
        with self.lock:
            self.open = True
            self.lock.notify_all()


class Client(threading.Thread):
    def __init__(self, nginx, path, headers={}):
        super().__init__()
        self.nginx = nginx
        self.path = path
        self.headers = headers
        self.response = None  # stays so when the connection is cut
        self.start()

    def run(self):
        with contextlib.suppress(http.client.RemoteDisconnected):
            self.response = self.nginx.get(self.path, headers=self.headers)

    def result(self):
        self.join(LIMIT)
        assert not self.is_alive(), f"{self.path} was not answered"
        return self.response


class Rig:
    def __init__(self, home, queue, workers=1, http="", extra="", server="", main=""):
        self.backend = Backend()
        self.server = Server(home / "app.sock", self.backend)
        self.nginx = Nginx(home, f"{http} upstream app {{ server unix:{home}/app.sock; }}", f"""
            location / {{ forktail_pass app; forktail_queue {queue}; {extra} }}
            location = /status {{ forktail_queue_report; }}
            {server}
        """, workers, main=main)

    def __enter__(self):
        self.server.__enter__()
        self.nginx.__enter__()
        return self

    def __exit__(self, *args):
        self.backend.release_all()
        try:
            self.nginx.__exit__(*args)
        finally:
            self.server.__exit__(*args)

    def status(self):
        (zone,) = json.loads(self.nginx.get("/status").body).values()
        return zone

    def behind_one_that_leaves(self, path):
        """A client that waits behind another one, which then leaves."""
        leaver = self.nginx.connect()
        leaver.request("GET", "/gone")
        self.wait_for(waiting=1)
        last = self.client(path, waiting=2)
        leaver.close()
        self.wait_for(waiting=1, left=1)
        return last

    def wait_for(self, **expected):
        def check():
            status = self.status()
            return {k: status[k] for k in expected} == expected

        wait_for(check, f"{expected} in {self.status()}")

    def client(self, path, **expected):
        """Starts a request and waits until the queue is as expected."""
        client = Client(self.nginx, path)
        self.wait_for(**expected)
        return client


def queue_up(rig, count, start, **expected):
    return [rig.client(f"/{start + i}", **{k: v + i for k, v in expected.items()})
            for i in range(count)]
