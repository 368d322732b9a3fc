"""The blocks of the pages: what a reader copies, and what he is shown."""

import json
import re
from dataclasses import dataclass

from lib.app import ROOT

# Of a log line, what differs from run to run whatever happens.
VOLATILE = {"ts", "msec", "request_id", "pid", "tid", "seq", "connection", "worker", "gen", "of_worker", "of_pid",
            "lost_worker", "lost_pid", "random", "load_pid", "pthread_self", "stuck_tid"}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str  # of a fenced one
    text: str
    mark: str  # what a comment in the line before it says

    @property
    def first(self):
        return self.text.split("\n", 1)[0]

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """README.md, CONTRIBUTING.md and the like, and docs/."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks_of(path):
    """Fenced, or indented by four blanks behind an empty line."""
    lines = [*path.read_text().splitlines(), ""]
    name = str(path.relative_to(ROOT))
    start = fence = None
    for number, line in enumerate(lines):
        if start is None:
            if line.startswith("```"):
                start, fence = number + 1, line[3:]
            elif line.startswith("    ") and number and not lines[number - 1].strip():
                start, fence = number, None
        elif line == "```" if fence is not None else line.strip() and not line.startswith("    "):
            yield block(name, fence, lines, start, number)
            start = None
    if start is not None:
        yield block(name, fence, lines, start, len(lines))


def block(name, fence, lines, start, end):
    text = "\n".join(line if fence is not None else line[4:] for line in lines[start:end])
    above = next((line for line in reversed(lines[:start - (fence is not None)]) if line.strip()), "")
    mark = re.fullmatch(r"<!-- (.*) -->", above)
    return Block(name, start + 1, fence or "", text.rstrip(), mark[1] if mark else "")


def blocks():
    return [one for path in pages() for one in blocks_of(path)]


def commands(session):
    """[(command, the output that is shown)] of a block with `$ ` before its commands."""
    found = []
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif found[-1][0].endswith("\\"):
            found[-1][0] += "\n" + line
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(output).strip("\n")) for command, output in found]


def shape(text):
    """What is the same in each run: ids, times, pids, addresses and lengths are not, nor is the room that they take."""
    lines = [json_shape(line) if line.startswith("{") and line.endswith("}") else text_shape(line)
             for line in text.splitlines()]
    return [line for line in lines if line]


def json_shape(line):
    try:
        pairs = json.loads(line, object_pairs_hook=list)
    except ValueError:
        return text_shape(line)
    return " ".join(f"{name}={'*' if name in VOLATILE or isinstance(value, float) else text_shape(str(value))}"
                    for name, value in pairs)


def text_shape(line):
    line = re.sub(r"\b[0-9a-f]{32}\b", "ID", line)
    line = re.sub(r"0x[0-9a-f]+", "ADDRESS", line)
    line = re.sub(r"\b\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|\b20\d\d-\d\d-\d\d[T ][\d:.]+(?:Z|\+00:00)?", "TIME", line)
    line = re.sub(r"\b20\d\d/\d\d/\d\d [\d:]+|\b\d\d/\w{3}/20\d\d(:\d\d){3} \+0000", "TIME", line)
    line = re.sub(r"\d+#\d+: \*\d+", "N", line)
    line = re.sub(r"\bpid( \d+)+", "pid N", line)
    line = re.sub(r"\b((?:of_|lost_)?(?:pid|worker)|tid|port|master|pthread_self|load_pid|random|descriptor|fd)([ :=]+)\d+", r"\1\2N", line)
    line = re.sub(r"(?<![\w.])[~+]*\d+\.\d+(?![\w.])|\b\d{4,}\b|\(\d+ ms\)|[~+]+\d+\b", "N", line)
    line = re.sub(r"\b\d+/\d+ (?=-|w\d)", "N/N ", line)
    line = re.sub(r"(?<= )#\d+\b", "#N", line)
    line = re.sub(r"nginx/[\d.]+", "nginx/N", line)
    line = re.sub(r"█+", "█", line)
    return re.sub(r"\s+", " ", line).strip()


def missing(shown, printed, ordered=True):
    """What of the output that a page shows was not printed, in that order; `...` stands for anything."""
    rest = shape(printed)
    for line in shape(shown):
        if line == "...":
            continue
        pattern = re.escape(line).replace(r"\.\.\.", ".*")
        at = next((n for n, one in enumerate(rest) if re.fullmatch(pattern, one)), None)
        if at is None:
            return line
        rest = rest[at + 1:] if ordered else rest[:at] + rest[at + 1:]
    return None


def block_that_begins(page, text, has=""):
    return next(one for one in blocks_of(ROOT / page) if one.text.startswith(text) and has in one.text)
