"""The scheduling policy of the server's threads."""

import os

import pytest

from lib.tools import need
from lib.waiting import wait_for


def policies(pid):
    """Of each thread of a process."""
    return [os.sched_getscheduler(int(thread)) for thread in os.listdir(f"/proc/{pid}/task")]


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_with_batch_threads_that_serve_interrupt_nobody_when_they_are_woken(server, mode):
    app = server(processes=2, threads=3, fork_mode=mode, scheduling="batch")
    for worker in app.workers().values():
        wait_for(lambda: policies(worker).count(os.SCHED_BATCH) == 3, "three threads that interrupt nobody")
    assert policies(app.pid) == [os.SCHED_OTHER]
    assert policies(app.template()) == [os.SCHED_OTHER]


@pytest.mark.parametrize("policy", [None, "inherit"])
def test_without_it_they_are_as_the_server_was_started(server, policy):
    app = server(processes=2, threads=3, scheduling=policy)
    app.get("/")
    for worker in app.workers().values():
        assert set(policies(worker)) == {os.SCHED_OTHER}


def test_a_policy_that_the_operator_has_chosen_stays(server):
    app = server(start=False, scheduling="batch")
    command = app.command()
    app.command = lambda: [need("chrt"), "--idle", "0", *command]
    app.start()
    for worker in app.workers().values():
        assert set(policies(worker)) == {os.SCHED_IDLE}
