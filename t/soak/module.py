"""nginx with all its neighbours, two backends, one of which misbehaves, and clients that ask for everything at once,
leave in the middle and send what is none, while nginx is reloaded with other queues.

At the end no worker may have ended on a signal, no request may be left in a queue, no connection in nginx, and each
answer that was read must have had one id. Everything that is random follows from --seed."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "t/integration"))

import pass_support  # noqa: E402
from lib.nginx import TEMP_PATHS  # noqa: E402
from lib.processes import children_of  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.soak import Soak, carry_out, options_of  # noqa: E402
from lib.waiting import free_port, wait_for  # noqa: E402
from pass_support import chunked, head, response  # noqa: E402

CLIENTS = 6
PATIENCE = 30  # seconds that the end of anything may take
MODULES = Path("/usr/lib/nginx/modules")
BEFORE = ("ndk_http", "ngx_http_echo")  # ours stands in their midst, as an alphabet would have it
AFTER = ("ngx_http_headers_more_filter", "ngx_http_js", "ngx_http_lua", "ngx_http_subs_filter")

SCRIPT = """
async function capture(r) {
  let a = await r.subrequest('/odd/js');
  r.return(200, String(a.status) + r.variables.forktail_id);
}
function redirect(r) { r.internalRedirect('/odd/js'); }
function filter(r) { delete r.headersOut['X-Request-ID']; r.headersOut['X-Other'] = '1'; }
export default {capture, redirect, filter};
"""

LOCATIONS = """
location / { forktail_pass app; }
location /odd { forktail_pass odd; %(odd)s }
location /unbuffered { forktail_pass odd; %(odd)s forktail_buffering off; forktail_request_buffering off; }
location /named { forktail_pass $target; }
location /stock { include %(root)s/conf/nginx/forktail_uwsgi_params; uwsgi_pass odd; }
location /auth { auth_request /allowed; forktail_pass app; }
location = /allowed { internal; forktail_pass odd; %(odd)s forktail_pass_request_body off; }
location /mirror { mirror /copy; forktail_pass app; }
location = /copy { internal; forktail_pass odd; %(odd)s }
location /errors { forktail_pass odd; %(odd)s forktail_intercept_errors on; error_page 404 500 502 503 504 = /inner; }
location /after { forktail_pass odd; %(odd)s post_action /posted; }
location = /posted { forktail_pass odd; %(odd)s }
location /after/stock { forktail_pass odd; %(odd)s post_action /posted/stock; }
location = /posted/stock { uwsgi_pass odd; include %(root)s/conf/nginx/forktail_uwsgi_params; }
location = /inner { internal; forktail_pass app; }
location = /page { ssi on; root %(home)s; try_files /page.html =404; }
location /ignore { forktail_pass odd; %(odd)s forktail_ignore_client_abort on; }
location /rate { forktail_pass odd; %(odd)s forktail_limit_rate 500k; }
location = /report { access_log off; forktail_queue_report; }
location = /stub { access_log off; stub_status; }
"""

# Beside Debian's packages of other modules.
NEIGHBOURS = """
location /lua/capture { content_by_lua_block {
    local a, b = ngx.location.capture_multi({{"/odd/lua"}, {"/lua"}}) ngx.say(a.status, b.status) } }
location /lua/abort { lua_check_client_abort on; content_by_lua_block {
    ngx.location.capture("/odd/lua") ngx.sleep(0.01) ngx.say(ngx.var.forktail_id) } }
location /lua/exec { access_by_lua_block { ngx.sleep(0.002) ngx.exec("/odd/lua") } echo never; }
location /lua/clear {
    rewrite_by_lua_block {
        for name in pairs(ngx.req.get_headers()) do ngx.req.clear_header(name) end
        for i = 1, 20 do ngx.req.set_header("X-" .. i, i) end }
    forktail_pass odd; %(odd)s }
location /lua/body { access_by_lua_block { ngx.req.read_body() } forktail_pass app; }
location /lua/filter {
    header_filter_by_lua_block { ngx.header["X-Request-ID"] = nil ngx.header.content_length = nil }
    body_filter_by_lua_block { ngx.arg[1] = string.upper(ngx.arg[1] or "") }
    forktail_pass odd; %(odd)s }
