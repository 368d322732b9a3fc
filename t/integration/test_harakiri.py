"""Requests that take too long: what the log says of them, what the application can do, what is killed."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import uwsgi
from lib.waiting import wait_for

# Every request but `/` and `/where` hangs. The hook notes its id in the file `timed_out`; then it lets
# `/rescue` go on, throws for `/throw`, and hangs itself for `/hang`.
SOURCE = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <forktail/app.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace {
std::atomic<bool> rescued;
}

extern "C" __attribute__((visibility("default"), noinline)) int stand_still(bool until_rescued) {
  while (!until_rescued || !rescued) {
    usleep(1000);
  }
  return 1;
}

class Stuck : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    const std::string path(request.path());
    if (path == "/where") {
      Dl_info info{};
      dladdr(reinterpret_cast<void*>(&stand_still), &info);
      return {200, "", std::to_string(reinterpret_cast<char*>(&stand_still) -
                                      static_cast<char*>(info.dli_fbase))};
    }
    if (path != "/") {
      stand_still(path == "/rescue");
    }
    return {200, "", std::to_string(getpid())};
  }

  void on_timeout(const forktail::Context& context) override {
    const std::string id(context.id());
    const std::string line = id + (forktail::current()->id() == id ? "" : " without a scope") + "\n";
    const int file = open("timed_out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (write(file, line.data(), line.size()) < 0) {
      _exit(9);
    }
    close(file);
    if (id.ends_with("rescue")) {
      rescued = true;
    } else if (id.ends_with("throw")) {
      throw std::runtime_error("the hook is broken");
    } else if (id.ends_with("hang")) {
      for (;;) {
        pause();
      }
    }
  }
};
FORKTAIL_APP(Stuck)
"""

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="session")
def stuck_in_request(build_app):
    return build_app(SOURCE)


def ask(app, path):
    """All that comes back, b"" when the connection was just closed. The id ends in the path."""
    sent = uwsgi.packet(uwsgi.variables(path, REQUEST_ID="overdue-" + path[1:]))
    return uwsgi.exchange(app.dial(), sent)


def hooks(app):
    path = app.home / "timed_out"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def message(line):
    return line["level"], line["request_id"], line["msg"]


@every_mode
def test_an_overdue_request_is_named_then_killed_at_the_end_of_grace(
        server, stuck_in_request, record, mode):
    app = server(app=stuck_in_request, processes=2, fork_mode=mode,
                 harakiri="200ms", harakiri_grace="300ms")
    before = app.workers()
    start = time.monotonic()
    assert ask(app, "/stuck") == b""
    seconds = time.monotonic() - start
    (lost,) = app.wait_lines(event="lost")
    worker, pid = lost["lost_worker"], before[lost["lost_worker"]]
    (warned,) = app.log(event="harakiri", request_id="overdue-stuck")
    (killed,) = app.log(event="harakiri_kill", request_id="overdue-stuck")
    record(f"{mode}: cut after {seconds * 1000:.0f} ms (200 ms and 300 ms of grace)\n"
           f"{warned['msg']}\n{killed['msg']}\n{lost['msg']}")
    assert 0.5 <= seconds < 1.5
    who, what = rf"worker {worker} \(pid {pid}\)", r"handling GET /stuck \((\d+) ms\)"
    for line, level, end, least in ((warned, "warn", "its grace has begun", 200),
                                    (killed, "error", "killing it", 500)):
        assert message(line)[:2] == (level, "overdue-stuck")
        assert (line["method"], line["path"], line["pid"]) == ("GET", "/stuck", app.pid)
        found = re.fullmatch(rf"harakiri: {who} is {what}; {end}", line["msg"])
        assert least <= int(found[1]) < least + 500
    assert re.fullmatch(rf"{who} killed by SIGKILL while {what}", lost["msg"])
    assert lost["request_id"] == "overdue-stuck"
    assert hooks(app) == ["overdue-stuck"]
    wait_for(lambda: set(app.workers()) == {1, 2}, "successor")
    other = 3 - worker
    assert app.workers()[other] == before[other]
    assert app.get("/").status == 200


@every_mode
def test_the_stack_of_the_stuck_thread_is_in_the_log_with_its_id(server, stuck_in_request, record, mode):
    app = server(app=stuck_in_request, harakiri="100ms", harakiri_grace="300ms", fork_mode=mode)
    begin, pid = int(app.get("/where").body), app.workers()[1]
    assert ask(app, "/stuck") == b""
    (line,) = app.log(event="harakiri_stack", request_id="overdue-stuck")
    record(f"{mode}: " + " ".join(line["stack"][:6]))
    assert message(line) == ("warn", "overdue-stuck", "where the overdue request is")
    assert (line["worker"], line["pid"], line["stuck_tid"]) == (1, pid, pid)
    assert line["tid"] != pid
    frames = [frame.split("+") for frame in line["stack"]]
    assert frames[0][0].startswith("libc")  # in usleep
    assert any(name == stuck_in_request.name and begin <= int(offset, 16) < begin + 100
               for name, offset in frames)
    assert any(name == "forktail" for name, _ in frames)


