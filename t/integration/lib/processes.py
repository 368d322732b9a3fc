"""Which processes a test has started, found by a variable that they all inherit."""

import os
import signal
import time
from pathlib import Path

MARKER = "FORKTAIL_TEST_ID"


def marked(test_id):
    """The living processes that carry the test's marker, as pid: command line."""
    wanted = f"{MARKER}={test_id}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0") and is_alive(process.name):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(process.name)] = command.decode(errors="replace").strip()
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def state_of(pid):
    """The letter that ps shows; None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def is_alive(pid):
    return state_of(pid) not in (None, "Z", "X")


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def end_leftovers(test_id, patience=2.0):
    """Waits until no process of the test is left. Returns those that had to be killed."""
    end = time.monotonic() + patience
    while left := marked(test_id):
        if time.monotonic() > end:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return left
        time.sleep(0.01)
    return {}
