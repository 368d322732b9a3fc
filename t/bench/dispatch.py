"""How fast and how fair requests reach workers, against what else can stand behind nginx.

    script/bench dispatch [--rounds 5] [--seconds 2] [--processes 4] [--nginx-workers 1,2] [LOAD ...]

Three backends with as many workers each and the same application, behind an nginx each:

    forktail   forktail_pass with keepalive, request log on
    uwsgi      the stock uwsgi_pass, and uWSGI with the application in C (symcall), request log on
    stub       proxy_pass with keepalive, and a bare HTTP server that logs nothing

and four loads: hello64 and hello2 (wrk, so many connections), ms64 (requests of 1 ms), mixed (an open
loop at 70 % of what the workers can do, 5 % of the requests take 20 ms; the others' times are shown).
Only one backend is loaded at a time, in turning order; the ratio of each round's neighbours is taken, and
the median of the ratios shown, since machines drift but neighbours drift together. The CPU time of a
request is that of nginx and the backend; it is what a busy machine disturbs least. Exit code 1 when a bar
is missed or a request failed. FORKTAIL_BUILD names the build tree (default: that of the release preset).
"""

import sys
import tempfile
from pathlib import Path

from lib.behind_nginx import (Backend, Machinery, build_app, forktail, in_turn, middle, parse_options, ratio, run,
                              socket_of, wrk)

HERE = Path(__file__).parent
SERVERS = ("forktail", "uwsgi", "stub")
LOADS = ("hello64", "hello2", "ms64", "mixed")
# load, what is compared, with whom, and what the ratio has to be
BARS = (
    ("hello64", "rps", "uwsgi", "at least", 2.2),
    ("hello64", "p99", "uwsgi", "at most", 0.6),
    ("hello64", "rps", "stub", "at least", 0.85),
    ("hello2", "rps", "uwsgi", "at least", 1.4),
    ("mixed", "p99", "uwsgi", "at most", 1.0),
)


def build(home):
    """The applications, the stub and the open-loop client."""
    build_app(HERE / "dispatch_app.cc", home / "app.so")
    for command in (
        ["gcc", "-O2", "-shared", "-fPIC", HERE / "dispatch_uwsgi.c", "-o", home / "bench_uwsgi.so"],
        ["g++", "-std=c++20", "-O2", HERE / "dispatch_stub.cc", "-o", home / "stub"],
        ["g++", "-std=c++20", "-O2", HERE / "dispatch_load.cc", "-o", home / "load"],
    ):
        run(command)


def backends(home, processes):
    return {
        "forktail": forktail(home / "app.so", home, "forktail", processes),
        "uwsgi": Backend(
            ["uwsgi", "--plugin", "symcall", "--dlopen", home / "bench_uwsgi.so", "--symcall", "bench",
             "--socket", socket_of(home, "uwsgi"), "--listen", "4096", "--master", "--processes", processes,
             "--logto", home / "uwsgi.log", "--chmod-socket=666", "--die-on-term"],
            "include /etc/nginx/uwsgi_params; uwsgi_pass backend; uwsgi_modifier1 18;", keepalive=False),
        "stub": Backend(
            [home / "stub", socket_of(home, "stub"), processes],
            'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'),
    }  # fmt: skip


def client(load, home, processes, seconds):
    """What loads a port, as Machinery.measure() wants it."""
    if load == "mixed":
        rate = 0.7 * processes / (0.05 * 0.020 + 0.00003)

        def mixed(port):
            p50, _, p99, begun, failed = run([home / "load", port, f"{rate:.0f}", seconds]).split()
            return {"rps": int(begun) / seconds, "p50": float(p50), "p99": float(p99), "failed": int(failed)}

        return mixed
    path = "/sleep/1" if load.startswith("ms") else "/"
    return lambda port: wrk(port, path, load.lstrip("helomsx"), seconds)


def measure(machinery, loads, options):
    """results[load][server]: what each round has shown."""
    clients = {load: client(load, machinery.home, options.processes, options.seconds) for load in LOADS}
    results = {load: {name: [] for name in SERVERS} for load in loads}
    for name in SERVERS:
        machinery.measure(name, clients["hello64"], options.seconds)  # warm
    for load in loads:
        for name in in_turn(SERVERS, options.rounds):
            results[load][name].append(machinery.measure(name, clients[load], options.seconds))
    return results


def show(results, nginx_workers):
    """Prints the table; returns what went wrong."""
    print(f"\nnginx workers: {nginx_workers}")
    print(f"{'':9} {'':9} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>7} {'failed':>7}   "
          "forktail's ratio: req/s, p99, CPU")
    wrong = []
    for load, servers in results.items():
        for name, rounds in servers.items():
            failed = sum(one["failed"] for one in rounds)
            if failed:
                wrong.append(f"{load}: {name} failed {failed} requests")
            ratios = ""
            if name != "forktail":
                ratios = " ".join(f"{ratio(servers['forktail'], rounds, key):6.2f}" for key in ("rps", "p99", "cpu"))
            print(f"{load:9} {name:9} {middle(rounds, 'rps'):8.0f} {middle(rounds, 'p50'):8.2f} "
                  f"{middle(rounds, 'p99'):8.2f} {middle(rounds, 'cpu'):7.1f} {failed:7}   {ratios}")
    for load, key, other, how, bar in BARS:
        if load not in results:
            continue
        got = ratio(results[load]["forktail"], results[load][other], key)
        met = got >= bar if how == "at least" else got <= bar
        print(f"{'met' if met else 'MISSED':7} {load} {key}: {got:.2f} of {other}'s, wanted {how} {bar}")
        if not met:
            wrong.append(f"{load} {key}")
    return wrong


def main():
    options = parse_options(__doc__, LOADS, 5, {"--processes": {"type": int, "default": 4},
                                                "--nginx-workers": {"default": "1,2"}})
    wrong = []
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        home = Path(home)
        build(home)
        for workers in options.nginx_workers.split(","):
            with Machinery(home, backends(home, options.processes), workers) as machinery:
                results = measure(machinery, options.chosen, options)
            wrong += show(results, workers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
