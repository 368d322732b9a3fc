"""The servers of the bench of peers: how they are built and started, and how nginx passes to them."""

import shutil
import subprocess

from lib.behind_nginx import NGINX, ROOT, Backend, build_app, forktail, free_port, run, socket_of

SOURCES = ROOT / "t/bench"
HTTP = 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
PLAIN_LOADS = ("hello64", "hello2", "ms64", "mixed", "bytes64", "upload8")
TLS_LOADS = ("tls64",)
# name: compiler and flags, the source, the pkg-config package
COMPILED = {
    "fastcgi": (["gcc", "-O2"], "fastcgi.c", "fcgi"),
    # Boost 1.74 forgets <utility>.
    "beast": (["g++", "-std=c++20", "-O2", "-pthread", "-include", "utility"], "beast.cc", None),
    "h2o": (["gcc", "-O2"], "h2o.c", "libh2o-evloop"),
    "microhttpd": (["gcc", "-O2"], "microhttpd.c", "libmicrohttpd"),
}


def build(home):
    """Compiles what is to be compiled. What is missing: {server: why}."""
    missing = {}
    build_app(SOURCES / "dispatch_app.cc", home / "app.so")
    run(["g++", "-std=c++20", "-O2", SOURCES / "dispatch_load.cc", "-o", home / "load"])
    run(["gcc", "-O2", "-shared", "-fPIC", SOURCES / "dispatch_uwsgi.c", "-o", home / "bench_uwsgi.so"])
    for name, (compiler, source, package) in COMPILED.items():
        try:
            flags = run(["pkg-config", "--cflags", "--libs", package]).split() if package else []
            run([*compiler, SOURCES / "peers" / source, "-o", home / name, *flags])
        except subprocess.CalledProcessError:
            missing[name] = f"its library is not there, or too old ({' '.join(compiler)} {source})"
    for name, program in (("uwsgi", "uwsgi"), ("uwsgi-python", "uwsgi"), ("gunicorn", "gunicorn"),
                          ("gunicorn-uwsgi", "gunicorn")):
        if not shutil.which(program):
            missing[name] = f"{program} is not there"
    if "gunicorn" not in missing and "--protocol" not in run(["gunicorn", "--help"]):
        missing["gunicorn-uwsgi"] = "gunicorn is older than 25 and has no uwsgi protocol"
    make_certificate(home)
    return missing


def make_certificate(home):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{home}/key.pem", "-out", f"{home}/cert.pem"],
                   check=True, capture_output=True)


def for_loads(loads, backend):
    backend.loads = loads
    return backend


def servers(home, processes):
    uwsgi = ["--listen", "4096", "--master", "--processes", processes, "--chmod-socket=666", "--die-on-term"]
    gunicorn = ["gunicorn", "--workers", processes, "--backlog", "4096", "--chdir", SOURCES / "peers", "wsgi:application"]
    plain = {
        "forktail": forktail(home / "app.so", home, "forktail", processes),
        "uwsgi": Backend(
            ["uwsgi", "--plugin", "symcall", "--dlopen", home / "bench_uwsgi.so", "--symcall", "bench",
             "--socket", socket_of(home, "uwsgi"), "--logto", home / "uwsgi.log", *uwsgi],
            "include /etc/nginx/uwsgi_params; uwsgi_pass backend; uwsgi_modifier1 18;", keepalive=False),
        "uwsgi-python": Backend(
            ["uwsgi", "--plugin", "python3", "--wsgi-file", SOURCES / "peers/wsgi.py",
             "--socket", socket_of(home, "uwsgi-python"), "--logto", home / "uwsgi-python.log", *uwsgi],
            "include /etc/nginx/uwsgi_params; uwsgi_pass backend;", keepalive=False),
        "gunicorn": Backend(
            [*gunicorn, "--bind", f"unix:{socket_of(home, 'gunicorn')}", "--access-logfile", home / "gunicorn.log"],
            "proxy_pass http://backend;", keepalive=False),
        "gunicorn-uwsgi": Backend(
            [*gunicorn, "--bind", f"unix:{socket_of(home, 'gunicorn-uwsgi')}", "--protocol", "uwsgi",
             "--access-logfile", home / "gunicorn-uwsgi.log"],
            "include /etc/nginx/uwsgi_params; uwsgi_pass backend;", keepalive=False),
        "fastcgi": Backend(
            [home / "fastcgi", socket_of(home, "fastcgi"), processes],
            "include /etc/nginx/fastcgi_params; fastcgi_pass backend; fastcgi_keep_conn on;"),
        **{name: Backend([home / name, socket_of(home, name), processes], HTTP)
           for name in ("beast", "h2o", "microhttpd")},
        "nginx": Backend(None, 'return 200 "hello\\n";'),
    }  # fmt: skip
    for name, backend in plain.items():
        for_loads(PLAIN_LOADS if name != "nginx" else ("hello64", "hello2"), backend)
    # Each of its processes has one connection at a time. With one kept for each, a new one would never be accepted.
    plain["fastcgi"].connections = max(1, processes - 1)
    return {**plain, **tls_servers(home, processes)}


def tls_servers(home, processes):
    certificate = f"ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;"
    suwsgi = "forktail_pass suwsgi://backend; forktail_ssl_session_reuse on;"
    own, stream, floor = (f"127.0.0.1:{free_port()}" for _ in range(3))
    front = "master_process off; daemon off; events { worker_connections 4096; }"
    (home / "stream.conf").write_text(f"""
        load_module /usr/lib/nginx/modules/ngx_stream_module.so; {front} pid {home}/stream.pid;
        stream {{ server {{ listen {stream} ssl; {certificate} proxy_pass unix:{socket_of(home, 'behind-stream')}; }} }}
    """)
    (home / "floor.conf").write_text(f"""
        {front} pid {home}/floor.pid;
        http {{ access_log off; keepalive_requests 1000000000;
            client_body_temp_path {home}/1; proxy_temp_path {home}/2; fastcgi_temp_path {home}/3;
            uwsgi_temp_path {home}/4; scgi_temp_path {home}/5;
            server {{ listen {floor} ssl; {certificate} location / {{ return 200 "hello\\n"; }} }} }}
    """)
    behind_stream = forktail(home / "app.so", home, "behind-stream", processes)
    behind_stream.location, behind_stream.address = suwsgi, stream
    behind_stream.beside = [[NGINX, "-p", home, "-c", f"{home}/stream.conf", "-e", f"{home}/stream.error"]]
    found = {
        "forktail-tls": forktail(home / "app.so", home, "forktail-tls", processes, "--tls-cert", home / "cert.pem",
                                 "--tls-key", home / "key.pem", socket=own),
        "forktail-stream": behind_stream,
        "nginx-https": Backend(
            [NGINX, "-p", home, "-c", f"{home}/floor.conf", "-e", f"{home}/floor.error"],
            'proxy_pass https://backend; proxy_http_version 1.1; proxy_set_header Connection "";', address=floor),
    }
    found["forktail-tls"].location, found["forktail-tls"].address = suwsgi, own
    for backend in found.values():
        for_loads(TLS_LOADS, backend)
    return found
