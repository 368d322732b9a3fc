"""What the id costs: requests per second of `return 200`, with the id part and without it.

    script/bench id [ROUNDS [SECONDS]]

Three nginxes of one process each, the same but for a few lines: without the module, with the built-in
$request_id sent as a header, and with `forktail on`. Each round loads all of them, one after the other
and in turning order; the ratio of each round's neighbours is taken, and the median of the ratios shown,
since machines drift but neighbours drift together. The CPU time that nginx spends on a request is shown
too: on a machine that others use it is the steadier number. FORKTAIL_MODULE names the module (default:
that of the release preset).
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.behind_nginx import NGINX, ROOT, free_port, in_turn

MODULE = os.environ.get("FORKTAIL_MODULE",
                        ROOT / "build/release/ngx_module/ngx_http_forktail_module.so")
VARIANTS = {
    "without": ("", ""),
    "request_id": ("", "add_header X-Request-ID $request_id;"),
    "forktail": (f"load_module {MODULE};", "forktail on;"),
}


def start(home, name):
    load, extra = VARIANTS[name]
    port = free_port()
    conf = home / f"{name}.conf"
    conf.write_text(f"""
        {load}
        daemon off; master_process off; pid {home}/{name}.pid; error_log {home}/{name}.log;
        events {{ }}
        http {{
            access_log off; keepalive_requests 1000000000; {extra}
            client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
            uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello\\n"; }} }}
        }}
    """)
    process = subprocess.Popen([NGINX, "-p", str(home), "-c", str(conf), "-e", f"{home}/{name}.log"])
    for _ in range(500):
        if process.poll() is not None:
            sys.exit(f"nginx does not start: {(home / f'{name}.log').read_text()}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.01)
    sys.exit("nginx does not accept within 5 s")


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(nginx, seconds):
    """Requests per second, and how many in all."""
    port = nginx[1]
    out = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            int(re.search(r"(\d+) requests in", out)[1]))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    names = list(VARIANTS)
    rates = {name: [] for name in names}
    requests = dict.fromkeys(names, 0)
    spent = {}
    running = {}
    with tempfile.TemporaryDirectory(prefix="forktail-bench-") as home:
        try:
            for name in names:
                running[name] = start(Path(home), name)
                load(running[name], 1)  # warm
                spent[name] = cpu_seconds(running[name][0])
            for name in in_turn(names, rounds):
                rate, count = load(running[name], seconds)
                rates[name].append(rate)
                requests[name] += count
            spent = {name: cpu_seconds(running[name][0]) - spent[name] for name in names}
        finally:
            for process, _ in running.values():
                process.terminate()
                process.wait(10)

    for name in names:
        print(f"{name:12} {statistics.median(rates[name]):10.0f} requests/s"
              f"{1e6 * spent[name] / requests[name]:8.2f} us of CPU each")
    for other in ("without", "request_id"):
        ratio = statistics.median(a / b for a, b in zip(rates["forktail"], rates[other]))
        print(f"forktail on / {other:12} {ratio:.3f}")


if __name__ == "__main__":
    main()
