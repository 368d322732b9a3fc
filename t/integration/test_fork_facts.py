"""What is the same, and what differs, in workers that were forked: the four questions of
docs/fork-facts.md, one test each, for each fork mode."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lib.waiting import wait_for

WORKERS = 4
every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture
def facts_of(server):
    """facts_of(mode) is a server and its workers' first answers, by worker."""

    def ask(mode):
        if mode == "exec" and Path("/proc/sys/kernel/randomize_va_space").read_text().strip() == "0":
            pytest.skip("address randomisation is off: an exec changes nothing")
        app = server(processes=WORKERS, fork_mode=mode)
        answers = {}

        def one_more(_):
            facts = app.get("/").json()
            if facts["counter"] == 1:
                answers[facts["worker"]] = facts
            return facts

        def all_answered():
            list(pool.map(one_more, range(2 * WORKERS)))
            return len(answers) == WORKERS

        with ThreadPoolExecutor(2 * WORKERS) as pool:
            wait_for(all_answered, "answer of every worker")
        return app, [answers[worker] for worker in sorted(answers)]

    return ask


def table(title, facts, names):
    rows = [[name, *[str(fact["thread"][name[7:]] if name.startswith("thread.") else fact[name])
                     for fact in facts]] for name in names]
    return "\n".join([title] + ["  ".join(f"{cell:<20}" for cell in row) for row in rows])


def distinct(facts, name):
    return {fact[name] for fact in facts}


@every_mode
def test_preload_loads_once_lazy_and_exec_load_in_each_worker(facts_of, record, mode):
    app, facts = facts_of(mode)
    loads = [line["pid"] for line in app.log() if line["msg"].startswith("loaded in pid")]
    record(table(f"{mode}: loaded {len(loads)} times, in pids {loads}", facts, ["pid", "load_pid", "loads"]))
    assert {fact["fork_mode"] for fact in facts} == {mode}
    assert distinct(facts, "loads") == {1}
    assert sorted(distinct(facts, "load_pid")) == sorted(loads)
    if mode == "preload":
        assert loads == [app.template()]
    else:
        assert sorted(loads) == sorted(fact["pid"] for fact in facts)


@every_mode
def test_are_virtual_addresses_the_same_in_forked_processes(facts_of, record, mode):
    _, facts = facts_of(mode)
    names = ["address_static", "address_heap_load", "address_heap_worker"]
    record(table(f"{mode}: addresses", facts, names))
    for name in names:
        assert len(distinct(facts, name)) == (WORKERS if mode == "exec" else 1)


@every_mode
def test_can_thread_ids_be_the_same(facts_of, record, mode):
    _, facts = facts_of(mode)
    record(table(f"{mode}: ids of the main threads", facts, ["pid", "tid", "pthread_self"]))
    assert len(distinct(facts, "pthread_self")) == (WORKERS if mode == "exec" else 1)
    assert len(distinct(facts, "tid")) == WORKERS
    assert all(fact["tid"] == fact["pid"] for fact in facts)


@every_mode
def test_what_are_the_ids_of_threads_created_after_the_fork(facts_of, record, mode):
    _, facts = facts_of(mode)
    record(table(f"{mode}: ids of the first thread that each worker makes", facts,
                 ["pid", "thread.tid", "thread.pthread_self", "thread.address_stack"]))
    threads = [fact["thread"] for fact in facts]
    for name in ("pthread_self", "address_stack"):
        assert len(distinct(threads, name)) == (WORKERS if mode == "exec" else 1)
    assert len(distinct(threads, "tid")) == WORKERS
    assert not distinct(threads, "tid") & distinct(facts, "pid")


@every_mode
def test_what_are_thread_names_after_a_fork(facts_of, record, mode):
    _, facts = facts_of(mode)
    record(table(f"{mode}: thread names", facts, ["thread_name", "thread.thread_name"]))
    assert len(distinct(facts, "thread_name")) == 1
    assert all(fact["thread"]["thread_name"] == fact["thread_name"] for fact in facts)


@every_mode
def test_a_generator_seeded_at_load_draws_the_same_numbers_in_workers_that_were_forked_after_it(
        facts_of, record, mode):
    _, facts = facts_of(mode)
    record(table(f"{mode}: counter and first two random numbers", facts,
                 ["counter", "random", "thread.counter", "thread.random"]))
    assert distinct(facts, "counter") == {1}
    for draws in (facts, [fact["thread"] for fact in facts]):
        assert len(distinct(draws, "random")) == (1 if mode == "preload" else WORKERS)
    assert all(fact["random"] != fact["thread"]["random"] for fact in facts)


@every_mode
def test_a_thread_sees_what_its_process_sees(facts_of, mode):
    _, facts = facts_of(mode)
    differing = {"tid", "pthread_self", "counter", "random"}
    for fact in facts:
        thread = fact.pop("thread")
        assert set(thread) == {*fact, "address_stack"}
        assert {name for name in fact if thread[name] != fact[name]} == differing


def test_the_log_lines_of_a_request_tell_what_its_answer_tells(server):
    app = server(processes=2)
    facts = app.get("/", REQUEST_ID="look-for-me").json()
    begin, counter, thread, end, _ = (line["msg"] for line in app.wait_lines(5, request_id="look-for-me"))

    def words(facts, *names):
        return " ".join(f"{name} {facts[name]}" for name in names)

    identity = ("tid", "pthread_self", "thread_name")
    addresses = ("address_static", "address_heap_load", "address_heap_worker")
    assert begin == "begin " + words(facts, "pid", *identity, "loads", "load_pid")
    assert counter == words(facts, "counter", "random", *addresses)
    assert thread == "in a thread " + words(
        facts["thread"], *identity, "counter", "random", *addresses, "address_stack")
    assert end == "end"
