"""`forktail doctor --pid --probe`: one worker at a time is reached by stopping the others, and none is left stopped."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from lib import prefork as apps
from lib.prefork import Prefork
from lib.processes import children_of, state_of
from lib.tools import QUICK, give_up
from lib.waiting import LIMIT, free_port, wait_for

FLASK = '''
import itertools, os, random, time
import flask
app = flask.Flask(__name__)
loaded, thing, numbers, counter = time.time(), object(), random.Random(), itertools.count(1)
@app.route("/")
def facts():
    return dict(pid=os.getpid(), count=next(counter), loaded=loaded, address=hex(id(thing)), now=time.time(),
                token="%016x" % numbers.getrandbits(64), fresh=os.urandom(8).hex())
application = app
'''


@pytest.fixture
def prefork(environment):
    one = Prefork(environment)
    yield one
    one.end()


@pytest.fixture
def command(forktail):
    def make(pid, target, *requests, variables=()):
        asked = [word for request in requests or ["GET /"] for word in ("--request", request)]
        asked += [word for variable in variables for word in ("--var", variable)]
        return [forktail, "doctor", "--json", "--pid", str(pid), "--probe", target, "--i-may-stop-workers", *asked]

    return make


@pytest.fixture
def probe(command, environment):
    """probe(PID, TARGET) is the JSON of the report."""

    def run(pid, target, *requests, variables=()):
        result = subprocess.run(command(pid, target, *requests, variables=variables), env=environment, text=True, capture_output=True,
                                timeout=9 * LIMIT, check=False)
        assert not result.stderr
        assert not stopped(pid)
        report = json.loads(result.stdout)
        assert result.returncode == report["exit_code"]
        return report

    return run


def stopped(master):
    return [pid for pid in children_of(master) if state_of(pid) in ("T", "t")]


def markers(report):
    """Kind and field of each finding of the probe."""
    assert not report["failures"], report["failures"]
    return {(one["kind"], one["name"].split()[-1]) for one in report["findings"] if " GET /" in one["name"]}


def preloaded_and_lazy(prefork, name, source):
    if name == "uWSGI":
        return prefork.uwsgi(source), prefork.uwsgi(source, "--lazy-apps")
    return prefork.gunicorn(source, "--preload"), prefork.gunicorn(source)


@pytest.mark.parametrize("name", ["uWSGI", "gunicorn"])
def test_the_markers_of_a_preloaded_application_are_found_and_lazily_those_that_it_cures_are_not(prefork, probe, name):
    preloaded, lazy = preloaded_and_lazy(prefork, name, apps.MARKERS)
    assert markers(probe(*preloaded)) == {("counter", "count"), ("load_time", "loaded"), ("address", "address"),
                                          ("random", "token")}
    # A fork alone does not make addresses differ: whether they do is chance.
    assert markers(probe(*lazy)) - {("address", "address")} == {("counter", "count")}


def test_a_flask_application_under_gunicorn(prefork, probe):
    if subprocess.run(["/usr/bin/python3", "-c", "import flask"], stderr=subprocess.DEVNULL, check=False).returncode:
        give_up("Flask is not installed")
    preloaded, lazy = preloaded_and_lazy(prefork, "gunicorn", FLASK)
    assert markers(probe(*preloaded)) == {("counter", "count"), ("load_time", "loaded"), ("address", "address"),
                                          ("random", "token")}
    assert markers(probe(*lazy)) - {("address", "address")} == {("counter", "count")}


def test_a_clean_application_answers_without_findings(prefork, probe):
    for pid, target in (prefork.uwsgi(apps.CLEAN), prefork.gunicorn(apps.CLEAN, "--preload")):
        report = probe(pid, target, "GET /", "GET /again?a=1")
        assert report["verdict"] == "preload is safe", report["findings"]
        assert sum("of each of 4 workers: status 200" in note for note in report["notes"]) == 2


def test_the_processes_between_the_target_and_the_workers_go_on(prefork, probe):
    """uWSGI's HTTP router is a child of the master as the workers are."""
    if not os.path.exists("/usr/lib/uwsgi/plugins/http_plugin.so"):
        give_up("uWSGI's HTTP router is not installed")
    port = free_port()
    pid, _ = prefork.uwsgi(apps.MARKERS, "--plugin", "http", "--http", f"127.0.0.1:{port}")
    assert ("random", "token") in markers(probe(pid, f"http://127.0.0.1:{port}"))


