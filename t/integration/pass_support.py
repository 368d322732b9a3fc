"""An nginx with the module, and a uwsgi server that behaves as a test tells it to."""

import contextlib
import http.client
import os
import re
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = os.environ.get(
    "FORKTAIL_MODULE", str(ROOT / "build/dev/ngx_module/ngx_http_forktail_module.so"))
NGINX = os.environ.get("TEST_NGINX_BINARY", "/usr/sbin/nginx")
IMAGE_FILTER = Path("/usr/lib/nginx/modules/ngx_http_image_filter_module.so")  # of Debian's nginx
LIMIT = 10.0  # seconds that anything may take


def wait_for(condition, what, limit=LIMIT):
    end = time.monotonic() + limit
    while not (result := condition()):
        assert time.monotonic() < end, f"no {what} within {limit} s"
        time.sleep(0.002)
    return result


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def nginx_version():
    text = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(n) for n in re.search(r"/(\d+)\.(\d+)\.(\d+)", text).groups())


# What a response must say for its connection to be kept.
KEEP = "Connection: keep-alive\r\n"


class Nginx:
    """Runs until the end of its `with`, which fails when the error log has an alert in it."""

    def __init__(self, home, http, server, workers=1, expected=(), main=""):
        self.home = home
        self.port = free_port()
        self.workers = workers
        self.expected = expected  # patterns of alerts that the test provokes
        self.process = None
        self.write(http, server, main)

    def write(self, http, server, main=""):
        temp = "".join(
            f"{name}_temp_path {self.home}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi", "forktail"))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.home / "nginx.conf").write_text(f"""
            load_module {MODULE};
            {main}
            {user}
            daemon off;
            pid {self.home}/nginx.pid;
            error_log {self.home}/error.log info;
            worker_processes {self.workers};
            events {{ worker_connections 1024; }}
            http {{
                log_format pass '$uri $status $forktail_queue_time $pid';
                access_log {self.home}/access.log pass;
                {temp}
                {http}
                server {{
                    listen 127.0.0.1:{self.port} reuseport;
                    {server}
                }}
            }}
        """)

    def __enter__(self):
        (self.home / "error.log").write_text("")
        self.process = subprocess.Popen(
            [NGINX, "-p", str(self.home), "-c", "nginx.conf"], stderr=subprocess.PIPE)
        wait_for(self.accepts, "nginx")
        wait_for(lambda: len(self.worker_pids()) == self.workers, "all workers")
        return self

    def accepts(self):
        assert self.process.poll() is None, self.process.stderr.read()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, kind, *_):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stderr.close()
        if kind is None:
            bad = [line for line in self.errors().splitlines()
                   if re.search(r"\[(alert|emerg|crit)\]", line)
                   and not any(re.search(p, line) for p in self.expected)]
            assert not bad, bad

    def errors(self):
        return (self.home / "error.log").read_text()

    def access(self):
        return (self.home / "access.log").read_text().splitlines()

    def signal(self, number):
        self.process.send_signal(number)

    def worker_pids(self):
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in tasks.split()]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def get(self, path="/", method="GET", body=None, headers={}):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()


class Request:
    def __init__(self, variables, body, connection):
        self.variables = variables
        self.body = body
        self.connection = connection  # which of the server's connections, from 0

    def __getitem__(self, name):
        return self.variables[name]


def read_exactly(s, size):
    data = b""
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_request(s, connection, with_body=True):
    modifier, size, _ = struct.unpack("<BHB", read_exactly(s, 4))
    data = read_exactly(s, size)
    variables = {}
    while data:
        (n,) = struct.unpack_from("<H", data)
        (v,) = struct.unpack_from("<H", data, 2 + n)
        name = data[2:2 + n].decode()
        assert name not in variables, f"{name} came twice"
        variables[name] = data[4 + n:4 + n + v].decode("latin-1")
        data = data[4 + n + v:]
    assert modifier == 0
    length = int(variables["CONTENT_LENGTH"] or 0)
    body = read_exactly(s, length) if with_body else b""
    return Request(variables, body, connection)


class Server:
    """Accepts connections and calls `answer(socket, request)` for each packet, in a thread a
    connection, until that returns something true, which closes the connection."""

    def __init__(self, path, answer, with_body=True):
        self.path = str(path)
        self.answer = answer
        self.with_body = with_body
        self.requests = []
        self.connections = 0
        self.open = 0
        self.lock = threading.Lock()
        self.threads = []
        self.sockets = set()

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1024)
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join(LIMIT)
        self.listener.close()
        with self.lock:
            sockets = list(self.sockets)
        for s in sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        os.unlink(self.path)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                thread = threading.Thread(target=self.serve, args=(s, self.connections))
                with self.lock:
                    self.connections += 1
                    self.open += 1
                    self.sockets.add(s)
                self.threads.append(thread)
                thread.start()

    def serve(self, s, connection):
        with contextlib.suppress(EOFError, OSError):
            while True:
                request = read_request(s, connection, self.with_body)
                with self.lock:
                    self.requests.append(request)
                if self.answer(s, request):
                    break
        with self.lock:
            self.sockets.discard(s)
            self.open -= 1
        s.close()


def head(status, *headers, keep=KEEP):
    return (f"HTTP/1.1 {status}\r\n{keep}" + "".join(f"{h}\r\n" for h in headers) + "\r\n").encode()


def response(body=b"hello", status="200 OK", headers=(), keep=KEEP):
    """A response with a length, on a connection that is kept."""
    return head(status, f"Content-Length: {len(body)}", *headers, keep=keep) + body


def chunked(*parts, trailer=b"", headers=(), keep=KEEP):
    return (head("200 OK", "Transfer-Encoding: chunked", *headers, keep=keep)
            + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
            + b"0\r\n" + trailer + b"\r\n")
