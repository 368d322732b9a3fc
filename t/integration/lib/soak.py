"""What the parts of script/soak have in common: options, a folder, and how they end."""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path

from lib.app import ROOT
from lib.processes import MARKER, end_leftovers

SHOWN = 50


class Soak:
    """A part. run() does it and fills `problems`; figures() is what it has seen, to be printed."""

    def __init__(self, given, home):
        self.given, self.home, self.seed = given, home, given.seed
        self.build = Path(os.environ.get("FORKTAIL_BUILD", ROOT / "build/dev")).resolve()
        self.over = threading.Event()
        self.problems = []
        self.environment = {**os.environ, MARKER: uuid.uuid4().hex}

    def run(self):
        raise NotImplementedError

    def figures(self):
        raise NotImplementedError


def options_of(name, description, seconds):
    """Of the options that all parts have."""
    made = argparse.ArgumentParser(prog=f"script/soak {name}", description=description)
    made.add_argument("--seconds", type=float, default=seconds)
    made.add_argument("--seed", type=int, default=int(time.time()))
    made.add_argument("--keep", action="store_true", help="leave the folder, with the logs, in any case")
    return made


def carry_out(part, given):
    """Runs a class of Soak with what the parser has given. The exit code."""
    home = Path(tempfile.mkdtemp(prefix="forktail-soak-"))
    soak = part(given, home)
    print(*(f"{name} {value}" for name, value in sorted(vars(given).items())), f"in {home}", sep=", ", flush=True)
    try:
        soak.run()
    except AssertionError as error:
        soak.problems.append(str(error))
    finally:
        end_leftovers(soak.environment[MARKER], 0)
    print(json.dumps(soak.figures(), indent=1))
    for problem in soak.problems[:SHOWN]:
        print(f"WRONG: {problem}")
    if not soak.problems and not given.keep:
        shutil.rmtree(home)
    print(f"{len(soak.problems)} problems, see {home}" if soak.problems else "passed")
    return 1 if soak.problems else 0
