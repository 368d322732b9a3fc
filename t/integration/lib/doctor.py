"""`forktail doctor`, and the applications that it is tried on: t/integration/doctor_app."""

import json
import re
import subprocess

from lib.app import ROOT

SOURCES = ROOT / "t/integration/doctor_app"


class Doctor:
    """Runs in a folder of its own, which the applications write to."""

    def __init__(self, forktail, build_dir, home, environment):
        self.forktail = forktail
        self.apps = build_dir / "t/integration/doctor_app"
        self.home = home
        self.environment = {**environment, "TMPDIR": str(home)}

    def app(self, name):
        path = self.apps / f"{name}.so"
        assert path.exists(), f"{path} is not built: build the target doctor_apps"
        return path

    def run(self, *arguments, limit=90, **environment):
        return subprocess.run([str(self.forktail), "doctor", *map(str, arguments)], cwd=self.home, text=True,
                              env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=limit, check=False)

    def examine(self, app, *arguments, **environment):
        """The report of --json."""
        result = self.run("--app", self.app(app) if isinstance(app, str) else app, "--json", *arguments, **environment)
        assert result.stdout, result
        report = json.loads(result.stdout)
        assert report["exit_code"] == result.returncode, result
        return report

    def left(self):
        """What it has left in its folder for temporary files."""
        return list(self.home.glob("forktail-doctor-*"))


def line_made(source, function):
    """The line of `function` that makes the trap."""
    lines = (SOURCES / source).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if re.search(rf"\b{function}\(", line))
    return next(i for i in range(start, len(lines)) if "// made here" in lines[i]) + 1
