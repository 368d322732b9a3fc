"""A reload costs nothing: the new generation serves before the old one leaves, or not at all."""

import signal

import pytest

from lib import uwsgi
from lib.deploy import THROWS, replace
from lib.hold import Held, release
from lib.load import Load
from lib.processes import children_of
from lib.tools import QUICK
from lib.waiting import wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@every_mode
def test_reloads_under_load_lose_no_request(server, nginx, record, mode):
    app = server(processes=2, fork_mode=mode)
    web = nginx(to=app)
    reloads = 3 if QUICK else 10
    with Load(web.get) as load:
        for generation in range(2, reloads + 2):
            answered = load.answered
            app.send_signal(signal.SIGHUP)
            app.wait_log(f"generation {generation} serves")
            wait_for(lambda: load.answered > answered + 20, "answers of the new generation")  # noqa: B023
    record(f"{mode}: {load.answered} requests over {reloads} reloads, {len(load.failures)} failed")
    assert not load.failures
    assert not web.errors()
    wait_for(lambda: len(children_of(app.pid)) == 3, "end of the old generations")
    assert not [line for line in app.log() if line["level"] in ("error", "critical")]


@every_mode
def test_a_reload_loads_the_new_application(with_own_app, build_app, hold_app, mode):
    app = with_own_app(hold_app, fork_mode=mode, processes=2)
    replace(app, "app.so", build_app("""
        #include <forktail/app.h>
        class New : public forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context& context) override {
            return {200, "text/plain", "new, generation " + std::to_string(context.worker().generation)};
          }
        };
        FORKTAIL_APP(New)
    """))
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 1 has left")
    assert app.get("/").body == b"new, generation 2"


def test_a_reload_reads_the_ini_file_anew(server, forkfacts):
    app = server(start=False, config="forktail.ini", app=None)
    ini = app.home / "forktail.ini"
    ini.write_text(f"[forktail]\napp = {forkfacts}\nprocesses = 2\n")
    app.start()
    ini.write_text(f"[forktail]\napp = {forkfacts}\nprocesses = 3\nfork-mode = lazy\n")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves with 3 workers, fork mode lazy")
    app.wait_log("generation 1 has left")
    assert len(app.workers()) == 3
    assert app.get("/").json()["fork_mode"] == "lazy"


def test_the_old_generation_finishes_its_requests(server, hold_app):
    app = server(app=hold_app, processes=2)
    request = Held(app, "in-flight-1")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")
    assert int(app.get("/").body) != request.pid
    release(app)
    assert int(uwsgi.Response(request.answer()).body) == request.pid
    app.wait_log("generation 1 has left")
    assert not app.log(event="lost")


def test_an_old_generation_that_does_not_leave_is_killed_at_the_end_of_mercy(server, hold_app):
    app = server(app=hold_app, reload_mercy="200ms")
    request = Held(app, "cut-by-mercys-end")
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 1 has left")
    assert request.answer() == b""
    (lost,) = app.log(event="lost")
    assert lost["request_id"] == "cut-by-mercys-end"
    assert app.get("/").status == 200


@every_mode
def test_a_broken_application_keeps_the_old_generation_and_is_reported(with_own_app, build_app, hold_app, mode):
    app = with_own_app(hold_app, processes=2, fork_mode=mode)
    workers = app.workers()
    for broken, why in ((build_app(THROWS), "its constructor threw: no database"),
                        (__file__, "app.so"),
                        (build_app("int x;"), "is no forktail application")):
        before = len(app.log())
        replace(app, "app.so", broken)
        app.send_signal(signal.SIGHUP)
        line = app.wait_log("could not start, generation 1 goes on serving", before)
        assert why in line["msg"]
        assert line["level"] == "error"
        assert app.get("/").status == 200
    assert app.workers() == workers
    wait_for(lambda: len(children_of(app.pid)) == 3, "end of the broken generation")
    replace(app, "app.so", hold_app)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 5 serves")


HALF_BROKEN = r"""
    #include <forktail/app.h>
    #include <fcntl.h>
    #include <unistd.h>

    #include <stdexcept>
    class HalfBroken : public forktail::App {
     public:
      void on_worker_start(const forktail::Worker& worker) override {
        while (worker.id == 2 && access("taken", F_OK) != 0) {
          usleep(1000);
        }
        if (worker.id == 2) {
          throw std::runtime_error("no second database");
        }
      }
      forktail::Response handle(const forktail::Request&, forktail::Context&) override {
        close(open("taken", O_CREAT | O_WRONLY, 0600));
        usleep(500'000);
        return {200, "text/plain", "new"};
      }
    };
    FORKTAIL_APP(HalfBroken)
"""


@every_mode
def test_a_generation_that_fails_answers_what_its_ready_workers_have_taken(with_own_app, build_app, hold_app, mode):
    app = with_own_app(hold_app, processes=2, fork_mode=mode)
    replace(app, "app.so", build_app(HALF_BROKEN))
    with Load(app.get) as load:
        app.send_signal(signal.SIGHUP)
        line = app.wait_log("could not start, generation 1 goes on serving")
    assert "no second database" in line["msg"]
    assert (app.home / "taken").exists()
    assert load.failures == []


@pytest.mark.parametrize("text, why", [
    ("[forktail]\nproceses = 2\n", "unknown key `proceses`; did you mean `processes`?"),
    ("[forktail]\nprocesses = 0\n", "processes"),
    ("[forktail]\n", "app: is missing"),
    (None, "forktail.ini: cannot be read"),
])
def test_a_broken_ini_file_keeps_the_old_generation_and_is_reported(server, forkfacts, text, why):
    app = server(start=False, config="forktail.ini", app=None)
    ini = app.home / "forktail.ini"
    ini.write_text(f"[forktail]\napp = {forkfacts}\n")
    app.start()
    workers = app.workers()
    if text is None:
        ini.unlink()
    else:
        ini.write_text(text)
    app.send_signal(signal.SIGHUP)
    line = app.wait_log("can not reload, nothing has changed")
    assert why in line["msg"]
    assert app.workers() == workers
    assert app.get("/").status == 200


def test_a_broken_application_after_winch_does_not_end_the_master(with_own_app, hold_app):
    app = with_own_app(hold_app)
    app.send_signal(signal.SIGWINCH)
    app.wait_log("generation 1 has left")
    replace(app, "app.so", __file__)
    app.send_signal(signal.SIGHUP)
    app.wait_log("could not start")
    replace(app, "app.so", hold_app)
    app.send_signal(signal.SIGHUP)
    app.wait_log("generation 3 serves")
    assert app.get("/").status == 200


def test_many_reloads_at_once_end_in_one_generation(server, record):
    app = server(processes=2)
    for _ in range(25):
        app.send_signal(signal.SIGHUP)
    app.wait_log("generation 2 serves")

    def settled():
        lines = [line["msg"] for line in app.log()]
        started = max(int(line.split()[1]) for line in lines if " serves with" in line)
        left = [line for line in lines if line.endswith("has left")]
        return started if len(left) == started - 1 and len(children_of(app.pid)) == 3 else None

    last = wait_for(settled, "single generation")
    record(f"25 reload signals at once: generation {last} remains, with a template and 2 workers")
    assert app.get("/").status == 200


def test_a_stop_during_a_reload_stops(with_own_app, stuck_app, hold_app):
    app = with_own_app(hold_app)
    replace(app, "app.so", stuck_app)
    app.send_signal(signal.SIGHUP)
    wait_for((app.home / "loading").exists, "application that loads")
    assert app.stop() == 0
