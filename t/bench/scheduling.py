"""What the policy of the threads that serve costs and gives: `scheduling = batch` against `inherit`.

    script/bench scheduling [--rounds 7] [--seconds 2] [--processes 4] [--busy 0,2] [LOAD ...]

Two servers that differ in nothing else, behind an nginx worker each; loaded in turn, once with the machine to
themselves and once beside so many processes that never rest. Loads: hello64 and hello2 (wrk, so many
connections), and calm (an open loop of 500 requests a second, 5 % of which take 20 ms; the others' times are
shown). Medians of all rounds, and of each round's ratio of batch to inherit: neighbours in time drift together.
CPU is the time that nginx and the server spend on a request. Exit code 1 when a request failed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from lib.behind_nginx import Machinery, build_app, forktail, in_turn, middle, parse_options, ratio, run, wrk

HERE = Path(__file__).parent
POLICIES = ("batch", "inherit")
LOADS = ("hello64", "hello2", "calm")
KEYS = ("rps", "p50", "p90", "p99", "cpu")


def client(load, home, seconds):
    if load != "calm":
        return lambda port: wrk(port, "/", load.lstrip("helo"), seconds)

    def calm(port):
        p50, p90, p99, begun, failed = run([home / "load", port, 500, seconds]).split()
        return {"rps": int(begun) / seconds, "p50": float(p50), "p90": float(p90), "p99": float(p99),
                "failed": int(failed)}

    return calm


class Busy:
    """Processes that never rest."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.running = [subprocess.Popen(["timeout", "900", "sh", "-c", "while :; do :; done"])
                        for _ in range(self.count)]

    def __exit__(self, *_):
        for process in self.running:
            process.terminate()
            process.wait()


def show(load, busy, rounds):
    failed = 0
    for policy in POLICIES:
        numbers = " ".join(f"{middle(rounds[policy], key):9.2f}" for key in KEYS)
        failed += sum(one["failed"] for one in rounds[policy])
        print(f"{load:8} {busy:4}   {policy:8} {numbers}")
    ratios = " ".join(f"{ratio(rounds['batch'], rounds['inherit'], key):9.2f}" for key in KEYS)
    print(f"{load:8} {busy:4}   {'ratio':8} {ratios}", flush=True)
    return failed


def main():
    options = parse_options(__doc__, LOADS, 7, {"--processes": {"type": int, "default": 4},
                                                "--busy": {"default": "0,2"}})
    failed = 0
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        home = Path(home)
        build_app(HERE / "dispatch_app.cc", home / "app.so")
        run(["g++", "-std=c++20", "-O2", HERE / "dispatch_load.cc", "-o", home / "load"])
        servers = {policy: forktail(home / "app.so", home, policy, options.processes, "--scheduling", policy)
                   for policy in POLICIES}
        print(f"{'load':8} busy   {'policy':8}     req/s    p50 ms    p90 ms    p99 ms    CPU us")
        with Machinery(home, servers, "1") as machinery:
            for busy in map(int, options.busy.split(",")):
                for load in options.chosen:
                    rounds = {policy: [] for policy in POLICIES}
                    with Busy(busy):
                        for policy in in_turn(POLICIES, options.rounds):
                            rounds[policy].append(machinery.measure(policy, client(load, home, options.seconds),
                                                                    options.seconds))
                    failed += show(load, busy, rounds)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
