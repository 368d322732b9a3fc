"""Applications that a test needs, compiled from their source as a user's would be."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path

from lib.tools import need

ROOT = Path(__file__).resolve().parents[3]


def compile_app(source, folder):
    """The shared object of `source`; compiled once for each different source."""
    path = Path(folder) / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        own = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")  # another process may compile the same
        command = [need("g++"), "-std=c++20", "-shared", "-fPIC", f"-I{ROOT}/backend/include",
                   *subprocess.check_output([need("pkg-config"), "--cflags", "spdlog"], text=True).split(),
                   "-x", "c++", "-", "-o", str(own)]
        result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        own.replace(path)
    return path
