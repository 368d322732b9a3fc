"""What `forktail trace` and its kin do with a terminal: colour, width, and how far a long reading is."""

import os
import pty
import subprocess
import threading
from pathlib import Path

import pytest

from lib.waiting import LIMIT, wait_for

CRASH = Path(__file__).resolve().parents[1] / "story/endings/crash"
ID = (CRASH / "id").read_text().strip()


class Terminal:
    """A terminal of its own, and all that was written to it."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        self.text = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        try:
            while part := os.read(self.ours, 65536):
                self.text += part
        except OSError:  # nobody has it open any more
            pass

    def close(self):
        """What was written, when the last of its writers has ended."""
        os.close(self.theirs)
        self.reader.join(LIMIT)
        os.close(self.ours)
        return self.text.decode()


@pytest.fixture
def terminal():
    return Terminal()


@pytest.fixture
def plain(environment):
    return {**{name: value for name, value in environment.items() if name != "NO_COLOR"}, "TZ": "UTC", "TERM": "xterm"}


def trace(forktail, environment, **streams):
    subprocess.run([forktail, "trace", ID, "--logs", CRASH], env=environment, timeout=LIMIT, check=True,
                   stdin=subprocess.DEVNULL, **streams)


def test_a_terminal_gets_colour(forktail, plain, terminal):
    trace(forktail, plain, stdout=terminal.theirs, stderr=subprocess.DEVNULL)
    assert "\x1b[" in terminal.close()


def test_with_no_color_it_gets_none(forktail, plain, terminal):
    trace(forktail, {**plain, "NO_COLOR": "1"}, stdout=terminal.theirs, stderr=subprocess.DEVNULL)
    text = terminal.close()
    assert text.startswith("answered 502") and "\x1b" not in text


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_no_terminal_gets_neither_colour_nor_progress(forktail, plain, stream):
    result = subprocess.run([forktail, "trace", ID, "--logs", CRASH], env=plain, timeout=LIMIT, check=True,
                            capture_output=True, text=True)
    assert "\x1b" not in getattr(result, stream)


def feed(process, until):
    """Lines without end, until something has come of them."""
    block = b"a line of a log that holds no id, but is read for one all the same\n" * 16384
    fed = threading.Event()

    def write():
        try:
            while not fed.is_set():
                process.stdin.write(block)
            process.stdin.close()
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(until, "progress", 6 * LIMIT)
    finally:
        fed.set()
        writer.join(LIMIT)


@pytest.mark.parametrize("command", [["trace", "order-that-nobody-made"], ["verify"]])
def test_a_long_reading_tells_a_terminal_how_far_it_is_and_leaves_nothing_there(forktail, plain, terminal, command):
    process = subprocess.Popen([forktail, *command, "--logs", "-"], env=plain, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=terminal.theirs)
    try:
        feed(process, lambda: b"reading: " in terminal.text)
    finally:
        process.wait(6 * LIMIT)
    last = terminal.close().rpartition("reading: ")[2]
    assert " MB" in last and "\r\x1b[K" in last, "the line is taken away at the end"
