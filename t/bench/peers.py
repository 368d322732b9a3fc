"""forktail beside what else people put behind nginx.

    script/bench peers [--rounds 5] [--seconds 2] [--processes 4] [--json FILE] [--write] [LOAD ...]

Every server has the same application, as many processes, and an nginx of one worker of its own:

    forktail        forktail_pass with keepalive; request log on
    uwsgi           uwsgi_pass to uWSGI with the application in C (symcall); request log on
    uwsgi-python    uwsgi_pass to uWSGI with the application in Python; request log on
    gunicorn        proxy_pass to gunicorn; access log on
    gunicorn-uwsgi  uwsgi_pass to gunicorn's uwsgi protocol (version 25 or later); access log on
    fastcgi         fastcgi_pass with fastcgi_keep_conn to libfcgi; without a log
    beast           proxy_pass with keepalive to Boost.Beast; without a log
    h2o             the same to libh2o
    microhttpd      the same to GNU libmicrohttpd
    nginx           nothing: nginx answers by itself (`return 200`), the floor

Loads: hello64 and hello2 (wrk, so many connections), ms64 (requests of 1 ms), mixed (an open loop at 70 % of what the
workers can do, 5 % of the requests take 20 ms, in handlers that block, as an application's database call does; the
others' times are shown), bytes64 (64 KiB of answer), upload8 (1 MiB of request body) and tls64 (64 connections, over
TLS to the backend):

    forktail-tls      forktail_pass suwsgi:// with keepalive to tls-cert
    forktail-stream   the same to nginx's stream module, which passes to forktail's unix socket
    nginx-https       proxy_pass https:// with keepalive to an nginx that answers by itself, the floor

Only one server is loaded at a time, in turning order; shown are medians over the rounds. Machines drift, but
neighbours drift together: the ratio is the median of each round's ratio. The CPU time of a request is what a busy machine
disturbs least. What is not installed is left out, and said (script/setup --bench installs it). FORKTAIL_BUILD names
the build tree (default: that of the release preset). Exit code 1 when a bar is missed or forktail failed a request.

--json writes all numbers; --write renews docs/benchmarks.md and its plots.
"""

import datetime
import json
import sys
import tempfile
from pathlib import Path

from lib import fifo, peers_page
from lib.behind_nginx import Machinery, in_turn, middle, parse_options, ratio, run, wrk
from lib.peers_servers import build, servers

LOADS = ("hello64", "hello2", "ms64", "mixed", "bytes64", "upload8", "tls64")
SLOW_PART, SLOW_SECONDS, FAST_SECONDS = 0.05, 0.020, 0.00003
# load, what is compared, with whom (beside it nobody: with `forktail` itself), and what the ratio has to be
BARS = (
    ("hello64", "rps", "forktail", "uwsgi", "at least", 2.2),
    ("hello64", "p99", "forktail", "uwsgi", "at most", 0.6),
    ("hello64", "cpu", "forktail", "uwsgi", "at most", 0.45),
    ("hello64", "rps", "forktail", "best of C++", "at least", 1.4),
    ("hello2", "cpu", "forktail", "uwsgi", "at most", 0.75),
    ("mixed", "p99", "forktail", "uwsgi", "at most", 1.0),
    ("mixed", "p99", "forktail", "beast", "at most", 0.5),
    ("mixed", "p99", "forktail", "one queue", "at most", 1.25),
    ("tls64", "rps", "forktail-tls", "nginx-https", "at least", 0.8),
    ("tls64", "cpu", "forktail-tls", "nginx-https", "at most", 1.8),
)
CPP = ("beast", "h2o", "microhttpd")


def rate_of_mixed(processes):
    """70 % of what so many workers can do."""
    return 0.7 * processes / (SLOW_PART * SLOW_SECONDS + FAST_SECONDS)


def client(load, home, options):
    """What loads a port, as Machinery.measure() wants it."""
    if load == "mixed":
        def mixed(port):
            rate = f"{rate_of_mixed(options.processes):.0f}"
            p50, p90, p99, begun, failed = run([home / "load", port, rate, options.seconds]).split()
            return {"rps": int(begun) / options.seconds, "p50": float(p50), "p90": float(p90), "p99": float(p99),
                    "failed": int(failed)}

        return mixed
    path = {"ms64": "/sleep/1", "bytes64": "/bytes/65536"}.get(load, "/")
    script = ["-s", Path(__file__).parent / "peers/upload.lua"] if load == "upload8" else []
    connections = load.lstrip("abcdefghijklmnopqrstuvwxyz")
    return lambda port: wrk(port, path, connections, options.seconds, *script)


