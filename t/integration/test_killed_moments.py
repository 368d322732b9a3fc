"""A worker that is killed at one exact moment of a request on a kept connection, and what becomes of it.

The moment is chosen by functions that stand before libc's: the worker stops itself there, once.
"""

import os
import signal
from pathlib import Path

import pytest

from dispatch_support import Kept
from lib.hold import wait_held
from lib.waiting import wait_for

# Of a request whose id ends in "stop-here": whoever removes the file `before-read`, `after-read` or
# `after-answer` stops there.
STOPS = r"""
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// The packet of a request with this id, or the head of its answer.
static bool named(const void* bytes, ssize_t size) {
  return size > 0 && memmem(bytes, static_cast<size_t>(size), "stop-here", 9) != nullptr;
}

static void stop_once(const char* moment) {
  if (unlink(moment) == 0) {
    raise(SIGSTOP);
  }
}

extern "C" ssize_t recv(int socket, void* buffer, size_t size, int flags) {
  static auto* const libc = real<decltype(recv)>("recv");
  if (named(buffer, libc(socket, buffer, size, MSG_PEEK | MSG_DONTWAIT))) {
    memset(buffer, 0, size);  // nothing of it has been read
    stop_once("before-read");
    const ssize_t got = libc(socket, buffer, size, flags);
    stop_once("after-read");
    return got;
  }
  return libc(socket, buffer, size, flags);
}

extern "C" ssize_t send(int socket, const void* bytes, size_t size, int flags) {
  static auto* const libc = real<decltype(send)>("send");
  const ssize_t sent = libc(socket, bytes, size, flags);
  if (named(bytes, sent)) {
    stop_once("after-answer");
  }
  return sent;
}
"""


@pytest.fixture
def stopping(server, hold_app, build_app, environment):
    """stopping(...) is a server whose workers stop at a moment that stop_at() asks for."""
    environment["LD_PRELOAD"] = str(build_app(STOPS))
    return lambda **options: server(app=hold_app, processes=2, **options)


def stop_at(app, moment):
    (app.home / moment).touch()


def kill_stopped(app):
    """Kills the worker that has stopped; its pid."""

    def stopped():
        return next((pid for pid in app.workers().values()
                     if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"), None)

    pid = wait_for(stopped, "worker that has stopped")
    os.kill(pid, signal.SIGKILL)
    return pid


def answered_by(response):
    assert response.status == 200
    return int(response.body)


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_a_request_behind_an_answer_is_served_by_another_worker(stopping, mode):
    app = stopping(fork_mode=mode)
    with Kept(app) as peer:
        assert peer.ask().status == 200
        stop_at(app, "after-answer")
        first = answered_by(peer.ask(REQUEST_ID="answered-stop-here"))
        peer.send(REQUEST_ID="sent-behind-the-answer")
        assert kill_stopped(app) == first
        assert answered_by(peer.receive()) != first
        (line,) = app.wait_lines(event="answered")
        assert (line["request_id"], line["level"]) == ("answered-stop-here", "warn")
        assert f"(pid {first}) killed by SIGKILL after writing POST / (" in line["msg"]
        assert not app.log(event="lost")
        app.wait_lines(event="request", request_id="sent-behind-the-answer")


def test_with_threads_no_kept_connection_ends_that_no_request_died_in(stopping):
    app = stopping(threads=2)
    with Kept(app) as peer, Kept(app) as other:
        assert peer.ask().status == other.ask().status == 200
        app.wait_lines(2, event="request")  # no thread is in the midst of an answer any more
        stop_at(app, "after-answer")
        first = answered_by(peer.ask(REQUEST_ID="answered-stop-here"))
        peer.send(REQUEST_ID="sent-behind-the-answer")
        assert kill_stopped(app) == first
        assert answered_by(peer.receive()) != first
        assert other.ask().status == 200
        assert not app.log(event="lost")


def test_a_request_that_no_byte_was_read_of_is_served_by_another_worker(stopping):
    app = stopping()
    with Kept(app) as peer:
        assert peer.ask().status == 200
        stop_at(app, "before-read")
        peer.send(REQUEST_ID="not-begun-stop-here")
        killed = kill_stopped(app)
        assert answered_by(peer.receive()) != killed
        assert not app.log(event="lost")


def test_a_request_that_was_read_but_not_parsed_is_lost_by_name(stopping):
    app = stopping()
    with Kept(app) as peer:
        assert peer.ask().status == 200
        stop_at(app, "after-read")
        peer.send("/path", REQUEST_ID="not-parsed-stop-here", body=b"of a few bytes")
        kill_stopped(app)
        assert peer.receive() is None
        (line,) = app.wait_lines(event="lost")
        assert (line["request_id"], line["method"], line["path"]) == ("not-parsed-stop-here", "POST", "/path")
        assert "while reading POST /path (" in line["msg"]


def test_a_request_in_the_application_is_lost_whatever_has_come_behind_it(stopping):
    """What comes there is of a peer that does not wait for answers: nobody can tell where it begins."""
    app = stopping()
    with Kept(app) as peer:
        assert peer.ask().status == 200
        peer.send("/hold", REQUEST_ID="in-the-application")
        killed = int(wait_held(app)["in-the-application"])
        peer.send(REQUEST_ID="does-not-wait")
        os.kill(killed, signal.SIGKILL)
        assert peer.receive() is None
        (line,) = app.wait_lines(event="lost")
        assert line["request_id"] == "in-the-application"


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_a_request_that_a_dying_generation_has_not_read_is_served_by_the_next(server, hold_app, mode):
    app = server(app=hold_app, processes=1, fork_mode=mode)
    with Kept(app) as busy, Kept(app) as waiting:
        assert waiting.ask().status == 200
        busy.send("/hold", REQUEST_ID="held-by-the-first")
        first = int(wait_held(app)["held-by-the-first"])
        waiting.send(REQUEST_ID="unread-by-the-first")
        app.send_signal(signal.SIGHUP)
        app.wait_log("generation 2 serves")
        os.kill(first, signal.SIGKILL)
        assert answered_by(waiting.receive()) != first
        assert waiting.ask().status == 200
        assert busy.receive() is None
    assert [line["request_id"] for line in app.wait_lines(event="lost")] == ["held-by-the-first"]
