"""What the table of events (backend/log/event_table.h) promises of each line of the server's."""

import functools
import json
import runpy

from lib.app import ROOT

# What lines have whatever they are about, by docs/logs.md.
EVERYWHERE = {"ts", "level", "request_id", "trace_id", "span_id", "pid", "tid", "worker", "gen", "seq", "src", "msg",
              "truncated", "event", "recovered"}


@functools.cache
def documented():
    """{event: (level, fields)}"""
    check = runpy.run_path(str(ROOT / "script/check-events"))
    return {name: (level, set(fields)) for _, events in check["sections"]() for name, level, _, fields in events}


def undocumented(path, master):
    """Complaints about lines that say other things than the table, and about those of the process `master`,
    which runs nobody else's code, that bear no event."""
    complaints = []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines):
            if b'"event":"request"' in line and number > 1000:
                continue  # of long logs the most
            try:
                complaints += complaints_about(json.loads(line), master)
            except ValueError:
                continue  # a torn line, which is another check's
    return sorted(set(complaints))


def complaints_about(line, master):
    event = line.get("event")
    if event is None:
        return [f"the master writes a line without an event: {line}"] if line["pid"] == master else []
    level, fields = documented().get(event, (None, set()))
    if level is None:
        return [f"the event {event} is not in backend/log/event_table.h"]
    strange = [name for name in line if name not in EVERYWHERE | fields]
    found = [f"the event {event} has the field {name}, which its row in event_table.h lacks" for name in strange]
    if line["level"] != level:
        found.append(f"the event {event} is written at {line['level']}, its row says {level}")
    return found
