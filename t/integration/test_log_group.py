"""`log-group = request`: the lines of a request stand together, and none is lost with its worker."""

import os
import signal
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import uwsgi
from lib.server import refused
from lib.waiting import wait_for

SOURCE = r"""
#include <fcntl.h>
#include <forktail/app.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <thread>

class Talker : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context& context) override {
    for (int i = 0; i < 8; ++i) {
      spdlog::info("line {}", i);
      usleep(500);
    }
    std::thread([&] {
      const forktail::Scope scope(context);
      spdlog::info("line 8");
    }).join();
    if (request.path() == "/stuck") {
      close(creat(std::string(context.id()).c_str(), 0600));
      pause();
    }
    return {200, "text/plain", "said"};
  }
};
FORKTAIL_APP(Talker)
"""
MESSAGES = [f"line {i}" for i in range(9)]


@pytest.fixture(scope="module")
def talker(build_app):
    return build_app(SOURCE)


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_the_lines_of_a_request_stand_together(server, talker, record, mode):
    app = server(app=talker, log_group="request", processes=4, threads=2, fork_mode=mode)
    ids = [f"together-{number:04}" for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda one: app.get("/", REQUEST_ID=one).status, ids))
    assert answers == [200] * len(ids)
    wait_for(lambda: len(app.log(event="request")) == len(ids), "line for each request")

    blocks, previous, seq = defaultdict(list), None, defaultdict(int)
    for line in app.log():
        seq[line["pid"]] += 1
        assert line["seq"] == seq[line["pid"]], line
        if one := line.get("request_id"):
            assert one == previous or one not in blocks, f"{one} stands in two places"
            blocks[one].append(line["msg"])
        previous = one
    assert set(blocks) == set(ids)
    assert all(messages == [*MESSAGES, "GET / 200"] for messages in blocks.values())
    lines = sum(map(len, blocks.values()))
    record(f"{mode}: {len(blocks)} requests by 8 threads, {lines} lines, each request's together.")


def test_a_refork_goes_on_gathering_the_lines_of_a_request(server, talker, forktail):
    app = server(app=talker, log_group="request", processes=2, threads=2, control="control")
    assert app.get("/").status == 200
    done = subprocess.run([forktail, "ctl", "--control", app.home / "control", "refork"], text=True,
                          capture_output=True, timeout=30, check=False, env=app.environment)
    assert (done.returncode, done.stdout) == (0, "generation 2 serves\n"), done.stderr
    ids = [f"after-{number:02}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: app.get("/", REQUEST_ID=one).status, ids))
    assert answers == [200] * len(ids)
    wait_for(lambda: len([one for one in app.log(event="request") if one["request_id"] in ids]) == 40, "all lines")
    order = [line["request_id"] for line in app.log() if line.get("request_id") in ids]
    assert len([one for number, one in enumerate(order) if number == 0 or order[number - 1] != one]) == len(ids)


def stuck_request(app, one):
    """A connection whose request has said all its lines and waits."""
    client = uwsgi.connect(app.dial())
    client.sendall(uwsgi.packet(uwsgi.variables("/stuck", REQUEST_ID=one)))
    wait_for((app.home / one).exists, "request that is stuck")
    return client


def test_lines_are_in_the_log_after_a_second_however_long_the_request_takes(server, talker):
    app = server(app=talker, log_group="request", processes=1)
    with stuck_request(app, "stuck-0001"):
        assert app.log(request_id="stuck-0001") == []
        lines = app.wait_lines(len(MESSAGES), request_id="stuck-0001")
        assert [line["msg"] for line in lines] == MESSAGES
        assert not any("recovered" in line for line in lines)
        os.kill(app.workers()[1], signal.SIGKILL)


@pytest.mark.parametrize("mode", ["preload", "exec"])
def test_what_a_killed_worker_has_left_is_written_by_the_master_and_marked(server, talker, mode):
    app = server(app=talker, log_group="request", processes=1, fork_mode=mode)
    (worker,) = app.workers().values()
    with stuck_request(app, "killed-0001"):
        os.kill(worker, signal.SIGKILL)
        app.wait_lines(event="lost", request_id="killed-0001")
    left = app.log(request_id="killed-0001", worker=1)
    assert [line["msg"] for line in left] == MESSAGES
    assert all(line["recovered"] is True and line["pid"] == worker for line in left)


def test_another_word_is_refused(server):
    refused(server(start=False, log_group="minute").run(), "log-group", "minute", "request")
