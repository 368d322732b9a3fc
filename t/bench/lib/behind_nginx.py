"""Servers, each behind an nginx of its own, to be loaded in turn."""

import argparse
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("FORKTAIL_BUILD", ROOT / "build/release")).absolute()
NGINX = os.environ.get("TEST_NGINX_BINARY", "/usr/sbin/nginx")
TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi", "forktail")


class Backend:
    """What stands behind an nginx: its command, which listens at `address` (default: its unix socket), and how nginx
    passes to it. Without a command nginx itself answers. `connections`: how many an nginx worker keeps.
    `beside`: commands that run with it."""

    connections = 128
    beside = ()

    def __init__(self, command, location, module=False, keepalive=True, address=None):
        self.command = command
        self.location = location
        self.module = module
        self.keepalive = keepalive
        self.address = address


def forktail(app, home, name, processes, *options, socket=None):
    """`forktail serve` with an application."""
    if not (BUILD / "backend/cli/forktail").exists():
        sys.exit(f"{BUILD} has no built server: build the preset `release`, or name a build tree in FORKTAIL_BUILD")
    root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [BUILD / "backend/cli/forktail", "serve", "--app", app, "--socket", socket or socket_of(home, name),
               *root, "--processes", processes, "--logto", home / f"{name}.log", *options]
    return Backend(command, "forktail_pass backend;", module=True)


def socket_of(home, name):
    return f"{home}/{name}.sock"


def build_app(source, to, *libraries):
    """An application for `forktail serve`, compiled as a user's would be."""
    flags = run(["pkg-config", "--cflags", "spdlog"]).split() if libraries else []
    run(["g++", "-std=c++20", "-O2", "-shared", "-fPIC", f"-I{ROOT}/backend/include", *flags, source, "-o", to,
         *libraries])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write_nginx_conf(name, backend, home, port, workers, connections):
    module = BUILD / "ngx_module/ngx_http_forktail_module.so"
    keepalive = f"keepalive {backend.connections}; keepalive_requests 1000000000;" if backend.keepalive else ""
    temp_paths = " ".join(f"{one}_temp_path {home}/{name}_{one};" for one in TEMP_PATHS
                          if one != "forktail" or backend.module)
    (home / f"{name}.conf").write_text(f"""
        {f"load_module {module};" if backend.module else ""}
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off; worker_processes {workers}; pid {home}/{name}.pid; error_log {home}/{name}.error;
        events {{ worker_connections {connections}; }}
        http {{
            access_log {home}/{name}.access; keepalive_requests 1000000000; {temp_paths}
            client_max_body_size 2m;
            {"forktail on;" if backend.module else ""}
            upstream backend {{ server {backend.address or "unix:" + socket_of(home, name)} max_fails=0; {keepalive} }}
            server {{ listen 127.0.0.1:{port}; location / {{ {backend.location} }} }}
        }}
    """)


class Machinery:
    """All backends and their nginxes. They do nothing unless they are loaded."""

    def __init__(self, home, backends, nginx_workers, nginx_connections=4096):
        self.home, self.backends, self.nginx_workers = home, backends, nginx_workers
        self.nginx_connections = nginx_connections
        self.ports = {}
        self.running = []
        self.of = {}  # the backend and the nginx of each name

    def __enter__(self):
        try:
            for name, backend in self.backends.items():
                self.start(name, backend)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, name, backend):
        with open(self.home / f"{name}.stderr", "wb") as stderr:
            commands = [backend.command, *backend.beside] if backend.command else []
            backends = [self.spawn(command, stderr).pid for command in commands]
            port = self.ports[name] = free_port()
            write_nginx_conf(name, backend, self.home, port, self.nginx_workers, self.nginx_connections)
            nginx = self.spawn([NGINX, "-p", self.home, "-c", f"{self.home}/{name}.conf",
                                "-e", f"{self.home}/{name}.error"], stderr)
            self.of[name] = (nginx.pid, *backends)
        end = time.monotonic() + 10
        while not self.answers(port):
            if time.monotonic() > end:
                sys.exit(f"{name} does not answer: {(self.home / f'{name}.stderr').read_text()}")
            time.sleep(0.05)

    def spawn(self, command, stderr):
        self.running.append(subprocess.Popen([str(word) for word in command], stdout=stderr, stderr=stderr))
        return self.running[-1]

    @staticmethod
    def answers(port):
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"200 OK" in s.recv(4096)
        except OSError:
            return False

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.backends:  # or a long bench fills the disk
            for log in self.home.glob(f"{name}.*"):
                log.unlink()

    def measure(self, name, load, seconds):
        """What `load(port)` says of the backend, and "cpu": us a request, of nginx and backend; "nginx": of nginx."""
        before = [cpu_seconds(pid) for pid in self.of[name]]
        result = load(self.ports[name])
        spent = [cpu_seconds(pid) - so_far for pid, so_far in zip(self.of[name], before)]
        requests = max(result["rps"] * seconds, 1)
        return {**result, "cpu": sum(spent) / requests * 1e6, "nginx": spent[0] / requests * 1e6}


def wrk(port, path, clients, seconds, *options):
    """{"rps", "p50", "p90" and "p99" in ms, "failed"}"""
    out = run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", *options, f"http://127.0.0.1:{port}{path}"])
    failed = sum(int(number) for number in re.findall(r"Non-2xx.*: (\d+)", out))
    if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out):
        failed += sum(map(int, errors.groups()))
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        "p50": milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", out)[1]),
        "p90": milliseconds(re.search(r"(?m)^\s+90%\s+(\S+)", out)[1]),
        "p99": milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", out)[1]),
        "failed": failed,
    }


def cpu_seconds(pid):
    """What a process and its children have used so far."""
    family = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return sum(int(task.read_text().split()[0]) for member in family
               for task in Path(f"/proc/{member}/task").glob("*/schedstat")) / 1e9


def run(command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def parse_options(usage, known, rounds, more=None, what="load"):
    """The options that these benches have in common and `more` ({"--json": settings}); `chosen`: which of `known` are
    to run, all when none is named."""
    parser = argparse.ArgumentParser(usage=usage.replace("%", "%%"))
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=int, default=2)
    for name, settings in (more or {}).items():
        parser.add_argument(name, **settings)
    parser.add_argument("chosen", nargs="*", metavar=what.upper())
    options = parser.parse_args()
    if unknown := set(options.chosen) - set(known):
        parser.error(f"no {what} {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    options.chosen = options.chosen or list(known)
    return options


def in_turn(names, rounds):
    """Each name once a round, in an order that turns."""
    for turn in range(rounds):
        for step in range(len(names)):
            yield names[(turn + step) % len(names)]


def ratio(ours, theirs, key):
    """The median over the rounds of ours to theirs: machines drift, but neighbours drift together."""
    return statistics.median(one[key] / other[key] if other[key] else math.inf for one, other in zip(ours, theirs))


def middle(rounds, key):
    return statistics.median(one[key] for one in rounds)
