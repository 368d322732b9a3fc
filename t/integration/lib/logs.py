"""Readers of log files."""

import json
import re
from pathlib import Path

SANITIZER = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error: ")
START = b'{"ts":"'  # of a line of the server's; within a string its quotes would be escaped
NGINX_ID = re.compile(r', request_id: "([^"]*)"$')


def each_json_line(path):
    """Each line as a dict. A torn line, or one that is no JSON object, is an error."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            assert line.endswith(b"\n"), f"{path} ends within a line: {line[:300]!r}"
            try:
                parsed = json.loads(line)
            except ValueError:
                raise AssertionError(f"{path}:{number} is no JSON: {line[:300]!r}") from None
            assert isinstance(parsed, dict), f"{path}:{number} is no object: {line[:300]!r}"
            yield parsed


def json_lines(path):
    """The lines of a log that is still written to: a reader can see the half of the last one."""
    path = Path(path)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def torn_lines(path):
    """Those that are not one line of the server's from end to end; quick enough for any log."""
    with open(path, "rb") as lines:
        return [f"{path} has a torn line: {line[:300]!r}" for line in lines
                if not (line.startswith(START) and line.count(START) == 1 and line.endswith(b"}\n"))]


def sanitizer_reports(path):
    path = Path(path)
    text = path.read_text(errors="replace") if path.exists() else ""
    return [line for line in text.splitlines() if SANITIZER.search(line)]


def nginx_error_id(line):
    """The id that an error-log line ends in; None when it has none."""
    found = NGINX_ID.search(line)
    return found and found[1]
