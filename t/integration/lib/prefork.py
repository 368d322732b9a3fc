"""Other people's prefork servers, from Debian's packages, each with an application that is clean or holds traps.

All run in the foreground, are ready when `started` returns, and end with the test.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import textwrap
import threading
from pathlib import Path

from lib.processes import children_of
from lib.tools import give_up, need
from lib.waiting import LIMIT, free_port, wait_for

CLEAN = '''
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %s\\n" % (os.getpid(), os.urandom(16).hex().encode())]
'''

# One of each kind that can be seen from outside, all made at load.
TRAPS = '''
import mmap, os, select, socket, tempfile, threading, time
connection = socket.create_connection(("127.0.0.1", int(os.environ["PEER_PORT"])))
by_path = socket.socket(socket.AF_UNIX)
by_path.connect(os.environ["PEER_PATH"])
log = open("trap.log", "w")
appended = open("appended.log", "a")
loop = select.epoll()
wake_up = os.eventfd(0)
pipe = os.pipe()
temporary = tempfile.TemporaryFile()
memory = mmap.mmap(os.open("memory", os.O_RDWR | os.O_CREAT), 0) if os.path.getsize("memory") else None
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
''' + CLEAN

# What a worker should have for itself: the markers that people try, and real randomness and time beside them.
MARKERS = '''
import itertools, json, os, random, time
loaded = time.time()
thing = object()
numbers = random.Random()
counter = itertools.count(1)
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "count": next(counter), "loaded": loaded, "address": hex(id(thing)),
                        "token": "%016x" % numbers.getrandbits(64), "now": time.time(),
                        "fresh": os.urandom(8).hex(), "version": "2.1.0"}).encode()]
'''

# opcache.preload runs this in the master. FFI is how it may call libraries, and leave open what they open.
PHP_TRAPS = '''<?php
$libc = FFI::cdef("int open(const char *, int, int); int epoll_create1(int); int socket(int, int, int);"
    . "int connect(int, const char *, unsigned);", "libc.so.6");
$libc->open("HOME/trap.log", 01101, 0644);
$libc->epoll_create1(0);
$libc->connect($libc->socket(2, 1, 0), pack("vnNx8", 2, PORT, 0x7f000001), 16);
'''


class Peer:
    """Accepts connections and keeps them, as a database would, on a port and on a unix socket."""

    def __init__(self, folder):
        self.kept = []
        self.listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
        self.port = self.listeners[0].getsockname()[1]
        self.path = str(folder / "peer.sock")
        self.listeners[1].bind(self.path)
        self.listeners[1].listen()
        self.threads = [threading.Thread(target=self.accept, args=(one,)) for one in self.listeners]
        for thread in self.threads:
            thread.start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                self.kept.append(listener.accept()[0])

    def end(self):
        for one in self.listeners:
            one.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for one in [*self.listeners, *self.kept]:
            one.close()


class Prefork:
    """Where servers are started: in a folder that the user they run as may use."""

    def __init__(self, environment):
        self.home = Path(tempfile.mkdtemp(prefix="prefork-"))
        self.home.chmod(0o755)
        self.peer = Peer(self.home)
        self.environment = {**environment, "PEER_PORT": str(self.peer.port), "PEER_PATH": self.peer.path}
        (self.home / "memory").write_bytes(b"\0" * 4096)
        self.user = "www-data" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.home, self.user)
        self.processes = []

    def start(self, *command, workers, address, environment=(), user=None):
        """Returns the master's pid when `workers` children are there and somebody listens."""
        with open(self.home / "output", "a") as output:
            process = subprocess.Popen(command, cwd=self.home, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, env={**self.environment, **dict(environment)},
                                       user=user, group=user, extra_groups=[] if user else None)
        self.processes.append(process)
        wait_for(lambda: process.poll() is not None
                 or (len(children_of(process.pid)) >= workers and listens(address)), command[0], 3 * LIMIT)
        assert process.poll() is None, (self.home / "output").read_text()
        return process.pid

    def application(self, source):
        (self.home / "app.py").write_text(source)

    def uwsgi(self, source, *options, workers=4):
        """Returns the master's pid and the socket to probe."""
        if not list(Path("/usr/lib/uwsgi/plugins").glob("python3*_plugin.so")):
            give_up("uWSGI's plugin for Python is not installed")
        self.application(source)
        path = self.home / f"uwsgi{len(self.processes)}.sock"
        pid = self.start(need("uwsgi"), "--plugin", "python3", "--socket", path, "--master", "--die-on-term",
                         "--enable-threads", "--processes", str(workers), "--wsgi-file", "app.py", *options,
                         workers=workers, address=path)
        return pid, str(path)

    def gunicorn(self, source, *options, workers=4):
        self.application(source)
        port = free_port()
        pid = self.start(need("gunicorn"), "-w", str(workers), "-b", f"127.0.0.1:{port}", *options,
                         "app:application", workers=workers, address=port)
        return pid, f"http://127.0.0.1:{port}"

    def preload_of_php(self, traps):
        if not traps:
            return ""
        text = PHP_TRAPS.replace("HOME", str(self.home)).replace("PORT", str(self.peer.port))
        (self.home / "preload.php").write_text(text)
        return str(self.home / "preload.php")

    def php_fpm(self, traps):
        found = sorted(Path("/usr/sbin").glob("php-fpm*"))
        if not found:
            give_up("php-fpm is not installed")
        path = self.home / "fpm.sock"
        (self.home / "fpm.conf").write_text(textwrap.dedent(f"""
            [global]
            error_log = {self.home}/fpm.log
            daemonize = no
            [www]
            listen = {path}
            pm = static
            pm.max_children = 3
        """))
        return self.start(found[-1], "-y", "fpm.conf", "-d", f"opcache.preload={self.preload_of_php(traps)}",
                          workers=3, address=path, user=self.user)

    def apache(self, traps, more=""):
        """Prefork, with a log of its own, one through a pipe, and PHP, in which the application is loaded."""
        modules = Path("/usr/lib/apache2/modules")
        php = sorted(modules.glob("libphp*.so"))
        if not php:
            give_up("Apache's module for PHP is not installed")
        port = free_port()
        (self.home / "apache.conf").write_text(f"""
            ServerRoot {self.home}
            ServerName localhost
            PidFile {self.home}/apache.pid
            DefaultRuntimeDir {self.home}
            ErrorLog {self.home}/error.log
            LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
            LoadModule authz_core_module {modules}/mod_authz_core.so
            LoadModule php_module {php[-1]}
            Listen 127.0.0.1:{port}
            StartServers 3
            {more}
            CustomLog {self.home}/access.log "%h %r"
            CustomLog "|/bin/cat" "%h %r"
        """)
        (self.home / "ini").mkdir(exist_ok=True)
        (self.home / "ini/preload.ini").write_text(f"opcache.preload={self.preload_of_php(traps)}\n")
        return self.start(need("apache2"), "-f", self.home / "apache.conf", "-DFOREGROUND", workers=4, address=port,
                          environment={"PHP_INI_SCAN_DIR": f":{self.home}/ini"}.items(), user=self.user)

    def apache_with_mutex(self, kind):
        """Returns the master's pid and the address to probe. Listens twice, so that a mutex decides who accepts."""
        port = free_port()
        (self.home / "pages").mkdir()
        (self.home / "pages/facts.php").write_text('<?php echo json_encode(["pid" => getmypid(), '
                                                   '"fresh" => bin2hex(random_bytes(8))]);')
        pid = self.apache(traps=False, more=f"""
            Listen 127.0.0.1:{port}
            Mutex {kind}:{self.home} mpm-accept
            MinSpareServers 3
            MaxSpareServers 10
            DocumentRoot {self.home}/pages
            <FilesMatch \\.php$>
                SetHandler application/x-httpd-php
            </FilesMatch>
        """)
        return pid, f"http://127.0.0.1:{port}"

    def puma(self, traps):
        port = free_port()
        at_load = f"""
            $connection = TCPSocket.new("127.0.0.1", {self.peer.port})
            $log = File.open("trap.log", "w")
            $thread = Thread.new {{ sleep }}
        """ if traps else ""
        (self.home / "puma.rb").write_text(f"""
            require "socket"
            workers 3
            threads 1, 2
            preload_app!
            bind "tcp://127.0.0.1:{port}"
            {at_load}
            app {{ |env| [200, {{"Content-Type" => "text/plain"}}, ["#{{Process.pid}}\\n"]] }}
        """)
        return self.start(need("puma"), "-C", "puma.rb", workers=3, address=port)

    def end(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(LIMIT)
        self.peer.end()
        shutil.rmtree(self.home, ignore_errors=True)


def listens(address):
    """`address` is a port of this machine, or a unix socket's path."""
    with socket.socket(socket.AF_INET if isinstance(address, int) else socket.AF_UNIX) as s:
        s.settimeout(LIMIT)
        return s.connect_ex(("127.0.0.1", address) if isinstance(address, int) else str(address)) == 0
