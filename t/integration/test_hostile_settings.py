"""Settings that mean something else than they seem to, and what a check does not see."""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from dispatch_support import Kept
from lib import uwsgi
from lib.app import ROOT
from lib.deploy import replace
from lib.hold import Held, release
from lib.look import SOURCE as LOOK
from lib.look import look
from lib.server import arguments, refused
from lib.tools import need_root
from lib.waiting import LIMIT, free_port, wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="session")
def look_app(build_app):
    return build_app(LOOK)


# Notes at its load who it is and what it sees.
TELLS = r"""
#include <fcntl.h>
#include <forktail/app.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

class Tells : public forktail::App {
 public:
  Tells() {
    const mode_t mask = umask(0);
    umask(mask);
    const char* set = getenv("TOLD");
    const std::string line = std::to_string(getuid()) + " " + std::to_string(getegid()) + " " +
                             std::to_string(mask) + " " + (set == nullptr ? "" : set) + " " +
                             std::filesystem::current_path().string() + "\n";
    const int out = open(TELL_TO, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (write(out, line.data(), line.size()) < 0) abort();
    close(out);
  }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
};
FORKTAIL_APP(Tells)
"""


def check(app, **more):
    command = [str(app.binary), "check", *arguments({**app.options, **more})]
    return subprocess.run(command, cwd=app.home, env=app.environment, text=True, capture_output=True, timeout=LIMIT,
                          check=False)


@pytest.fixture
def from_file(server, forkfacts):
    """from_file(TEXT) is a server, not started, that reads these lines."""

    def make(text, **options):
        app = server(start=False, config="forktail.ini", app=None, **options)
        app.ini = app.home / "forktail.ini"
        app.first = f"[forktail]\napp = {forkfacts}\n"
        app.ini.write_text(app.first + text)
        return app

    return make


# The same as a start, nothing else.


@every_mode
def test_a_check_loads_the_application_as_a_start_does(server, build_app, mode):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o777)
        told = home / "told"
        shutil.copy(build_app(TELLS.replace("TELL_TO", f'"{told}"')), home / "tells.so")
        app = server(start=False, home=home, app=home / "tells.so", fork_mode=mode, uid="nobody", gid="nogroup",
                     umask="027", env=["TOLD=yes"], chdir="/")
        assert check(app).returncode == 0
        checked = told.read_text()
        told.unlink()
        app.start()
        started = told.read_text()
        assert app.stop() == 0
    nobody = pwd.getpwnam("nobody")
    assert checked == f"{nobody.pw_uid} {nobody.pw_gid} {0o27} yes /\n" == started


def test_a_check_fails_where_the_user_may_not_go(server, look_app):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        shutil.copy(look_app, home / "look.so")
        (home / "private").mkdir(0o700)
        app = server(start=False, home=home, app=home / "look.so", uid="nobody", gid="nogroup")
        assert check(app).returncode == 0
        refused(check(app, chdir=home / "private"), "private", "chdir", code=1)
        refused(check(app, control=home / "control"), "control = ", "nothing can be made", code=1)
        refused(check(app, uid="54321", gid=None), "uid 54321", "`gid`", code=1)