location /lua/fail { content_by_lua_block { error("on purpose") } }
location /more {
    more_clear_input_headers 'X-*' traceparent tracestate;
    more_set_input_headers 'X-One: 1' 'X-Two: 2' 'X-Three: 3' 'X-Request-ID: other-1234';
    more_set_headers 'X-Request-ID: other-5678';
    forktail_pass app; }
location /echo/all { echo $forktail_id; echo_location /odd/echo; echo_location_async /echo; echo_sleep 0.002; }
location /echo/exec { echo_exec /odd/echo; }
location /js/capture { js_content main.capture; }
location /js/redirect { js_content main.redirect; }
location /js/filter { js_header_filter main.filter; forktail_pass app; }
location /subs { subs_filter_types *; subs_filter a bb; forktail_pass odd; %(odd)s }
"""


class Odd:
    """A uwsgi server that answers as it likes."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.ways = [self.plain] * 8 + [self.slow, self.chunks, self.large, self.error, self.other_place, self.interim,
                                        self.until_the_end, self.silent, self.cut, self.noise, self.too_much]

    def __call__(self, s, request):
        if "HTTP_UPGRADE" in request.variables and self.chance.random() < 0.5:
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
            s.sendall(s.recv(1000))
            return True
        return self.chance.choice(self.ways)(s)

    def plain(self, s):
        s.sendall(response(b"a" * self.chance.randrange(2000)))

    def slow(self, s):
        time.sleep(self.chance.random() / 10)
        self.plain(s)

    def chunks(self, s):
        s.sendall(chunked(*[b"a" * self.chance.randrange(1, 3000) for _ in range(self.chance.randrange(1, 9))]))

    def large(self, s):
        s.sendall(response(b"a" * self.chance.randrange(1 << 20)))

    def error(self, s):
        s.sendall(response(b"no", status=self.chance.choice(["404 Not Found", "500 Oops", "503 Busy"])))

    def other_place(self, s):
        s.sendall(response(headers=[f"X-Accel-Redirect: {self.chance.choice(['/inner', '/odd/accel'])}"]))

    def interim(self, s):
        s.sendall(head("103 Early Hints", "Link: </a>", keep="") * self.chance.randrange(1, 200))
        self.plain(s)

    def until_the_end(self, s):
        s.sendall(b"Status: 200 OK\r\n\r\n" + b"a" * self.chance.randrange(100_000))
        return True

    def silent(self, _):
        return True

    def cut(self, s):
        whole = self.chance.choice([response(b"a" * 5000), chunked(b"a" * 5000), b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"])
        s.sendall(whole[:self.chance.randrange(len(whole))])
        return True

    def noise(self, s):
        s.sendall(self.chance.randbytes(self.chance.randrange(1, 500)))
        return True

    def too_much(self, s):
        s.sendall(response() + b"\r\n" * self.chance.randrange(2) + b"HTTP/1.1")
        return True


class Backend(pass_support.Server):
    def serve(self, s, connection):
        # nginx reads what comes through a tunnel into the memory of the request's headers. What stock uwsgi_pass then
        # makes of that for a post_action is no packet, and no concern of this test.
        with contextlib.suppress(ValueError):
            return super().serve(s, connection)
        with self.lock:
            self.sockets.discard(s)
            self.open -= 1
        s.close()


class Client(threading.Thread):
    """Asks without a pause, a connection each time."""

    def __init__(self, soak, number):
        super().__init__()
        self.soak = soak
        self.chance = random.Random(f"{soak.seed}-{number}")
        self.seen = Counter()
        self.wrong = []

    def run(self):
        kinds = [self.whole] * 12 + [self.leave] * 4 + [self.pipeline, self.noise, self.old]
        while not self.soak.over.is_set():
            kind = self.chance.choice(kinds)
            try:
                with socket.create_connection(("127.0.0.1", self.soak.port), timeout=PATIENCE) as s:
                    kind(s)
            except TimeoutError:
                self.wrong.append(f"no end of an answer within {PATIENCE} s ({kind.__name__})")
            except OSError as error:
                self.seen[type(error).__name__] += 1

    def request(self, close=True):
        chance = self.chance
        path = chance.choice(self.soak.paths)
        headers = [f"X-Request-ID: {chance.choice(['client-1234', '', 'x' * 200])}"] * chance.randrange(3)
        headers += ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] * chance.randrange(2)
        headers += [f"X-{n}: {'v' * n}" for n in range(chance.choice([0, 0, 0, 3, 40]))]
        headers += ["Upgrade: echo"] * (chance.random() < 0.1) + ["Range: bytes=1-5"] * (chance.random() < 0.1)
        headers += ["Connection: close"] * close
        body = b"b" * chance.choice([1, 10, 5000, 70_000, 500_000])
        method = chance.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH"])
        if method in ("GET", "HEAD"):
            body = b""
        elif chance.random() < 0.3:
            headers.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            headers.append(f"Content-Length: {len(body)}")
        lines = [f"{method} {path}?to={chance.choice(['app', 'odd', 'nobody'])} HTTP/1.1", "Host: a", *headers, "", ""]
        return "\r\n".join(lines).encode() + body

    def whole(self, s):
        s.sendall(self.request())
        self.read(s)

    def read(self, s):
        data = b""
        while part := s.recv(65536):
            data = data + part if len(data) < 65536 else data
        if not data.startswith(b"HTTP/1."):
            self.seen["nothing" if not data else "HTTP/0.9"] += 1
            return
        first = data.partition(b"\r\n\r\n")[0].decode("latin-1")
        status = first[9:12]
        self.seen[status] += 1
        ids = re.findall(r"(?im)^X-Request-ID: (.*)$", first)
        if len(ids) != 1 or len(ids[0].strip()) < 8:
            self.wrong.append(f"an answer with the ids {ids}: {first!r}")

    def leave(self, s):
        """In the middle of the request, of the wait, or of the answer; by an end or by a reset."""
        data = self.request()
        s.sendall(data[:self.chance.choice([len(data), self.chance.randrange(len(data))])])
        time.sleep(self.chance.random() / 20)
        if self.chance.random() < 0.5:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.seen["left"] += 1

    def pipeline(self, s):
        s.sendall(b"".join(self.request(close=False) for _ in range(3)) + self.request())
        self.read(s)

    def noise(self, s):
        s.sendall(self.chance.choice([b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01" * 50, b"GET /\r\n",
                                      b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", self.chance.randbytes(300)]))
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
        self.seen["noise"] += 1

    def old(self, s):
        path = self.chance.choice(self.soak.paths)
        s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self.read(s)


class Module(Soak):
    def __init__(self, given, home):
        super().__init__(given, home)
        self.seen = Counter()
        self.report = {}
        self.reloads = 0
        self.port = free_port()
        self.beside = [f"{MODULES}/{name}_module.so" for name in (*BEFORE, *AFTER)]
        self.with_neighbours = pass_support.NGINX == "/usr/sbin/nginx"
        self.workers = 2

    # nginx.

    def write_conf(self):
        """Every other one has other queues, another number of workers, and no trace."""
        turn = self.reloads % 2
        self.workers = 2 + turn
        load = [os.environ.get("FORKTAIL_MODULE", f"{self.build}/ngx_module/ngx_http_forktail_module.so")]
        if self.with_neighbours:
            load = [*self.beside[:len(BEFORE)], *load, *self.beside[len(BEFORE):]]
        names = {"home": self.home, "root": ROOT,
                 "odd": f"forktail_queue {(10, 4)[turn]} active={(3, 2)[turn]} timeout={(200, 40)[turn]}ms zone=odd:64k;"}
        locations = (LOCATIONS + (NEIGHBOURS if self.with_neighbours else "")) % names
        self.paths = [path for path in re.findall(r"location (?:= )?(/\S*)", locations)
                      if path not in ("/allowed", "/copy", "/posted", "/posted/stock", "/inner")]
        temp = "".join(f"{one}_temp_path {self.home}/{one}; " for one in TEMP_PATHS)
        (self.home / "nginx.conf").write_text(f"""
            {' '.join(f'load_module {one};' for one in load)}
            {'user root;' if os.geteuid() == 0 else ''}
            daemon off; pid nginx.pid; error_log error.log warn; worker_processes {self.workers};
            worker_shutdown_timeout 20s;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; {temp} client_max_body_size 0;
                forktail on; forktail_trust 127.0.0.1; forktail_trace_context {('on', 'off')[turn]};
                {f'js_import main from {self.home}/main.js;' if self.with_neighbours else ''}
                forktail_read_timeout 2s; uwsgi_read_timeout 2s; forktail_queue_log_level warn;
                upstream app {{ server unix:{self.home}/app.sock max_fails=0; keepalive 8;
                    forktail_queue {(20, 8)[turn]} active={(4, 3)[turn]} timeout=300ms; }}
                upstream odd {{ server unix:{self.home}/odd.sock max_fails=0; server unix:{self.home}/odd.sock max_fails=0;
                    keepalive 4; }}
                map $arg_to $target {{ default app; odd odd; nobody unix:{self.home}/nobody.sock; }}
                server {{ listen 127.0.0.1:{self.port} reuseport; {locations} }}
            }}
        """)

    def start(self):
        if not self.with_neighbours:
            print("beside no other modules, which fit Debian's nginx only", flush=True)
        elif missing := [one for one in self.beside if not Path(one).exists()]:
            raise AssertionError(f"nginx's modules are missing: {missing}; script/setup --test installs them")
        (self.home / "main.js").write_text(SCRIPT)
        (self.home / "page.html").write_text('<!--#include virtual="/odd/a" --><!--#include virtual="/ssi" -->')
        self.app = Server(self.build / "backend/cli/forktail", self.home, self.environment,
                          {"app": self.build / "backend/apps/libforkfacts.so", "processes": 2, "body_limit": "100k",
                           "control": self.home / "control"})
        self.app.start()
        self.write_conf()
        with open(self.home / "stderr.nginx", "ab") as stderr:
            self.nginx = subprocess.Popen([pass_support.NGINX, "-p", self.home, "-c", "nginx.conf", "-e", "error.log"],
                                          env=self.environment, stdin=subprocess.DEVNULL, stderr=stderr)
        wait_for(lambda: self.nginx.poll() is not None or self.get("/stub"), "nginx")
        assert self.nginx.poll() is None, (self.home / "stderr.nginx").read_text()

    def get(self, path):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as s:
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            data = b""
            while part := s.recv(65536):
                data += part
            return data.partition(b"\r\n\r\n")[2].decode()
        return ""

    def reload(self):
        self.reloads += 1
        self.write_conf()
        self.nginx.send_signal(signal.SIGHUP)
        if self.reloads % 3 == 0:
            subprocess.run([self.build / "backend/cli/forktail", "ctl", "-c", self.home / "control", "reload"],
                           capture_output=True, timeout=PATIENCE, check=False)

    def run(self):
        odd = Backend(self.home / "odd.sock", Odd(self.seed))
        self.start()
        clients = [Client(self, number) for number in range(CLIENTS)]
        with odd:
            for client in clients:
                client.start()
            try:
                end = time.monotonic() + self.given.seconds
                while time.monotonic() < end and self.nginx.poll() is None:
                    time.sleep(min(3, self.given.seconds / 5))
                    self.reload()
                    odd.requests.clear()
                    odd.threads[:] = [one for one in odd.threads if one.is_alive()]
            finally:
                self.over.set()
                for client in clients:
                    client.join()
            self.judge()
        self.problems += self.app.end()
        self.seen = sum((client.seen for client in clients), Counter())
        self.problems += [wrong for client in clients for wrong in client.wrong[:5]]
        if self.seen["200"] < self.seen.total() / 4:
            self.problems.append("fewer than a quarter of the requests were answered with 200")

    # The judgement.

    def judge(self):
        self.expect(lambda: len(children_of(self.nginx.pid)) == self.workers, "end of the workers of old configurations")
        self.expect(self.queues_are_empty, "end of all requests in the queues")
        self.expect(lambda: re.search(r"Active connections: 1 ", self.get("/stub")), "end of all connections")
        self.report = json.loads(self.get("/report") or "{}")
        self.nginx.send_signal(signal.SIGQUIT)
        self.expect(lambda: self.nginx.poll() is not None, "end of nginx")
        if self.nginx.poll() != 0:
            self.problems.append(f"nginx ended with {self.nginx.poll()}")
        bad = [line for line in (self.home / "error.log").read_text(errors="replace").splitlines()
               if re.search(r"\[(alert|emerg)\]|exited on signal", line)]
        self.problems += bad[:20]

    def queues_are_empty(self):
        report = self.get("/report")
        return report and all(one["active"] == one["waiting"] == 0 for one in json.loads(report).values())

    def expect(self, condition, what):
        try:
            wait_for(condition, what, PATIENCE)
        except AssertionError as error:
            self.problems.append(f"{error}; {self.get('/report')} {self.get('/stub')}")

    def figures(self):
        return {**dict(sorted(self.seen.items())), "reloads": self.reloads, "queues": self.report}


if __name__ == "__main__":
    sys.exit(carry_out(Module, options_of("module", __doc__, 600).parse_args()))
