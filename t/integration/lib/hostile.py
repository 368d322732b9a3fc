"""The hostile application, t/integration/hostile_app: one path a misbehaviour."""

import subprocess
from typing import NamedTuple

from lib.app import ROOT
from lib.tools import need

SOURCES = ROOT / "t/integration/hostile_app"


class Misbehaviour(NamedTuple):
    path: str
    harm: str  # none, lasts, ends, hangs: hostile.h says what each means
    what: str


def library(build_dir, tmp_path_factory):
    """The build tree's, when it has one that is up to date; else one of our own, built as a user would."""
    sources = sorted(SOURCES.glob("*.cc"))
    built = build_dir / "t/integration/hostile_app/libhostile.so"
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if built.exists() and built.stat().st_mtime >= newest:
        return built
    path = tmp_path_factory.mktemp("hostile") / "libhostile.so"
    command = [need("g++"), "-std=c++20", "-shared", "-fPIC", f"-I{ROOT}/backend/include",
               *flags_of("spdlog", "--cflags"), *map(str, sources), "-o", str(path), *flags_of("spdlog", "--libs")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return path


def flags_of(package, which):
    return subprocess.check_output([need("pkg-config"), which, package], text=True).split()


def catalogue(server):
    """Asked of a server that runs the application."""
    lines = server.get("/catalogue").body.decode().splitlines()
    return [Misbehaviour(*line.split("\t")) for line in lines]