WRONG = {
    "a log in a directory that is not there": ({"logto": "nowhere/log"}, ["logto = ", "nowhere", "create it"]),
    "a pidfile there": ({"pidfile": "nowhere/pid"}, ["pidfile = ", "nowhere", "create it"]),
    "a socket there": ({"socket": "nowhere/app.sock"}, ["socket = ", "nowhere", "create it"]),
    "a control socket there": ({"control": "nowhere/control"}, ["control = ", "nowhere", "create it"]),
    "a stats socket there": ({"stats": "nowhere/stats"}, ["stats = ", "nowhere", "create it"]),
    "a log that is a directory": ({"logto": "here"}, ["logto = ", "directory"]),
    "a socket that is a file": ({"socket": "./file"}, ["socket = ", "no socket"]),
    "an address of another machine": ({"socket": "192.0.2.1:3031", "plain_tcp": True}, ["192.0.2.1", "cannot bind"]),
    "stats of another machine": ({"stats_http": "192.0.2.1:3031", "plain_tcp": True}, ["192.0.2.1", "cannot bind"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_a_start_would_refuse_a_check_refuses(server, what):
    options, words = WRONG[what]
    app = server(start=False)
    (app.home / "here").mkdir()
    (app.home / "file").touch()
    refused(check(app, **options), *words, code=1)
    app.options |= options
    assert app.run().returncode == 1
    assert sorted(path.name for path in app.home.iterdir() if path.name != "server.log") == ["file", "here"]


def test_a_check_leaves_nothing_and_does_not_mind_a_running_server(server):
    more = {"pidfile": "pid", "control": "control", "stats": "stats", "stats_http": f"127.0.0.1:{free_port()}"}
    app = server(start=False, **more)
    assert check(app).returncode == 0
    assert not list(app.home.iterdir())
    app.start()
    files = sorted(path.name for path in app.home.iterdir())
    assert check(app).returncode == 0
    assert sorted(path.name for path in app.home.iterdir()) == files
    assert app.get("/").status == 200


def test_a_check_of_an_application_that_never_loads_ends(server, stuck_app):
    app = server(start=False, app=stuck_app, start_timeout="200ms")
    refused(check(app), "had not loaded within start-timeout (200 ms)", code=1)


# The environment.


@every_mode
def test_a_line_that_is_removed_is_gone_with_the_next_reload(from_file, look_app, environment, mode):
    environment["LOOK"] = "of the start"
    app = from_file(f"app = {look_app}\nfork-mode = {mode}\nenv = LOOK=of the file\numask = 027\n")
    app.start()
    assert (look(app)["env"], int(look(app)["umask"])) == ("of the file", 0o27)
    mask = os.umask(0)
    os.umask(mask)
    app.ini.write_text(f"[forktail]\napp = {look_app}\nfork-mode = {mode}\n")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    assert (look(app)["env"], int(look(app)["umask"])) == ("of the start", mask)


@pytest.mark.parametrize("setting", ['"FOO=x"', "'FOO=x'", "FOO = x", "FOO =x", '"FOO"=x', "A B=x"])
def test_a_variable_that_nobody_could_have_meant_is_refused(server, from_file, setting):
    refused(from_file(f"env = {setting}\n").run(), "env", "quotes")
    refused(server(start=False, env=[setting]).run(), "env", "NAME=VALUE")


def test_values_in_quotes_are_refused_with_what_to_write(from_file):
    refused(from_file('chmod-socket = 600\nprocname-prefix = "shop"\n').run(), "forktail.ini:4:", "in quotes",
            "procname-prefix = shop")


def test_a_value_may_begin_and_hold_quotes(from_file, look_app):
    app = from_file(f"app = {look_app}\nenv = LOOK=\"a\" and 'b'\n").start()
    assert look(app)["env"] == "\"a\" and 'b'"


# Who sees what.


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", ""])
@pytest.mark.parametrize("option", ["stats", "stats_http"])
def test_stats_are_not_shown_to_everybody_without_a_word(server, option, address, command):
    app = server(start=False, **{option: f"{address}:{free_port()}"})
    result = app.run() if command == "serve" else check(app)
    refused(result, option.replace("_", "-"), "paths and ids", "`plain-tcp = true`", code=1)


@pytest.mark.parametrize("option", ["stats", "stats_http"])
def test_stats_for_everybody_can_be_asked_for(server, option):
    app = server(plain_tcp=True, **{option: f"0.0.0.0:{free_port()}"})
    assert app.get("/").status == 200


# Lines that nobody needs.


def test_idle_connections_that_end_by_reset_are_no_requests(server):
    app = server(processes=2)
    for _ in range(20):
        one = Kept(app)
        assert one.ask().status == 200
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    tcp = server(socket=f"127.0.0.1:{free_port()}", processes=2)
    idle = [Kept(tcp) for _ in range(20)]
    assert [one.ask().status for one in idle] == [200] * 20
    for one in idle[:10]:
        reset(one)
    tcp.send_signal(signal.SIGHUP)
    for one in idle[10:]:
        reset(one)
    tcp.wait_log("generation 2 serves")
    tcp.wait_log("generation 1 has left")
    assert tcp.stop() == app.stop() == 0
    for one in (app, tcp):
        assert not [line for line in one.log() if "bad request" in line["msg"] or "reading failed" in line["msg"]]
        assert len({line["request_id"] for line in one.log() if line.get("request_id")}) >= 20


def reset(one):
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


@every_mode
def test_workers_that_the_server_ends_itself_are_no_errors(with_own_app, build_app, mode):
    # The one that hangs in its start is killed when the other one fails.
    bad = build_app(r"""
        #include <fcntl.h>
        #include <forktail/app.h>
        #include <stdexcept>
        #include <unistd.h>
        struct Bad : forktail::App {
          void on_worker_start(const forktail::Worker& worker) override {
            if (worker.generation == 1) return;
            if (worker.id == 1) {
              close(creat("hangs", 0600));
              pause();
            }
            while (access("hangs", F_OK) != 0) usleep(1000);
            throw std::runtime_error("no database");
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
        };
        FORKTAIL_APP(Bad)
    """)
    app = with_own_app(bad, processes=2, fork_mode=mode)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 could not start, generation 1 goes on serving")
    errors = [line["msg"] for line in app.log(level="error")]
    assert not [text for text in errors if "killed by SIGKILL" in text], errors
    app.wait_log("worker 1 (pid")
    assert app.get("/").status == 200


# Two at once are one.


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT, signal.SIGTERM)])
def test_two_terms_at_once_are_one_stop(server, hold_app, numbers):
    app = server(app=hold_app, processes=2)
    request = Held(app, "in-flight-1")
    for number in numbers:  # as timeout(1) does: to its child, and to the group
        app.send_signal(number)
        app.wait_log("stopping")
    time.sleep(0.2)  # nothing is to happen
    release(app)
    assert uwsgi.Response(request.answer()).status == 200
    assert app.process.wait(LIMIT) == 0