def test_workers_that_are_not_equally_old_are_compared_all_the_same(prefork, probe):
    """A generator that has run further in one worker gives the same numbers, later."""
    pid, target = prefork.uwsgi(apps.MARKERS, workers=2)
    probe(pid, target)
    assert ("random", "token") in markers(probe(pid, target))


def test_http_over_a_unix_socket_is_spoken(prefork, probe):
    path = prefork.home / "http.sock"
    prefork.application(apps.MARKERS)
    pid = prefork.start("gunicorn", "--preload", "-w", "2", "-b", f"unix:{path}", "app:application", workers=2,
                        address=path)
    assert ("random", "token") in markers(probe(pid, f"http://unix:{path}"))


def test_https_is_spoken(prefork, probe, certificates):
    prefork.application(apps.MARKERS)
    port = free_port()
    for name in ("backend.pem", "backend.key"):
        target = prefork.home / name
        target.write_bytes((certificates / name).read_bytes())
        target.chmod(0o644)
    pid = prefork.start("gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "--certfile", "backend.pem",
                        "--keyfile", "backend.key", "app:application", workers=2, address=port)
    assert ("random", "token") in markers(probe(pid, f"https://127.0.0.1:{port}"))


PHP_MARKERS = """<?php
header("Content-Type: application/json");
echo json_encode(["pid" => getmypid(), "loaded" => LOADED, "fresh" => bin2hex(random_bytes(8)), "now" => microtime(true)]);
"""


def test_fastcgi_is_spoken_to_php(prefork, probe):
    """What opcache.preload defines is in every worker of php-fpm."""
    (prefork.home / "preload.php").write_text('<?php class Loaded { public static $by = "x"; }')
    (prefork.home / "index.php").write_text(PHP_MARKERS.replace("LOADED", "class_exists('Loaded')"))
    pid = prefork.php_fpm(traps=False)
    report = probe(pid, f"fcgi://unix:{prefork.home}/fpm.sock", "GET /index.php?a=1", variables=[f"DOCUMENT_ROOT={prefork.home}"])
    assert report["failures"] == [] and report["verdict"] == "preload is safe", report
    assert any("of each of 3 workers: status 200" in note for note in report["notes"]), report["notes"]
    report = probe(pid, f"fcgi://unix:{prefork.home}/fpm.sock", "GET /missing.php", variables=[f"DOCUMENT_ROOT={prefork.home}"])
    assert any("status 404" in note for note in report["notes"]), report["notes"]


def test_where_a_lock_decides_who_accepts_every_worker_is_reached(prefork, probe):
    pid, target = prefork.uwsgi(apps.MARKERS, "--thunder-lock")
    assert ("random", "token") in markers(probe(pid, target))


@pytest.mark.parametrize("kind", ["fcntl", "flock", "sysvsem", "pthread"])
def test_where_apaches_mutex_decides_who_accepts_every_worker_is_reached(prefork, probe, kind):
    pid, target = prefork.apache_with_mutex(kind)
    report = probe(pid, target, "GET /facts.php")
    assert not report["failures"]
    assert not report["findings"]
    assert "GET /facts.php was asked 3 times of each of 3 workers: status 200" in report["notes"]


def test_what_speaks_another_protocol_is_told_and_nobody_is_left_stopped(prefork, command, environment):
    pid, target = prefork.uwsgi(apps.CLEAN)
    result = subprocess.run(command(pid, f"fcgi://unix:{target}"), env=environment, text=True, capture_output=True,
                            timeout=9 * LIMIT, check=False)
    assert result.returncode == 2 and "failed" not in result.stderr
    assert json.loads(result.stdout)["failures"]
    assert not stopped(pid)


@pytest.mark.parametrize("mode", ["preload", "lazy"])
def test_forktails_own_workers_are_told_apart(server, probe, mode):
    app = server(processes=3, fork_mode=mode)
    found = markers(probe(app.pid, str(app.sockets()[0])))
    assert ("counter", "counter") in found
    assert (("random", "random") in found) == (mode == "preload")


