"""`forktail ctl`: every verb waits for its outcome, and its exit code tells it."""

import os
import signal
import subprocess
import time

import pytest

from lib.deploy import THROWS, replace
from lib.hold import Held, release
from lib.load import Load
from lib.processes import children_of, is_alive
from lib.uwsgi import Response, exchange
from lib.waiting import LIMIT, wait_for


class Ctl:
    def __init__(self, binary, environment):
        self.binary = binary
        self.environment = environment

    def start(self, app, *words):
        return subprocess.Popen([self.binary, "ctl", "-c", app.home / "control.sock", *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)

    def outcome(self, process):
        """(exit code, what it printed)"""
        out, err = process.communicate(timeout=LIMIT)
        assert not (out and err)
        return process.returncode, (out or err).removesuffix("\n")

    def __call__(self, app, *words):
        return self.outcome(self.start(app, *words))


@pytest.fixture
def ctl(forktail, environment):
    return Ctl(forktail, environment)


def test_scale_is_a_failure_when_the_workers_leave(server, ctl, hold_app):
    app = server(app=hold_app, control="control.sock", processes=2)
    request = Held(app, "in-flight-1")
    app.send_signal(signal.SIGWINCH)
    app.wait_log("ending the workers")
    failure = (1, "forktail ctl: there are no workers, or they are leaving; a reload starts new ones")
    assert ctl(app, "scale", "1") == failure
    release(app)
    assert Response(request.answer()).status == 200
    wait_for(lambda: not children_of(app.pid), "end of all workers")
    assert ctl(app, "scale", "1") == failure


def test_a_scale_that_is_under_way_fails_when_the_workers_leave(server, ctl, hold_app):
    app = server(app=hold_app, control="control.sock", processes=2)
    requests = [Held(app, f"in-flight-{i}") for i in range(2)]
    scale = ctl.start(app, "scale", "1")
    wait_for(lambda: '"accepting":0' in ctl(app, "status")[1], "worker that leaves")
    app.send_signal(signal.SIGWINCH)
    assert ctl.outcome(scale) == (1, "forktail ctl: the workers are leaving")
    release(app)
    assert [Response(request.answer()).status for request in requests] == [200] * 2


def test_reload_returns_when_the_new_generation_serves(server, ctl):
    app = server(processes=2, control="control.sock")
    assert ctl(app, "reload") == (0, "generation 2 serves")
    assert app.get("/").json()["generation"] == 2
    assert ctl(app, "reload") == (0, "generation 3 serves")


def test_reload_waits_for_an_application_that_loads(with_own_app, ctl, hold_app, build_app):
    app = with_own_app(hold_app, control="control.sock")
    replace(app, "app.so", build_app("""
        #include <fcntl.h>
        #include <forktail/app.h>
        #include <unistd.h>
        struct Slow : forktail::App {
          Slow() {
            close(creat("loading", 0600));
            while (access("gate", F_OK) != 0) usleep(1000);
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            return {200, "", "the slow one"};
          }
        };
        FORKTAIL_APP(Slow)
    """))
    reload = ctl.start(app, "reload")
    wait_for((app.home / "loading").exists, "application that loads")
    assert app.get("/").body != b"the slow one"
    assert reload.poll() is None
    (app.home / "gate").touch()
    assert ctl.outcome(reload) == (0, "generation 2 serves")
    assert app.get("/").body == b"the slow one"


@pytest.mark.parametrize("words", [["reload"], ["mode", "lazy"], ["mode", "exec"]], ids=" ".join)
def test_a_broken_application_is_a_failure_and_the_old_generation_serves_on(
        with_own_app, ctl, hold_app, build_app, words):
    app = with_own_app(hold_app, processes=2, control="control.sock")
    workers = app.workers()
    replace(app, "app.so", build_app(THROWS))
    code, text = ctl(app, *words)
    assert code == 1
    assert text.startswith("forktail ctl: generation 2 could not start: ")
    assert text.endswith("its constructor threw: no database")
    assert app.workers() == workers
    assert app.get("/").status == 200
    # And what failed does not come back with the next reload.
    replace(app, "app.so", hold_app)
    assert ctl(app, "reload") == (0, "generation 3 serves")
    app.wait_log("generation 3 serves with 2 workers, fork mode preload")


@pytest.fixture
def with_ini(server, forkfacts):
    app = server(start=False, config="forktail.ini", app=None, control="control.sock")
    app.good = f"[forktail]\napp = {forkfacts}\n"
    app.ini = app.home / "forktail.ini"
    app.ini.write_text(app.good)
    return app.start()


def test_a_broken_configuration_is_a_failure_with_the_reason(with_ini, ctl):
    with_ini.ini.write_text(with_ini.good + "proceses = 2\n")
    code, text = ctl(with_ini, "reload")
    assert code == 1
    assert "unknown key `proceses`; did you mean `processes`?" in text
    with_ini.ini.write_text(with_ini.good)
    assert ctl(with_ini, "reload")[0] == 0


def test_a_reload_that_has_to_wait_its_turn_and_then_fails_is_a_failure(with_ini, ctl, stuck_app):
    with_ini.ini.write_text(f"[forktail]\napp = {stuck_app}\n")
    others = {with_ini.template(), *with_ini.workers().values()}
    first = ctl.start(with_ini, "reload")
    wait_for((with_ini.home / "loading").exists, "application that loads")
    with_ini.ini.write_text("[forktail]\n")
    second = ctl.start(with_ini, "reload")
    with_ini.wait_log("a reload is under way; another one follows it")
    (new_template,) = set(filter(is_alive, children_of(with_ini.pid))) - others
    os.kill(new_template, signal.SIGKILL)
    code, text = ctl.outcome(first)
    assert code == 1 and "the template was killed by SIGKILL while it loaded the application" in text
    code, text = ctl.outcome(second)
    assert code == 1 and "app: is missing" in text
    with_ini.ini.write_text(with_ini.good)
    assert ctl(with_ini, "reload")[0] == 0


def test_two_reloads_at_once_are_both_carried_out(server, ctl):
    app = server(control="control.sock")
    reloads = [ctl.start(app, "reload") for _ in range(5)]
    outcomes = [ctl.outcome(reload) for reload in reloads]
    assert [code for code, _ in outcomes] == [0] * 5
    assert app.get("/").json()["generation"] >= 3


def test_mode_switches_a_serving_server_and_stays_over_reloads(server, ctl, record):
    app = server(processes=2, control="control.sock")
    with Load(app.get) as load:
        for generation, mode in enumerate(["lazy", "exec", "preload", "exec"], 2):
            assert ctl(app, "mode", mode) == (0, f"generation {generation} serves")
            assert app.get("/").json()["fork_mode"] == mode
        assert ctl(app, "reload") == (0, "generation 6 serves")
        assert app.get("/").json()["fork_mode"] == "exec"
    record(f"{load.answered} requests over 4 mode switches and a reload, {len(load.failures)} failed")
    assert not load.failures


def test_scale_returns_when_there_are_so_many(server, ctl):
    app = server(processes=2, control="control.sock")
    assert ctl(app, "scale", "4") == (0, "4 workers")
    assert sorted(app.workers()) == [1, 2, 3, 4]
    assert ctl(app, "scale", "1") == (0, "1 workers")
    assert sorted(app.workers()) == [1]
    assert len(children_of(app.pid)) == 2


def test_scale_waits_for_a_worker_that_finishes_its_request(server, ctl, hold_app):
    app = server(app=hold_app, processes=2, control="control.sock")
    requests = [Held(app, f"in-flight-{i}") for i in range(2)]
    scale = ctl.start(app, "scale", "1")
    app.wait_log("generation 1 serves")
    time.sleep(0.1)  # nothing is to happen
    assert scale.poll() is None
    release(app)
    assert ctl.outcome(scale) == (0, "1 workers")
    assert [Response(request.answer()).status for request in requests] == [200] * 2


@pytest.mark.parametrize("how, why", [
    ("throw 1;", "worker 2 could not start: on_worker_start threw: something that is no std::exception"),
    ("_exit(7);", "worker 2 was ended with exit status 7 while it started"),
])  # fmt: skip
def test_scale_is_a_failure_when_a_worker_can_not_start(server, ctl, build_app, how, why):
    app = server(control="control.sock", app=build_app("""
        #include <forktail/app.h>
        #include <unistd.h>
        struct Fragile : forktail::App {
          void on_worker_start(const forktail::Worker& worker) override {
            if (worker.id == 2) { %s }
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
        };
        FORKTAIL_APP(Fragile)
    """ % how))
    assert ctl(app, "scale", "2") == (1, f"forktail ctl: {why}; it is tried again")
    assert ctl(app, "scale", "1") == (0, "1 workers")
    assert app.get("/").status == 200


def test_status_is_the_stats_object(server, ctl):
    app = server(processes=2, control="control.sock")
    code, text = ctl(app, "status")
    assert code == 0
    assert text.startswith('{"version":"forktail ')


def test_stop_answers_what_is_in_flight_and_returns_when_the_server_has_ended(server, ctl, hold_app):
    app = server(app=hold_app, processes=2, control="control.sock")
    request = Held(app, "in-flight-1")
    stop = ctl.start(app, "stop")
    app.wait_log("stopping")
    assert stop.poll() is None
    release(app)
    assert Response(request.answer()).status == 200
    assert ctl.outcome(stop) == (0, "stopped")
    assert app.process.wait(LIMIT) == 0


SLOW_UNLINK = r"""
#include <dlfcn.h>
#include <unistd.h>

extern "C" int unlink(const char* path) noexcept {
  usleep(100000);
  return reinterpret_cast<int (*)(const char*)>(dlsym(RTLD_NEXT, "unlink"))(path);
}
"""


def test_stop_returns_when_the_sockets_and_the_pidfile_are_gone(server, ctl, environment, build_app):
    environment["LD_PRELOAD"] = str(build_app(SLOW_UNLINK))
    app = server(control="control.sock", stats="stats.sock", pidfile="pid")
    assert ctl(app, "stop") == (0, "stopped")
    assert not list(app.home.glob("*.sock")) and not (app.home / "pid").exists()
    assert app.process.wait(LIMIT) == 0


def test_what_is_asked_of_a_stopping_server_fails(server, ctl, hold_app):
    app = server(app=hold_app, processes=2, control="control.sock")
    request = Held(app, "in-flight-1")
    stop = ctl.start(app, "stop")
    app.wait_log("stopping")
    assert ctl(app, "reload") == (1, "forktail ctl: the server is stopping")
    assert ctl(app, "mode", "lazy") == (1, "forktail ctl: the server is stopping")
    release(app)
    assert request.answer()
    assert ctl.outcome(stop)[0] == 0


def test_reopen_returns_when_every_process_writes_to_the_new_file(server, ctl):
    app = server(processes=3, control="control.sock")
    log, old = app.home / "server.log", app.home / "server.log.1"
    log.rename(old)
    assert ctl(app, "reopen") == (0, "logs are reopened")
    size = old.stat().st_size
    for _ in range(30):
        app.get("/")
    assert old.stat().st_size == size


def test_reopen_waits_for_a_worker_in_a_request(server, ctl, hold_app):
    app = server(app=hold_app, control="control.sock")
    request = Held(app, "in-flight-1")
    (app.home / "server.log").rename(app.home / "server.log.1")
    reopen = ctl.start(app, "reopen")
    wait_for((app.home / "server.log").exists, "new log")
    assert reopen.poll() is None
    release(app)
    assert request.answer()
    assert ctl.outcome(reopen) == (0, "logs are reopened")


def test_reopen_that_fails_everywhere_names_everybody(server, ctl):
    app = server(processes=2, control="control.sock")
    log = app.home / "server.log"
    log.rename(app.home / "server.log.1")
    log.mkdir()
    who = "the master, worker 1 of generation 1, worker 2 of generation 1"
    assert ctl(app, "reopen") == (1, f"forktail ctl: the log could not be reopened by {who}; "
                                     "the old file stays in use there and says why")
    log.rmdir()
    assert ctl(app, "reopen") == (0, "logs are reopened")


NARROW = """
    #include <forktail/app.h>
    #include <sys/resource.h>
    struct Narrow : forktail::App {
      void on_worker_start(const forktail::Worker& worker) override {
        const rlimit none{3, 3};
        if (worker.id == 2) setrlimit(RLIMIT_NOFILE, &none);
      }
      forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
    };
    FORKTAIL_APP(Narrow)
"""


def test_a_worker_without_descriptors_leaves_connections_to_the_others(server, build_app):
    app = server(processes=2, app=build_app(NARROW))
    assert [app.get("/").status for _ in range(20)] == [200] * 20


def test_reopen_that_fails_in_one_worker_names_it(server, ctl, build_app):
    app = server(processes=2, control="control.sock", app=build_app(NARROW))
    old = app.home / "server.log.1"
    (app.home / "server.log").rename(old)
    code, text = ctl(app, "reopen")
    assert code == 1
    assert "by worker 2 of generation 1; the old file" in text
    assert old.read_text().count('"event":"log_reopen_failed"') == 1


def test_without_a_server_there_is_a_failure_that_says_so(server, ctl):
    app = server(start=False)
    code, text = ctl(app, "status")
    assert code == 1
    assert "cannot reach the server at" in text and "No such file" in text
    app = server(control="control.sock")
    app.process.kill()
    app.process.wait()
    for verb in ("reload", "stop", "reopen", "status"):
        code, text = ctl(app, verb)
        assert code == 1
        assert "Connection refused" in text


def test_a_server_that_dies_meanwhile_is_a_failure(server, ctl, hold_app):
    app = server(app=hold_app, control="control.sock")
    request = Held(app, "in-flight-1")
    stop = ctl.start(app, "stop")
    app.wait_log("stopping")
    app.process.kill()
    app.process.wait()
    assert ctl.outcome(stop) == (1, "forktail ctl: the server ended before it answered")
    assert request.answer() == b""


@pytest.mark.parametrize("words", [
    ["-c", "x"], ["reload"], ["-c", "x", "relaod"], ["-c", "x", "scale"], ["-c", "x", "scale", "0"],
    ["-c", "x", "scale", "many"], ["-c", "x", "mode"], ["-c", "x", "mode", "eager"],
    ["-c", "x", "stop", "now"],
], ids=" ".join)  # fmt: skip
def test_a_wrong_usage_is_2(forktail, environment, words):
    environment.pop("FORKTAIL_CONTROL", None)
    result = subprocess.run([forktail, "ctl", *words], env=environment, capture_output=True, text=True,
                            timeout=LIMIT, check=False)
    assert result.returncode == 2
    assert result.stderr


@pytest.mark.parametrize("line", [
    "dance", "scale", "scale 0", "scale two", "scale 1000", "mode eager", "", " reload-all",
])  # fmt: skip
def test_the_server_refuses_what_it_does_not_know(server, line):
    app = server(control="control.sock")
    answer = exchange(app.home / "control.sock", line.encode() + b"\n").decode()
    assert answer.startswith("failed ")
    assert app.get("/").status == 200


def test_only_the_servers_user_may_connect(server):
    app = server(control="control.sock")
    assert (app.home / "control.sock").stat().st_mode & 0o777 == 0o600


def test_the_socket_can_be_named_in_the_environment(server, forktail, environment):
    app = server(control="control.sock")
    result = subprocess.run([forktail, "ctl", "reload"], capture_output=True, text=True, timeout=LIMIT,
                            env={**environment, "FORKTAIL_CONTROL": str(app.home / "control.sock")},
                            check=False)
    assert (result.returncode, result.stdout) == (0, "generation 2 serves\n"), result
