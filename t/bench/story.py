"""How quickly `forktail trace` finds a request, beside grep, ripgrep, hl and lnav where they are installed.

    script/bench story [GIGABYTES]     default 1; the logs of a day, of together so many, in TMPDIR

Wants a release build (build/release, or what FORKTAIL_BUILD names). Prints for each: seconds, seconds of CPU,
and for forktail with a cold cache what was read from the disk, in pages of 4 KiB.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1800


def forget(logs):
    """Drops the files, and nothing else, from the page cache."""
    for log in logs:
        descriptor = os.open(log, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def measure(command):
    """Seconds, CPU seconds, pages from the disk, largest memory in MB; and how many lines it has printed."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        output.seek(0)
        lines = output.read().count(b"\n")
    return (seconds, usage.ru_utime + usage.ru_stime, usage.ru_inblock * 512 // 4096, usage.ru_maxrss // 1024, lines)


def show(what, result):
    seconds, cpu, pages, megabytes, lines = result
    print(f"{what:<44} {seconds:9.3f} s {cpu:9.3f} s CPU {pages:8} pages {megabytes:5} MB {lines:5} lines", flush=True)


def main():
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    forktail = pathlib.Path(os.environ.get("FORKTAIL_BUILD", ROOT / "build/release")) / "backend/cli/forktail"
    if not forktail.exists():
        sys.exit(f"{forktail} is not built: cmake --preset release && cmake --build --preset release --target forktail")
    with tempfile.TemporaryDirectory() as folder:
        maker = pathlib.Path(folder) / "story_logs"
        subprocess.run(["g++", "-O2", "-std=c++20", "-o", maker, ROOT / "t/bench/story_logs.cc"], check=True)
        made = subprocess.run([maker, folder, str(size * 1e9)], check=True, capture_output=True, text=True, timeout=LIMIT)
        ours, foreign = made.stdout.split()
        logs = [pathlib.Path(folder) / name for name in ("access.json", "forktail.json", "error.log")]
        total = sum(log.stat().st_size for log in logs)
        print(f"{len(logs)} logs, {total / 1e9:.2f} GB, {os.cpu_count()} processors")
        trace = [forktail, "trace", "--zone", "UTC", "--logs", *logs, "--"]
        forget(logs)
        show("forktail trace, cold", measure([*trace, ours]))
        show("forktail trace, warm", measure([*trace, ours]))
        rivals = {"grep -F": ["grep", "-F", "-h"], "rg -F": ["rg", "-F", "-I", "--no-config"], "hl": ["hl", "-q"]}
        for name, words in rivals.items():
            if shutil.which(words[0]):
                command = [*words, "-e", ours, *logs] if name != "hl" else ["hl", "-q", f"request_id={ours}", *logs]
                measure(command)  # so that all of them find the logs in memory, where there is room
                show(name, measure(command))
        by_scan = {"forktail trace, an id without a time": [*trace, foreign]}
        if shutil.which("rg"):
            by_scan["rg -F, the same"] = ["rg", "-F", "-I", "--no-config", "-e", foreign, *logs]
        rounds = [{name: measure(command) for name, command in by_scan.items()} for _ in range(5)]  # in turn
        for name in by_scan:
            show(f"{name} (median)", sorted((one[name] for one in rounds), key=lambda result: result[1])[2])
        if shutil.which("lnav") and size <= 1:
            show("lnav :filter-in", measure(["lnav", "-n", "-c", f":filter-in {ours}", *logs]))
        show("forktail verify", measure([forktail, "verify", "--zone", "UTC", "--logs", *logs]))


main()