# Files that are written into.


def overwrite(app, text=b""):
    """As `cp` over it does: the same file, other bytes."""
    with open(app.home / "app.so", "r+b") as file:
        file.truncate(0)
        file.write(text)


@every_mode
def test_a_shared_object_that_is_overwritten_in_place_harms_nobody(with_own_app, hold_app, mode):
    app = with_own_app(hold_app, processes=2, fork_mode=mode)
    before = app.workers()
    overwrite(app, b"\x90" * 100_000)
    assert [app.get("/").status for _ in range(20)] == [200] * 20
    assert app.workers() == before
    # Those who come later have what the others have.
    os.kill(before[1], signal.SIGKILL)
    wait_for(lambda: (now := app.workers()).keys() == {1, 2} and now[1] != before[1], "another worker")
    assert [app.get("/").status for _ in range(20)] == [200] * 20
    # And a reload reads the file as it is.
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 could not start, generation 1 goes on serving")
    assert app.get("/").status == 200
    replace(app, "app.so", hold_app)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 3 serves")


@every_mode
def test_the_application_is_known_by_its_own_name(with_own_app, build_app, mode):
    app = with_own_app(build_app(r"""
        #include <dlfcn.h>
        #include <forktail/app.h>
        int own = 0;
        struct Named : forktail::App {
          forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
            if (request.path() == "/crash") {
              *static_cast<volatile int*>(nullptr) = 0;
            }
            Dl_info info{};
            dladdr(&own, &info);
            return {200, "text/plain", info.dli_fname};
          }
        };
        FORKTAIL_APP(Named)
    """), fork_mode=mode)
    assert Path(app.get("/").body.decode()) == app.home / "app.so"
    app_lines = len(app.log())
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/crash")))
        assert uwsgi.read_to_end(s) == b""
    crash = app.wait_lines(event="crash")[0]
    assert len(app.log()) > app_lines
    assert any("app.so" in frame for frame in crash["stack"])


@every_mode
def test_an_application_finds_the_libraries_beside_it(server, build_app, tmp_path, mode):
    (tmp_path / "lib").mkdir()
    (tmp_path / "beside.cc").write_text('extern "C" int beside() { return 42; }')
    compiler = ["g++", "-std=c++20", "-shared", "-fPIC"]
    subprocess.run([*compiler, "beside.cc", "-o", "lib/libbeside.so"], cwd=tmp_path, check=True)
    (tmp_path / "app.cc").write_text(r"""
        #include <forktail/app.h>
        extern "C" int beside();
        struct Linked : forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            return {200, "text/plain", std::to_string(beside())};
          }
        };
        FORKTAIL_APP(Linked)
    """)
    subprocess.run([*compiler, f"-I{ROOT}/backend/include", "app.cc", "-o", "app.so", "-Llib", "-lbeside",
                    "-Wl,-rpath,$ORIGIN/lib"], cwd=tmp_path, check=True)
    assert server(app=tmp_path / "app.so", fork_mode=mode).get("/").body == b"42"
