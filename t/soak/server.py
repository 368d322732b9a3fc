"""A server whose application misbehaves, in a random way, for one request in fifty, while it is reloaded, reforked,
scaled, upgraded and reopened, and while somebody kills its workers and templates.

At the end it must serve; every request must have been answered or be named by its id in the log; no process, socket
or descriptor may be left; and no master may have grown. Everything that is random follows from --seed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "t/integration"))

from lib import hostile, uwsgi  # noqa: E402
from lib.logs import json_lines  # noqa: E402
from lib.processes import MARKER, children_of, end_leftovers, is_alive, marked  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.soak import Soak, carry_out, options_of  # noqa: E402
from lib.waiting import free_port, wait_for  # noqa: E402

EVERY = 50  # one request in so many misbehaves
CLIENTS = 6
WORKERS = 3
# What takes from the server by what it names the requests, or where clients reach it: tests of their own have these.
EXCEPT = ("/memory/scribble", "/memory/unmap", "/memory/truncate", "/descriptors/shutdown", "/descriptors/flood",
          # What the machine, not the server, would suffer from.
          "/memory/eat", "/memory/leak", "/memory/large-answer", "/fork/stay", "/fork/daemon", "/signals/wait",
          "/signals/alarm", "/process/session", "/end/stop",
          # What makes a copy stay that was to end at once: it ends with the server.
          "/hooks/stuck-atexit")
# After these a worker has no log, or no connections: what it says of itself can not be read, nor of what its other
# threads had in hand. So there are none of them with more than one thread.
MUTE = ("/descriptors/", "/process/file-size", "/process/cpu", "/stdio/", "/spdlog/", "/throw/in-begun-stream")
PATHS = ("/", "/", "/log", "/time/sleep?ms=3", "/time/slow-stream?pieces=2&ms=5")


class Peer:
    """A connection that is kept, with what may come on it: notices, whole answers, ends."""

    def __init__(self, address):
        self.socket = uwsgi.connect(address, timeout=20)
        self.data = b""

    def ask(self, path, request_id):
        """The status; None when the connection ended before a byte of an answer."""
        variables = uwsgi.variables(path, UWSGI_KEEP_CONN="1", REQUEST_ID=request_id)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(uwsgi.packet(variables))
        try:
            head = self.head()
        except ConnectionError:
            return None
        if head is None:
            return None
        response = uwsgi.Response(head + b"\r\n\r\n")
        self.body(response)
        self.stays = "close" not in response.all("Connection")
        return response.status

    def more(self):
        part = self.socket.recv(65536)
        self.data += part
        return part

    def head(self):
        while b"\r\n\r\n" not in self.data.lstrip(b"\r\n"):
            if not self.more():
                assert not self.data.strip(), f"cut: {self.data[:100]!r}"
                return None
        head, _, self.data = self.data.lstrip(b"\r\n").partition(b"\r\n\r\n")
        return head

    def body(self, response):
        if length := response.all("Content-Length"):
            end = int(length[0])
        elif response.all("Transfer-Encoding"):
            while b"0\r\n\r\n" not in self.data:
                assert self.more(), "a stream was cut"
            end = self.data.index(b"0\r\n\r\n") + 5
        else:
            while self.more():
                pass
            end = len(self.data)
        while len(self.data) < end:
            assert self.more(), "an answer was cut"
        self.data = self.data[end:]

    def close(self):
        self.socket.close()


class Client(threading.Thread):
    """Asks without a pause, over kept connections and new ones. `told` is what became of each request."""

    def __init__(self, soak, number):
        super().__init__()
        self.soak, self.number = soak, number
        self.chance = random.Random(f"{soak.seed}-{number}")
        self.told = {}  # id: (path, status or what went wrong)
        self.peer = None

    def run(self):
        count = 0
        while not self.soak.over.is_set():
            count += 1
            path = self.chance.choice(self.soak.misdeeds if self.chance.randrange(EVERY) == 0 else PATHS)
            request_id = f"soak-{self.soak.seed}-{self.number}-{count}"
            try:
                self.told[request_id] = (path, self.ask(path, request_id))
            except (OSError, AssertionError) as error:
                self.told[request_id] = (path, repr(error)[:120])
                self.leave()
        self.leave()

    def ask(self, path, request_id):
        address = self.soak.app.dial(self.chance.randrange(2))
        if self.peer is not None or self.chance.random() < 0.2:
            fresh = self.peer is None
            self.peer = self.peer or Peer(address)
            status = self.peer.ask(path, request_id)
            if status is None or not self.peer.stays:
                self.leave()
            if status is not None or fresh:
                return status
            # As a web server does: it may have been closed before the request came.
        return uwsgi.request(address, path, REQUEST_ID=request_id).status

    def leave(self):
        if self.peer is not None:
            self.peer.close()
            self.peer = None


class Supervisor(Soak):
    def __init__(self, given, home):
        super().__init__(given, home)
        self.binary = self.build / "backend/cli/forktail"
        self.chance = random.Random(given.seed)
        self.memory = {}  # of each master: samples, in kB
        self.done = Counter()

    # The server.

    def start(self):
        self.control = self.home / "control"
        options = {"app": hostile.library(self.build, Folders(self.home)), "processes": WORKERS,
                   "threads": self.given.threads, "fork_mode": self.given.fork_mode, "control": self.control, "pidfile": self.home / "pid",
                   "socket": [self.home / "app.sock", f"127.0.0.1:{free_port()}"], "harakiri": "1s",
                   "harakiri_grace": "500ms", "reload_mercy": "3s", "worker_reload_mercy": "3s", "start_timeout": "20s",
                   "reload_on_rss": "512"}
        self.app = Server(self.binary, self.home, self.environment, options)
        self.app.start()
        catalogue = hostile.catalogue(self.app)
        never = EXCEPT + (MUTE if self.given.threads > 1 else ())
        self.misdeeds = [one.path for one in catalogue if not one.path.startswith(never)]
        assert len(self.misdeeds) > 40, "the catalogue is too short"

    def master(self):
        return int((self.home / "pid").read_text())

    def ctl(self, *words, patience=60):
        result = subprocess.run([self.binary, "ctl", "-c", self.control, *words], text=True, capture_output=True,
                                timeout=patience, check=False)
        self.done[f"{words[0]}: {'done' if result.returncode == 0 else 'refused'}"] += 1
        return result

    def workers(self):
        return [pid for pid in children_of(self.master()) if is_alive(pid)]

    # What happens beside the requests.

    def kill_one(self):
        if alive := self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(alive), signal.SIGKILL)
                self.done["killed"] += 1

    def pause_one(self):
        if alive := self.workers():
            pid = self.chance.choice(alive)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.3)
                os.kill(pid, signal.SIGCONT)
                self.done["paused"] += 1

    def scale(self):
        """It waits for all workers to be there at once, and they die all the time."""
        try:
            self.ctl("scale", str(self.chance.randrange(1, 7)), patience=5)
        except subprocess.TimeoutExpired:
            self.done["scale: not yet reached"] += 1

    def disturb(self):
        orders = [lambda: self.ctl("reload"), self.scale,
                  lambda: self.ctl("reopen"), lambda: self.ctl("status"), self.kill_one, self.kill_one, self.pause_one]
        if self.given.fork_mode == "preload":
            orders.append(lambda: self.ctl("refork"))
        # In the first half only, so that the last master can be seen to stay as it is.
        if time.monotonic() < self.begun + self.given.seconds / 2:
            orders.append(lambda: self.ctl("upgrade"))
        self.chance.choice(orders)()

    def sample(self):
        with contextlib.suppress(OSError, ValueError):
            pid = self.master()
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            (size,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
            self.memory.setdefault(pid, []).append(size)

    def run(self):
        self.start()
        self.begun = time.monotonic()
        clients = [Client(self, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            while time.monotonic() < self.begun + self.given.seconds:
                self.disturb()
                self.sample()
                time.sleep(self.chance.random())
        finally:
            self.over.set()
            for client in clients:
                client.join()
        self.told = {}
        for client in clients:
            self.told.update(client.told)
        self.judge()

    # The judgement.

    def judge(self):
        self.judge_rest()
        self.judge_memory()
        self.judge_end()
        self.judge_requests()

    def judge_rest(self):
        """It is whole again, and has no more than it had in the beginning."""
        assert self.ctl("reload").returncode == 0, "no reload at the end"
        for _ in range(20):
            if self.app.get("/").status != 200:
                self.problems.append("it does not serve at the end")
        master = self.master()
        try:
            wait_for(lambda: len(self.workers()) == WORKERS + 1, f"{WORKERS} workers and a template at the end", 30)
            wait_for(lambda: set(marked(self.environment[MARKER])) == {master, *self.workers()},
                     "end of all other processes", 30)
        except AssertionError as error:
            self.problems.append(f"{error}: {marked(self.environment[MARKER])}")
        before = self.descriptors(master)
        self.ctl("reload")
        try:
            wait_for(lambda: self.descriptors(master) <= before + 2, "master without more descriptors", 30)
        except AssertionError as error:
            self.problems.append(f"{error}: {before} and then {self.descriptors(master)}")

    def descriptors(self, pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def judge_memory(self):
        for pid, sizes in self.memory.items():
            settled = sizes[len(sizes) // 3:]
            if len(settled) >= 6 and min(settled[-3:]) > min(settled[:3]) + 6 * 1024:
                self.problems.append(f"the master {pid} has grown: {settled} kB")

    def judge_end(self):
        master = self.master()
        result = self.ctl("stop")
        if result.returncode != 0:
            self.problems.append(f"stop: {result.stderr.strip()}")
        self.app.process.wait(30)
        try:
            wait_for(lambda: not is_alive(master), "end of the master", 30)
        except AssertionError as error:
            self.problems.append(str(error))
        if left := end_leftovers(self.environment[MARKER], 10):
            self.problems.append(f"processes were left: {left}")
        self.problems += [f"{name} was left" for name in ("app.sock", "control", "pid") if (self.home / name).exists()]

    def judge_requests(self):
        """One that was lost before its packet was there has a line without an id."""
        named = {}
        nameless = 0
        for line in json_lines(self.home / "server.log"):
            if request_id := line.get("request_id"):
                named.setdefault(request_id, set()).add(line.get("event"))
            elif line.get("event") == "lost" and line["state"] == "reading":
                nameless += 1
        for request_id, (path, outcome) in self.told.items():
            answered = isinstance(outcome, int)
            self.done["requests answered" if answered else "requests that got no answer"] += 1
            if answered and outcome not in (200, 404, 500):
                self.problems.append(f"{request_id}, {path}, was answered {outcome}")
            if answered or request_id in named or path.startswith(MUTE):
                continue
            nameless -= 1
            if nameless < 0:
                self.problems.append(f"{request_id}, {path}, got no answer and no line: {outcome}")

    def figures(self):
        memory = {f"kB of master {pid}, first, last, most": [sizes[0], sizes[-1], max(sizes)]
                  for pid, sizes in self.memory.items()}
        return {**dict(sorted(self.done.items())), **memory}


class Folders:
    """As much of pytest's as the library's builder needs."""

    def __init__(self, home):
        self.home = home

    def mktemp(self, name):
        (self.home / name).mkdir()
        return self.home / name


def main():
    parser = options_of("server", __doc__, 300)
    parser.add_argument("--fork-mode", choices=["preload", "lazy", "exec"], default="preload")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    return carry_out(Supervisor, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
