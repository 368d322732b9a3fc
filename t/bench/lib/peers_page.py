"""docs/benchmarks.md between its marks, and the plots beside it, from what `script/bench peers` has measured."""

import os
import re
from pathlib import Path

from lib import svg
from lib.behind_nginx import NGINX, ROOT, run

PAGE = ROOT / "docs/benchmarks.md"
PLOTS = ROOT / "docs/benchmarks"
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"
OURS = ("forktail", "forktail-tls", "forktail-stream")
TITLES = {
    "hello64": "Hello, 64 connections",
    "hello2": "Hello, 2 connections",
    "ms64": "Requests of 1 ms, 64 connections",
    "mixed": "Open loop at 70 %, 5 % of the requests take 20 ms; of the others",
    "bytes64": "Answers of 64 KiB, 64 connections",
    "upload8": "Uploads of 1 MiB, 8 connections",
    "tls64": "Hello over TLS to the backend, 64 connections",
}


def machine():
    """What was measured on, as a reader wants to know it."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return {"processor": model[1] if model else os.uname().machine, "cores": len(os.sched_getaffinity(0)),
            "kernel": os.uname().release, "system": release[1] if release else "", "nginx": nginx_version()}


def nginx_version():
    return re.search(r"nginx/(\S+)", run(["sh", "-c", f"{NGINX} -v 2>&1"]))[1]


def table(rows):
    lines = ["| | requests/s | p50 ms | p99 ms | CPU us a request | of which nginx | its ratio: req/s, p99, CPU |",
             "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        if "rps" not in row:
            lines.append(f"| {name} (simulated) | | | {row['p99']:.2f} | | | |")
            continue
        ratios = ", ".join(f"{row['ratio'][key]:.2f}" for key in ("rps", "p99", "cpu")) if "ratio" in row else "1"
        lines.append(f"| {name} | {row['rps']:.0f} | {row['p50']:.2f} | {row['p99']:.2f} | {row['cpu']:.1f} | "
                     f"{row['nginx']:.1f} | {ratios} |")
    return "\n".join(lines)


def plot(load, rows):
    """The CPU time of a request; of the mixed load, which is not as fast as one can, the wait."""
    key, unit = ("p99", "ms") if load == "mixed" else ("cpu", "us")
    what = "99 % of the fast ones are answered within" if load == "mixed" else "CPU time of a request, nginx and server"
    chosen = [(name, row[key], f"{row[key]:.1f} {unit}") for name, row in rows.items()]
    name = f"{load}.svg"
    (PLOTS / name).write_text(svg.bars(f"{TITLES[load]}: {what}", sorted(chosen, key=lambda row: row[1]), OURS))
    return f"![{TITLES[load]}: {what}](benchmarks/{name})"


def write(record):
    PLOTS.mkdir(exist_ok=True)
    of = record["machine"]
    parts = [BEGIN, f"Measured on {record['date']}: {of['cores']} cores ({of['processor']}, which the client shares), "
             f"{of['system']}, Linux {of['kernel']}, nginx {of['nginx']}; {record['processes']} processes each, medians of "
             f"{record['rounds']} rounds of {record['seconds']} s."]
    for load, rows in record["loads"].items():
        parts += [f"### {TITLES[load]}", plot(load, rows), table(rows)]
    parts += ["### What was to be reached", "\n".join(["| | |", "|---|---|", *(
        f"| {one['bar']} | {'met' if one['met'] else '**missed**'} |" for one in record["bars"])])]
    if record["left_out"]:
        parts.append("Left out: " + "; ".join(f"{name} ({why})" for name, why in record["left_out"].items()) + ".")
    parts.append(END)
    page = PAGE.read_text() if PAGE.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + "\n\n".join(parts) + rest.split(END)[1])