def test_without_the_permission_to_stop_workers_it_is_refused(prefork, command, environment):
    pid, target = prefork.uwsgi(apps.CLEAN)
    words = [word for word in command(pid, target) if word != "--i-may-stop-workers"]
    result = subprocess.run(words, env=environment, text=True, capture_output=True, timeout=LIMIT, check=False)
    assert result.returncode == 2 and not result.stdout
    assert "test environments" in result.stderr and "--i-may-stop-workers" in result.stderr


def test_a_worker_that_somebody_else_has_stopped_stays_so_and_is_named(prefork, command, environment):
    pid, target = prefork.uwsgi(apps.CLEAN)
    worker = children_of(pid)[0]
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_for(lambda: stopped(pid) == [worker], "stopped worker")
        result = subprocess.run(command(pid, target), env=environment, text=True, capture_output=True, timeout=3 * LIMIT,
                                check=False)
        assert result.returncode == 2
        assert f"worker {worker} is stopped already" in json.loads(result.stdout)["failures"][0]
        assert stopped(pid) == [worker]
    finally:
        os.kill(worker, signal.SIGCONT)


def test_where_nobody_listens_the_probe_fails_and_no_worker_is_left_stopped(prefork, command, environment):
    pid, _ = prefork.uwsgi(apps.CLEAN)
    result = subprocess.run(command(pid, f"http://127.0.0.1:{free_port()}"), env=environment, text=True,
                            capture_output=True, timeout=6 * LIMIT, check=False)
    assert result.returncode == 2
    assert "can not connect" in json.loads(result.stdout)["failures"][0]
    assert not stopped(pid)


def test_an_application_that_never_answers_is_given_up_within_the_limit(prefork, command, environment):
    pid, target = prefork.uwsgi("import time\n" + apps.CLEAN.replace("start_response(", "time.sleep(1000)\n    start_response("))
    began = time.monotonic()
    result = subprocess.run(command(pid, target), env=environment, text=True, capture_output=True, timeout=9 * LIMIT,
                            check=False)
    assert result.returncode == 2
    assert "gave no answer" in json.loads(result.stdout)["failures"][0]
    assert time.monotonic() - began < 6 * LIMIT
    assert not stopped(pid)
    os.kill(pid, signal.SIGKILL)  # its workers do not listen to anything softer
    for worker in children_of(pid):
        os.kill(worker, signal.SIGKILL)


def seen_stopped(pid, process):
    """Waits for the moment in which workers stand still."""
    wait_for(lambda: stopped(pid) or process.poll() is not None, "stopped worker")
    assert process.poll() is None


SLOW = "import time\n" + apps.CLEAN.replace("start_response(", "time.sleep(0.05)\n    start_response(")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_ends_the_doctor_no_worker_is_left_stopped(prefork, command, environment, number):
    pid, target = prefork.uwsgi(SLOW)
    process = subprocess.Popen(command(pid, target), env=environment, stdout=subprocess.DEVNULL)
    seen_stopped(pid, process)
    process.send_signal(number)
    assert process.wait(LIMIT) == -number
    wait_for(lambda: not stopped(pid), "workers that go on")


def test_a_doctor_that_is_itself_stopped_lets_the_workers_go_on(prefork, command, environment):
    pid, target = prefork.uwsgi(SLOW)
    process = subprocess.Popen(command(pid, target), env=environment, stdout=subprocess.DEVNULL)
    seen_stopped(pid, process)
    (examiner,) = [child for child in children_of(process.pid)]
    os.kill(examiner, signal.SIGSTOP)
    try:
        wait_for(lambda: not stopped(pid), "workers that go on", 2 * LIMIT)
    finally:
        process.kill()
        process.wait(LIMIT)


def test_killed_at_50_random_moments_it_leaves_no_worker_stopped(prefork, command, environment, record):
    pid, target = prefork.gunicorn(SLOW, "--preload")
    chance = random.Random(17)
    caught = 0
    for _ in range(10 if QUICK else 50):
        process = subprocess.Popen(command(pid, target), env=environment, stdout=subprocess.DEVNULL)
        end = time.monotonic() + chance.uniform(0, 0.6)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.001)
        caught += bool(stopped(pid))
        process.kill()
        process.wait(LIMIT)
        wait_for(lambda: not stopped(pid), "workers that go on")
    assert caught > 0, "no moment had a stopped worker: the test tells nothing"
    record(f"in {caught} of the moments workers stood still, in none afterwards")