def test_the_hook_can_end_the_request_and_then_nothing_is_killed(server, stuck_in_request):
    app = server(app=stuck_in_request, harakiri="100ms", harakiri_grace="10s")
    workers = app.workers()
    assert uwsgi.Response(ask(app, "/rescue")).status == 200
    assert hooks(app) == ["overdue-rescue"]
    assert len(app.log(event="harakiri", request_id="overdue-rescue")) == 1
    assert not app.log(event="lost")
    assert app.workers() == workers


def test_a_hook_that_throws_is_reported_under_the_id(server, stuck_in_request):
    app = server(app=stuck_in_request, harakiri="100ms", harakiri_grace="200ms")
    assert ask(app, "/throw") == b""
    line = app.wait_log("on_timeout threw")
    assert message(line) == ("error", "overdue-throw", "on_timeout threw: the hook is broken")


def test_with_threads_each_overdue_request_has_its_line_its_stack_and_its_hook(server, stuck_in_request):
    app = server(app=stuck_in_request, threads=3, harakiri="300ms", harakiri_grace="400ms")
    paths = ["/a-hang", "/b-hang", "/c"]  # a hook that hangs keeps none of the others from being called
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda path: ask(app, path), paths)) == [b""] * 3
    ids = {"overdue-" + path[1:] for path in paths}
    assert {line["request_id"] for line in app.wait_lines(3, event="lost")} == ids
    stacks = app.log(event="harakiri_stack")
    assert {line["request_id"] for line in stacks} == ids
    assert len({line["stuck_tid"] for line in stacks}) == 3
    assert set(hooks(app)) == ids
    warned = [line["request_id"] for line in app.log(event="harakiri", level="warn")]
    assert sorted(warned) == sorted(ids)


def test_many_short_requests_are_not_one_long_one(server, stuck_in_request):
    app = server(app=stuck_in_request, harakiri="1s", harakiri_grace="50ms")
    end = time.monotonic() + 1.3
    while time.monotonic() < end:
        assert app.get("/").status == 200
    assert not app.log(event="harakiri")


def test_a_worker_that_reads_a_packet_is_bounded_by_socket_timeout(server, stuck_in_request):
    app = server(app=stuck_in_request, socket_timeout="300ms", harakiri="5s")
    workers = app.workers()
    start = time.monotonic()
    answer = uwsgi.Response(uwsgi.exchange(app.dial(), b"\0\x10\0\0half of"))
    assert 0.3 <= time.monotonic() - start < 1.5
    assert answer.status == 408
    assert "the packet did not come within socket-timeout (300 ms)" in app.wait_log("bad request")["msg"]
    assert app.workers() == workers
    assert not app.log(event="harakiri")


def test_a_request_that_is_overdue_while_it_is_read_is_named_without_an_id(server, stuck_in_request):
    app = server(app=stuck_in_request, socket_timeout="600ms", harakiri="200ms", harakiri_grace="10s")
    answer = uwsgi.Response(uwsgi.exchange(app.dial(), b"\0\x10\0\0half of"))
    assert answer.status == 408
    (warned,) = app.log(event="harakiri")
    assert re.search(r"is reading a request \(\d+ ms\); its grace has begun", warned["msg"])
    (stack,) = app.wait_lines(event="harakiri_stack")
    assert "request_id" not in warned and "request_id" not in stack
    assert hooks(app) == []  # the application has never seen the request


def test_a_slow_request_is_answered_and_has_a_line(server):
    app = server(slow_request="100ms")
    app.get("/sleep?ms=150", REQUEST_ID="slow-one")
    app.get("/", REQUEST_ID="quick-one")
    app.wait_lines(event="request", request_id="quick-one")
    (line,) = app.log(event="slow")
    assert message(line)[:2] == ("warn", "slow-one")
    assert (line["method"], line["path"]) == ("GET", "/sleep")
    assert re.fullmatch(r"slow request: GET /sleep took \d+ ms", line["msg"])
    assert 150 <= line["handle_ms"] < 1000


def test_without_slow_request_none_is_called_slow(server):
    app = server()
    app.get("/sleep?ms=150", REQUEST_ID="slow-one")
    app.wait_lines(event="request", request_id="slow-one")
    assert not app.log(event="slow")
