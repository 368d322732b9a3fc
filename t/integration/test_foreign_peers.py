"""Web servers that know nothing of this one: the stock uwsgi_pass of nginx, and Apache."""

import http.client
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatch_support import APP
from lib.tools import give_up, need
from lib.waiting import LIMIT, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
APACHE_MODULES = Path("/usr/lib/apache2/modules")


@pytest.fixture(scope="module")
def echo_app(build_app):
    return build_app(APP)


@pytest.fixture
def stock_nginx(server, nginx, echo_app):
    app = server(app=echo_app, processes=4)
    web = nginx(server_conf=f"""
        forktail off; client_max_body_size 0;
        location / {{ include /etc/nginx/uwsgi_params; uwsgi_pass unix:{app.dial()}; }}""")
    return app, web.port


def test_behind_stock_uwsgi_pass_nginx_and_server_have_one_id(server, nginx):
    """As the README says: nothing but the include of the parameters that come with forktail."""
    app = server()
    web = nginx(server_conf=f"""location / {{
        include {ROOT}/conf/nginx/forktail_uwsgi_params; uwsgi_pass unix:{app.dial()};
    }}""")
    client = [{}, {"X-Request-ID": "client-1234", "REQUEST-ID": "client-5678"}, {"Request_Id": "client-5678"}]
    ids = [web.get(headers=headers).headers.get_all("X-Request-ID") for headers in client]
    assert all(len(one) == 1 for one in ids), ids
    in_nginx = [line["request_id"] for line in web.wait_access(3)]
    in_server = [line["request_id"] for line in app.wait_lines(3, event="request")]
    assert [one for one, in ids] == in_nginx == in_server
    assert not set(in_nginx) & {"client-1234", "client-5678"}


@pytest.fixture
def apache(server, echo_app, environment, tmp_path):
    if not (APACHE_MODULES / "mod_proxy_uwsgi.so").exists():
        give_up("Apache's mod_proxy_uwsgi is not installed")
    # By TCP: Apache gives up its rights, and the way to a socket's file may be closed to others.
    app = server(app=echo_app, processes=4, socket=f"127.0.0.1:{free_port()}")
    port = free_port()
    modules = "".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n"
                      for name in ("mpm_event", "authz_core", "proxy", "proxy_uwsgi"))
    conf = tmp_path / "apache.conf"
    conf.write_text(f"""
ServerRoot {tmp_path}
ServerName localhost
PidFile {tmp_path}/apache.pid
DefaultRuntimeDir {tmp_path}
Listen 127.0.0.1:{port}
{modules}
{"User www-data" if os.geteuid() == 0 else ""}
{"Group www-data" if os.geteuid() == 0 else ""}
ErrorLog {tmp_path}/apache.log
ProxyPass "/" "uwsgi://{app.sockets()[0]}/"
""")
    process = subprocess.Popen([need("apache2"), "-f", conf, "-DFOREGROUND"], env=environment)
    wait_for(lambda: process.poll() is not None or accepts(port), "Apache that accepts")
    assert process.poll() is None
    yield app, port
    process.terminate()
    process.wait(LIMIT)


@pytest.fixture(params=["stock_nginx", "apache"])
def foreign(request):
    """A server, and the port of a foreign web server in front of it."""
    return request.getfixturevalue(request.param)


def accepts(port):
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT).connect()
        return True
    except ConnectionRefusedError:
        return False


def ask(port, path="/", method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        response.body = response.read()
        return response
    finally:
        connection.close()


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
def test_bodies_come_back_whole(foreign, size):
    _, port = foreign
    body = bytes(i % 251 for i in range(size))
    response = ask(port, "/there?ms=1", "POST", body)
    assert (response.status, response.body) == (200, body)
    assert len(response.getheader("X-Request-ID")) == 32


def test_a_head_request_gets_no_body(foreign):
    app, port = foreign
    response = ask(port, "/", "HEAD")
    assert (response.status, response.body) == (200, b"")
    assert app.wait_lines(event="request")[0]["method"] == "HEAD"


def test_method_and_path_are_understood(foreign):
    app, port = foreign
    assert ask(port, "/a%20path", "DELETE").status == 200
    (line,) = app.wait_lines(event="request")
    assert (line["method"], line["path"]) == ("DELETE", "/a path")


def test_many_at_once_are_all_served(foreign, record):
    app, port = foreign
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda i: ask(port, "/", "POST", b"%d" % i), range(500)))
    assert [one.status for one in answers] == [200] * 500
    assert [one.body for one in answers] == [b"%d" % i for i in range(500)]
    lines = app.wait_lines(500, event="request")
    record(f"500 requests at c=32, served by {len({line['worker'] for line in lines})} workers")
    assert not [line for line in app.log() if line["level"] == "error" or "bad request" in line["msg"]]
