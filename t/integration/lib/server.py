"""One `forktail serve`."""

import os
import re
import signal
import subprocess

from lib import uwsgi
from lib.events import undocumented
from lib.logs import json_lines, sanitizer_reports, torn_lines
from lib.processes import children_of, is_alive
from lib.waiting import LIMIT, wait_for

READY = re.compile(r"worker (\d+) \(pid (\d+)\) ready$")


def arguments(options):
    """{"fork_mode": "lazy", "env": ["A=1", "B=2"], "trust_header_id": True} as a command line;
    None leaves an option away."""
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None:
            for one in value if isinstance(value, list) else [value]:
                words += [option, str(one)]
    return words


def refused(result, *words, code=2):
    """The program ended with this exit code, and its message has these words."""
    assert result.returncode == code, result
    for word in words:
        assert word in result.stderr, result.stderr


class Server:
    """Its working folder, `home`, has the socket (app.sock), the log (server.log), and what it
    writes to standard error (stderr)."""

    def __init__(self, binary, home, environment, options):
        self.binary = binary
        self.home = home
        self.environment = environment
        as_root = True if os.geteuid() == 0 and "uid" not in options else None
        self.options = {"socket": home / "app.sock", "logto": home / "server.log",
                        "allow_root": as_root, **options}
        self.process = None
        self.pass_fds = ()
        self.tls = None  # the context of clients of its TCP port `port`
        self.through = []  # a program that starts it, as ["prlimit", "--nofile=1024"]

    def command(self):
        return [*self.through, str(self.binary), "serve", *arguments(self.options)]

    def run(self, limit=LIMIT):
        """For a server that is not meant to come up: runs it to its end."""
        return subprocess.run(self.command(), cwd=self.home, env=self.environment, text=True,
                              capture_output=True, timeout=limit, check=False, pass_fds=self.pass_fds)

    def start(self, ready=True, quiet=False):
        """`quiet` is for a server whose log does not tell when it serves. It has a session of its own, and
        so no terminal."""
        with open(self.home / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(self.command(), cwd=self.home, env=self.environment,
                                            stdin=subprocess.DEVNULL, stderr=stderr, pass_fds=self.pass_fds,
                                            start_new_session=True)
        if ready:
            wait_for(lambda: self.is_ready(quiet), "server that serves")
        return self

    def is_ready(self, quiet):
        assert self.process.poll() is None, self.stderr() + self.log_text()
        return uwsgi.ping(self.dial()) and (quiet or "serves with" in self.log_text())

    def sockets(self):
        value = self.options["socket"] or []
        return [str(socket) for socket in (value if isinstance(value, list) else [value])]

    def dial(self, number=0):
        """The address of a socket as a client has it."""
        text = self.sockets()[number]
        if text.startswith("@"):
            return "\0" + text[1:]
        host, _, port = text.rpartition(":")
        return (host, int(port)) if host and "/" not in text else text

    # What it says.
    def stderr(self):
        path = self.home / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_text(self):
        path = self.home / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log(self, **fields):
        """The log's lines that have these fields."""
        return [line for line in json_lines(self.home / "server.log")
                if fields.items() <= line.items()]

    def wait_log(self, text, after=0, limit=LIMIT):
        """The first line with `text` in its message, past the first `after` lines."""

        def find():
            return next((line for line in self.log()[after:] if text in line["msg"]), None)

        return wait_for(find, f"log line with {text!r}", limit)

    def wait_lines(self, count=1, **fields):
        """As log(), once there are `count` of them."""
        wait_for(lambda: len(self.log(**fields)) >= count, f"{count} lines with {fields}")
        return self.log(**fields)

    # Its processes.
    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """The pids of the workers that are ready, by their ids."""
        found = {}
        for line in self.log():
            if ready := READY.search(line["msg"]):
                found[int(ready[1])] = int(ready[2])
        return {worker: pid for worker, pid in found.items() if is_alive(pid)}

    def template(self):
        tls = {line["of_pid"] for line in self.log(event="tls_process_ready")}
        (pid,) = set(filter(is_alive, children_of(self.pid))) - set(self.workers().values()) - tls
        return pid

    # What is done to it.
    def get(self, path="/", **extra):
        return uwsgi.request(self.dial(), path, **extra)

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, limit=LIMIT):
        """Returns the exit code."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.process.wait(limit)

    def end(self):
        """The fixture's last words: complaints about how the server ended."""
        complaints = []
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                complaints.append(f"the server did not end within {LIMIT} s of SIGTERM")
            if self.process.returncode != -signal.SIGKILL:
                complaints += [f"{socket} was left behind" for socket in self.sockets()
                               if "/" in socket and os.path.exists(socket)]
        for name in ("stderr", "server.log"):
            complaints += sanitizer_reports(self.home / name)
        if self.options.get("log_format") != "text" and (self.home / "server.log").exists():
            complaints += torn_lines(self.home / "server.log")
            complaints += undocumented(self.home / "server.log", self.process and self.process.pid)
        return complaints
