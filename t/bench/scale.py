"""What grows with the number of workers and connections, and should not.

    script/bench scale [--rounds 3] [--seconds 2] [--json FILE] [PART ...]

    workers      64 clients, 4 to 256 workers, beside uWSGI (application in C) with as many: requests a second, p99,
                 CPU of a request, and of forktail the PSS of a worker
    connections  64 to 4,096 clients over as many kept connections, 16 workers
    new          64 clients and a new connection for each request, beside uWSGI, 4 workers
    calm         CPU of the server, in percent of one core, idle and at 100 requests a second
    reload       from the signal until the new generation serves, with an application of 100 MB in the three fork
                 modes, and from `ctl refork` until its workers serve

Behind an nginx of one worker; one server is loaded at a time; medians. FORKTAIL_BUILD names the build tree (default:
that of the release preset). Exit code 1 when a request failed or a bar is missed: p99 with 128 and 256 workers at most
0.5 of uWSGI's, the calm server at most 1 % of a core.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.behind_nginx import (BUILD, Backend, Machinery, build_app, cpu_seconds, forktail, in_turn, middle,
                              parse_options, ratio, run, socket_of, wrk)

HERE = Path(__file__).parent
WORKERS = (4, 16, 64, 128, 256)
CLIENTS = (64, 512, 4096)
P99_BAR, CALM_BAR = 0.5, 1.0


def uwsgi(home, name, processes):
    return Backend(
        ["uwsgi", "--plugin", "symcall", "--dlopen", home / "bench_uwsgi.so", "--symcall", "bench",
         "--socket", socket_of(home, name), "--listen", "4096", "--master", "--processes", processes,
         "--logto", home / f"{name}.log", "--chmod-socket=666", "--die-on-term"],
        "include /etc/nginx/uwsgi_params; uwsgi_pass backend; uwsgi_modifier1 18;", keepalive=False)  # fmt: skip


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pss_mb(pid):
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) / 1024


class Bench:
    def __init__(self, home, options):
        self.home, self.options = home, options
        self.rows, self.wrong = [], []

    def row(self, part, what, **numbers):
        self.rows.append({"part": part, "what": what, **numbers})
        shown = "   ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                           for key, value in numbers.items())
        print(f"{part:12} {what:28} {shown}", flush=True)
        if numbers.get("failed"):
            self.wrong.append(f"{part}, {what}: {numbers['failed']} requests failed")

    def loaded(self, servers, clients, connections=4096):
        """{name: what each round has shown}, and what `look(pid)` says of each server after it."""
        with Machinery(self.home, servers, 1, connections) as machinery:
            load = lambda port: wrk(port, "/", clients, self.options.seconds)  # noqa: E731
            for name in servers:
                machinery.measure(name, load, self.options.seconds)  # warm
            rounds = {name: [] for name in servers}
            for name in in_turn(list(servers), self.options.rounds):
                rounds[name].append(machinery.measure(name, load, self.options.seconds))
            pss = statistics.median(map(pss_mb, children(machinery.of["forktail"][1])))
        return rounds, pss

    def compared(self, part, what, servers, clients, **more):
        rounds, pss = self.loaded(servers, clients)
        for name, of in rounds.items():
            numbers = {"req/s": round(middle(of, "rps")), "p99 ms": middle(of, "p99"), "CPU us": middle(of, "cpu"),
                       "failed": sum(one["failed"] for one in of)}
            if name == "forktail":
                numbers["PSS MB a worker"] = pss
            self.row(part, f"{what}, {name}", **numbers, **more)
        return rounds

    def workers(self):
        for count in WORKERS:
            rounds = self.compared("workers", str(count), {
                "forktail": forktail(self.home / "app.so", self.home, "forktail", count),
                "uwsgi": uwsgi(self.home, "uwsgi", count)}, 64)
            got = ratio(rounds["forktail"], rounds["uwsgi"], "p99")
            self.row("workers", f"{count}, ratio", **{key: ratio(rounds["forktail"], rounds["uwsgi"], key)
                                                      for key in ("rps", "p99", "cpu")})
            if count >= 128 and got > P99_BAR:
                self.wrong.append(f"p99 with {count} workers is {got:.2f} of uWSGI's, wanted at most {P99_BAR}")

    def connections(self):
        for clients in CLIENTS:
            server = forktail(self.home / "app.so", self.home, "forktail", 16)
            server.connections = clients
            rounds, pss = self.loaded({"forktail": server}, clients, 2 * clients + 512)
            of = rounds["forktail"]
            self.row("connections", str(clients), **{
                "req/s": round(middle(of, "rps")), "p50 ms": middle(of, "p50"), "p99 ms": middle(of, "p99"),
                "CPU us": middle(of, "cpu"), "PSS MB a worker": pss, "failed": sum(one["failed"] for one in of)})

    def new(self):
        server = forktail(self.home / "app.so", self.home, "forktail", 4)
        server.keepalive = False
        rounds = self.compared("new", "4 workers", {"forktail": server, "uwsgi": uwsgi(self.home, "uwsgi", 4)}, 64)
        self.row("new", "4 workers, ratio", **{key: ratio(rounds["forktail"], rounds["uwsgi"], key)
                                               for key in ("rps", "p99", "cpu")})

    def calm(self):
        server = forktail(self.home / "app.so", self.home, "forktail", 4)
        with Machinery(self.home, {"forktail": server}, 1) as machinery:
            pid, port, seconds = machinery.of["forktail"][1], machinery.ports["forktail"], 5
            for what, load in (("idle", lambda: time.sleep(seconds)),
                               ("100 requests a second", lambda: run([self.home / "load", port, 100, seconds]))):
                before = cpu_seconds(pid)
                load()
                percent = (cpu_seconds(pid) - before) / seconds * 100
                self.row("calm", what, **{"% of a core": percent})
                if percent > CALM_BAR:
                    self.wrong.append(f"calm: {what}: {percent:.2f} % of a core, wanted at most {CALM_BAR}")

    def reload(self):
        for mode in ("preload", "lazy", "exec"):
            with Server(self.home, mode) as server:
                times = [server.until_new(lambda s=server: os.kill(s.process.pid, signal.SIGHUP))
                         for _ in range(self.options.rounds)]
                self.row("reload", mode, **{"ms until it serves": statistics.median(times)})
        with Server(self.home, "preload") as server:
            times = [server.until_new(lambda: server.ctl("refork")) for _ in range(self.options.rounds)]
            self.row("reload", "preload, refork", **{"ms until it serves": statistics.median(times)})


class Server:
    """`forktail serve` with the large application, without a web server."""

    def __init__(self, home, mode):
        self.log, self.control = home / f"{mode}.log", home / f"{mode}.ctl"
        root = ["--allow-root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [str(word) for word in (
                BUILD / "backend/cli/forktail", "serve", "--app", home / "large.so", "--socket", f"{home}/{mode}.sock",
                "--processes", 4, "--fork-mode", mode, "--logto", self.log, "--control", self.control, *root)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.served = 0

    def __enter__(self):
        self.wait()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(15)
        self.log.unlink()

    def ctl(self, *words):
        run([BUILD / "backend/cli/forktail", "ctl", "--control", self.control, *words])

    def wait(self):
        """Until one more generation serves than before."""
        end = time.monotonic() + 30
        while self.serving() <= self.served:
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"the server does not serve: {self.log.read_text()[-2000:]}")
            time.sleep(0.002)
        self.served = self.serving()

    def serving(self):
        """How many generations have said that they serve."""
        return len(re.findall(r"generation \d+ serves", self.log.read_text())) if self.log.exists() else 0

    def until_new(self, act):
        start = time.monotonic()
        act()
        self.wait()
        return (time.monotonic() - start) * 1000


PARTS = {"workers": Bench.workers, "connections": Bench.connections, "new": Bench.new, "calm": Bench.calm,
         "reload": Bench.reload}


def main():
    options = parse_options(__doc__, PARTS, 3, {"--json": {"metavar": "FILE"}}, "part")
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        home = Path(home)
        build_app(HERE / "dispatch_app.cc", home / "app.so")
        build_app(HERE / "scale_app.cc", home / "large.so")
        run(["gcc", "-O2", "-shared", "-fPIC", HERE / "dispatch_uwsgi.c", "-o", home / "bench_uwsgi.so"])
        run(["g++", "-std=c++20", "-O2", HERE / "dispatch_load.cc", "-o", home / "load"])
        bench = Bench(home, options)
        for part in options.chosen:
            PARTS[part](bench)
    for one in bench.wrong:
        print(f"MISSED  {one}")
    if options.json:
        Path(options.json).write_text(json.dumps(bench.rows, indent=1) + "\n")
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
