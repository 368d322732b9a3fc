"""What the server's log costs: requests per second with it and without it.

    script/bench log_requests [--rounds 9] [--seconds 1] [--processes 4]

The same server and application four times, behind an nginx each, 64 connections:

    off      no line is written (disable-logging, log-level = error)
    line     each line is written at once, as JSON
    text     the same as text
    group    log-group = request

and two loads: hello (the server's own line for each request) and talk (five lines of the application
besides). They are loaded in turning order; the ratio of each round's neighbours is taken, and the median
of the ratios shown. "CPU us" is what nginx and the server spend on a request; a busy machine disturbs it
least. FORKTAIL_BUILD names the build tree (default: that of the release preset).
"""

import argparse
import sys
import tempfile
from pathlib import Path

from lib.behind_nginx import Machinery, build_app, forktail, in_turn, middle, ratio, wrk

VARIANTS = {
    "off": ("--disable-logging", "--log-level", "error"),
    "line": (),
    "text": ("--log-format", "text"),
    "group": ("--log-group", "request"),
}
LOADS = {"hello": "/", "talk": "/talk"}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        home = Path(home)
        build_app(Path(__file__).with_name("log_app.cc"), home / "app.so", "-lspdlog", "-lfmt")
        backends = {name: forktail(home / "app.so", home, name, options.processes, *words)
                    for name, words in VARIANTS.items()}
        with Machinery(home, backends, nginx_workers=1) as machinery:
            print(f"{'':6} {'':6} {'req/s':>8} {'p99 ms':>8} {'CPU us':>7} {'failed':>7}   against off: req/s, CPU")
            for load, path in LOADS.items():
                def client(port, path=path):
                    return wrk(port, path, 64, options.seconds)

                results = {name: [] for name in VARIANTS}
                for name in VARIANTS:
                    machinery.measure(name, client, options.seconds)  # warm
                for name in in_turn(list(VARIANTS), options.rounds):
                    results[name].append(machinery.measure(name, client, options.seconds))
                for name, rounds in results.items():
                    bad = sum(one["failed"] for one in rounds)
                    failed += bad
                    print(f"{load:6} {name:6} {middle(rounds, 'rps'):8.0f} {middle(rounds, 'p99'):8.2f} "
                          f"{middle(rounds, 'cpu'):7.1f} {bad:7}   "
                          f"{ratio(rounds, results['off'], 'rps'):5.2f} {ratio(rounds, results['off'], 'cpu'):5.2f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