def measure(machinery, loads, options):
    """results[load][server]: what each round has shown."""
    results = {}
    for load in loads:
        names = [name for name, backend in machinery.backends.items() if load in backend.loads]
        if not names:
            continue
        load_it = client(load, machinery.home, options)
        results[load] = {name: [] for name in names}
        for name in names:
            machinery.measure(name, load_it, options.seconds)  # warm
        for name in in_turn(names, options.rounds):
            results[load][name].append(machinery.measure(name, load_it, options.seconds))
    return results


def summary(results, options):
    """The same shape, with medians, and the ratios of the load's first server to each other one."""
    shown = {}
    for load, by_name in results.items():
        ours = next(iter(by_name))
        shown[load] = {}
        for name, rounds in by_name.items():
            row = {key: middle(rounds, key) for key in ("rps", "p50", "p99", "cpu", "nginx")}
            row["failed"] = sum(one["failed"] for one in rounds)
            if name != ours:
                row["ratio"] = {key: ratio(by_name[ours], rounds, key) for key in ("rps", "p99", "cpu")}
            shown[load][name] = row
    if "mixed" in shown:
        shown["mixed"]["one queue"] = {
            "p99": fifo.fast_p99(options.processes, rate_of_mixed(options.processes), SLOW_PART, SLOW_SECONDS,
                                 FAST_SECONDS)}
    return shown


def judged(results, shown):
    """(text, met) for each bar whose servers were measured."""
    for load, key, ours, other, how, bar in BARS:
        rows = shown.get(load, {})
        if other == "best of C++":
            there = [name for name in CPP if name in rows]
            other = max(there, key=lambda name: rows[name]["rps"]) if there else other
        if ours not in rows or other not in rows:
            continue
        if other == "one queue":
            got = rows[ours][key] / rows[other][key]
        else:
            got = ratio(results[load][ours], results[load][other], key)
        yield f"{load} {key}: {got:.2f} of {other}'s, wanted {how} {bar}", (got >= bar) == (how == "at least")


def show(shown):
    for load, rows in shown.items():
        print(f"\n{load:15} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'nginx us':>8} {'failed':>7}   "
              f"{next(iter(rows))}'s ratio: req/s, p99, CPU")
        for name, row in rows.items():
            if "rps" not in row:
                print(f"{name:15} {'':8} {'':8} {row['p99']:8.2f}   (simulated)")
                continue
            ratios = " ".join(f"{row['ratio'][key]:6.2f}" for key in ("rps", "p99", "cpu")) if "ratio" in row else ""
            print(f"{name:15} {row['rps']:8.0f} {row['p50']:8.2f} {row['p99']:8.2f} {row['cpu']:8.1f} "
                  f"{row['nginx']:8.1f} {row['failed']:7}   {ratios}")


def main():
    options = parse_options(__doc__, LOADS, 5, {"--processes": {"type": int, "default": 4},
                                                "--json": {"metavar": "FILE"}, "--write": {"action": "store_true"}})
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        home = Path(home)
        missing = build(home)
        there = {name: one for name, one in servers(home, options.processes).items() if name not in missing}
        with Machinery(home, there, 1) as machinery:
            results = measure(machinery, options.chosen, options)
    shown = summary(results, options)
    show(shown)
    for name, why in missing.items():
        print(f"left out: {name}: {why}")
    verdicts = list(judged(results, shown))
    for text, met in verdicts:
        print(f"{'met' if met else 'MISSED':7} {text}")
    record = {"date": datetime.date.today().isoformat(), "machine": peers_page.machine(), "rounds": options.rounds,
              "seconds": options.seconds, "processes": options.processes, "left_out": missing, "loads": shown,
              "bars": [{"bar": text, "met": met} for text, met in verdicts]}
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
    if options.write:
        peers_page.write(record)
    failed = any(row.get("failed") for rows in shown.values() for name, row in rows.items()
                 if name.startswith("forktail"))
    return 1 if failed or not all(met for _, met in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
