"""What every integration test stands on: servers and nginxes of its own under a temporary folder,
on free ports, that leave nothing behind.

FORKTAIL_BUILD names the build tree (default build/dev), FORKTAIL_REQUIRE=all turns skips for missing
programs into failures, FORKTAIL_QUICK=1 shortens the long tests, FORKTAIL_FULL=1 runs some as long as they
were meant to.
"""

import os
import uuid
from pathlib import Path

import pytest

import tls_support
from lib import hold, hostile
from lib.app import ROOT, compile_app
from lib.certificates import make_certificates
from lib.deploy import replace
from lib.nginx import Nginx, upstream
from lib.processes import MARKER, end_leftovers
from lib.server import Server
from lib.waiting import free_port


# Files whose tests are many, and slow: what they hold seldom breaks unnoticed by the others.
THOROUGH = ("test_hostile_", "test_doctor_", "test_docs", "test_tls", "test_app_example", "test_install", "test_retirement",
            "test_start_timeout", "test_touch_reload", "test_html_page", "test_early_refusals", "test_systemd")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true",
                     help="each test in the first of its forms only, and none of the thorough files")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: loads the machine, or measures times: nothing else may run beside it")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("quick"):
        return
    first = {}
    for item in items:
        if not item.path.name.startswith(THOROUGH):
            first.setdefault((item.path, item.originalname), item)
    chosen = set(first.values())
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = first.values()


@pytest.fixture(scope="session")
def build_dir():
    path = Path(os.environ.get("FORKTAIL_BUILD", ROOT / "build/dev")).absolute()
    assert (path / "backend/cli/forktail").exists(), (
        f"{path} has no built server: build the preset `dev`, or name a build tree in FORKTAIL_BUILD")
    return path


@pytest.fixture(scope="session")
def forktail(build_dir):
    return build_dir / "backend/cli/forktail"


@pytest.fixture(scope="session")
def forkfacts(build_dir):
    return build_dir / "backend/apps/libforkfacts.so"


@pytest.fixture(scope="session")
def build_app(tmp_path_factory):
    """build_app(SOURCE) is the path of a shared object, which is compiled once for all workers of xdist."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "apps"
    folder.mkdir(exist_ok=True)
    return lambda source: compile_app(source, folder)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def bodies_app(build_app):
    return build_app(tls_support.BODIES)


@pytest.fixture(scope="session")
def hold_app(build_app):
    return build_app(hold.SOURCE)


@pytest.fixture(scope="session")
def hostile_app(build_dir, tmp_path_factory):
    """t/integration/hostile_app: one path a misbehaviour; lib/hostile.py has its catalogue."""
    return hostile.library(build_dir, tmp_path_factory)


@pytest.fixture(scope="session")
def stuck_app(build_app):
    """An application that makes the file `loading` and then never ends to load."""
    return build_app("""
        #include <fcntl.h>
        #include <forktail/app.h>
        #include <unistd.h>
        class Stuck : public forktail::App {
         public:
          Stuck() {
            close(creat("loading", 0600));
            pause();
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
        };
        FORKTAIL_APP(Stuck)
    """)


@pytest.fixture
def environment():
    """For every process of the test. Fails at the end when one of them is still there."""
    test_id = uuid.uuid4().hex
    yield {**os.environ, MARKER: test_id}
    left = end_leftovers(test_id)
    assert not left, f"processes were left behind: {left}"


@pytest.fixture
def server(forktail, forkfacts, environment, tmp_path):
    """server(processes=4, fork_mode="lazy", ...) is a running server; start=False does not start it,
    quiet=True is for one whose log does not tell when it serves."""
    servers = []

    def make(start=True, quiet=False, home=None, **options):
        home = home or tmp_path / f"server{len(servers)}"
        home.mkdir(exist_ok=True)
        one = Server(forktail, home, environment, {"app": forkfacts, **options})
        servers.append(one)
        return one.start(quiet=quiet) if start else one

    yield make
    complaints = [complaint for one in servers for complaint in one.end()]
    assert not complaints, complaints


@pytest.fixture
def tls_server(server, bodies_app, certificates, tmp_path):
    """Listens on a unix socket, and on a TCP port with TLS, `port`."""

    def make(start=True, **options):
        port = free_port()
        given = {"tls_cert": certificates / "backend.pem", "tls_key": certificates / "backend.key",
                 "tls_client_ca": certificates / "ca.pem", "app": bodies_app, **options}
        app = server(start=False, socket=[tmp_path / "app.sock", f"127.0.0.1:{port}"], **given)
        app.port = port
        app.tls = tls_support.client_context(certificates)
        (app.home / "file").write_bytes(tls_support.FILE)
        return app.start() if start else app

    return make


@pytest.fixture
def with_own_app(server):
    """A server whose application is the file app.so in its folder."""

    def make(path, **options):
        app = server(start=False, app="./app.so", **options)
        replace(app, "app.so", path)
        return app.start()

    return make


@pytest.fixture
def nginx(build_dir, environment, tmp_path):
    """nginx(to=SERVER) is a running nginx that passes everything to SERVER; `http_conf`,
    `server_conf` and `main_conf` are added to its configuration, `expected` are patterns of alerts
    that the test provokes."""
    module = build_dir / "ngx_module/ngx_http_forktail_module.so"
    nginxes = []

    def make(to=None, http_conf="", server_conf="", start=True, **options):
        home = tmp_path / f"nginx{len(nginxes)}"
        home.mkdir()
        if to is not None:
            http_conf += upstream("app", to, "max_fails=0")
            server_conf += "location / { forktail_pass app; }"
        nginxes.append(Nginx(module, home, environment, http_conf, server_conf, **options))
        return nginxes[-1].start() if start else nginxes[-1]

    yield make
    complaints = [complaint for one in nginxes for complaint in one.end()]
    assert not complaints, complaints


@pytest.fixture
def record(capsys, request):
    """record(TEXT) prints what a test has counted, whether it passes or not."""

    def write(text):
        request.node.add_report_section("call", "counts", str(text))  # all that is seen of a worker of xdist
        with capsys.disabled():
            print("".join(f"\n    {line}" for line in str(text).splitlines()), end="")

    return write
