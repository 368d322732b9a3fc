"""`forktail doctor --pid`: what the workers of a running server share, seen from outside, on the servers that people have."""

import json
import os
import subprocess

import pytest

from lib import prefork as apps
from lib.prefork import Prefork
from lib.tools import need_root
from lib.waiting import LIMIT


@pytest.fixture
def prefork(environment):
    one = Prefork(environment)
    yield one
    one.end()


@pytest.fixture
def doctor(forktail, environment):
    def run(pid, *words, **options):
        return subprocess.run([forktail, "doctor", "--pid", str(pid), *words], env=environment, text=True,
                              capture_output=True, timeout=6 * LIMIT, check=False, **options)

    return run


@pytest.fixture
def examine(doctor):
    """examine(PID) is the JSON of the report."""

    def run(pid, *words):
        result = doctor(pid, "--json", *words)
        assert not result.stderr
        report = json.loads(result.stdout)
        assert result.returncode == report["exit_code"], report
        return report

    return run


def names(report):
    """Of all that is to be mended."""
    return {one["name"] for one in report["findings"] if one["harm"]}


CLEAN_SERVERS = {
    "uWSGI, preloaded": lambda prefork: prefork.uwsgi(apps.CLEAN)[0],
    "uWSGI, lazy": lambda prefork: prefork.uwsgi(apps.CLEAN, "--lazy-apps")[0],
    "uWSGI with what it has": lambda prefork: prefork.uwsgi(
        apps.CLEAN, "--threads", "2", "--mule", "--cache2", "name=one,items=10", "--sharedarea", "1", "--log-master",
        "--stats", "stats.sock", "--master-fifo", "fifo", "--cheaper", "3")[0],
    "uWSGI with its locks": lambda prefork: prefork.uwsgi(apps.CLEAN, "--thunder-lock", "--locks", "2")[0],
    "uWSGI with SysV semaphores": lambda prefork: prefork.uwsgi(apps.CLEAN, "--lock-engine", "ipcsem", "--thunder-lock")[0],
    "uWSGI with logs and helpers": lambda prefork: prefork.uwsgi(
        apps.CLEAN, "--logto", "uwsgi.log", "--threaded-logger", "--offload-threads", "1", "--spooler", "spool", "--queue", "10",
        "--touch-reload", "app.py", "--harakiri", "30", "--memory-report")[0],
    "gunicorn, preloaded": lambda prefork: prefork.gunicorn(apps.CLEAN, "--preload")[0],
    "gunicorn, lazy": lambda prefork: prefork.gunicorn(apps.CLEAN)[0],
    "gunicorn, threads and a log": lambda prefork: prefork.gunicorn(
        apps.CLEAN, "--preload", "-k", "gthread", "--threads", "3", "--access-logfile", "access.log")[0],
    "gunicorn, lazy, with traps": lambda prefork: prefork.gunicorn(apps.TRAPS)[0],
    "uWSGI, lazy, with traps": lambda prefork: prefork.uwsgi(apps.TRAPS, "--lazy-apps")[0],
    "gunicorn, statsd and a pidfile": lambda prefork: prefork.gunicorn(
        apps.CLEAN, "--preload", "--statsd-host", "127.0.0.1:8125", "--pid", "pid", "--error-logfile", "error.log",
        "--capture-output")[0],
    "php-fpm": lambda prefork: prefork.php_fpm(traps=False),
    "Apache": lambda prefork: prefork.apache(traps=False),
    "Puma": lambda prefork: prefork.puma(traps=False),
}


@pytest.mark.parametrize("server_name", CLEAN_SERVERS)
def test_nothing_is_found_in_a_server_whose_application_shares_nothing(prefork, doctor, server_name):
    pid = CLEAN_SERVERS[server_name](prefork)
    result = doctor(pid)
    assert result.stdout.splitlines()[-1] == "preload is safe", result.stdout
    assert (result.returncode, result.stderr) == (0, "")
    assert "to mend" not in result.stdout


@pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])
def test_nothing_is_found_in_forktails_own(server, doctor, mode):
    app = server(processes=3, fork_mode=mode, stats="stats.sock", control="control.sock")
    result = doctor(app.pid)
    assert result.stdout.splitlines()[-1] == "preload is safe", result.stdout
    assert result.stdout.startswith("forktail, master")


TRAPPED_SERVERS = {
    "uWSGI": lambda prefork: prefork.uwsgi(apps.TRAPS)[0],
    "gunicorn": lambda prefork: prefork.gunicorn(apps.TRAPS, "--preload")[0],
}


@pytest.mark.parametrize("server_name", TRAPPED_SERVERS)
def test_each_trap_of_a_preloaded_application_is_found_by_name(prefork, examine, server_name):
    pid = TRAPPED_SERVERS[server_name](prefork)
    report = examine(pid)
    assert report["subject"].startswith(server_name)
    found = {one["name"]: one for one in report["findings"]}
    thread = "uwsgi" if server_name == "uWSGI" else "gunicorn"
    assert {name for name in found if found[name]["harm"]} == {
        f"connection 127.0.0.1:{prefork.peer.port}", f"connection {prefork.peer.path}", f"file {prefork.home}/trap.log",
        "epoll", "eventfd", "pipe", "deleted_file /tmp/", f"thread {thread}"}
    assert report["verdict"] == f"use lazy, or mend these {report['count']}"
    assert report["count"] == 8 and report["exit_code"] == 1
    assert not found[f"shared_mapping {prefork.home}/memory"]["harm"]
    connection = found[f"connection 127.0.0.1:{prefork.peer.port}"]
    assert "in 4 of 4 workers" in connection["what"]
    assert f"pid {pid}" in connection["evidence"]  # the master has it too
    hook = "postfork" if server_name == "uWSGI" else "post_fork"
    assert hook in connection["cure"]


@pytest.mark.parametrize("server_name", ["php_fpm", "apache"])
def test_what_a_php_application_opens_in_the_master_is_found(prefork, examine, server_name):
    report = examine(getattr(prefork, server_name)(traps=True))
    assert names(report) == {f"connection 127.0.0.1:{prefork.peer.port}", f"file {prefork.home}/trap.log", "epoll"}


def test_what_a_ruby_application_opens_before_the_fork_is_found(prefork, examine):
    found = names(examine(prefork.puma(traps=True)))
    assert {f"connection 127.0.0.1:{prefork.peer.port}", f"file {prefork.home}/trap.log"} <= found
    assert any(name.startswith("thread ") for name in found)
    assert len(found) == 3, found


def test_what_forktail_preloads_is_found_and_lazily_it_is_not(server, build_app, prefork, examine):
    app = build_app("""
        #include <arpa/inet.h>
        #include <forktail/app.h>
        #include <sys/epoll.h>
        #include <sys/socket.h>
        #include <cstdlib>
        #include <thread>
        class Trapped : public forktail::App {
         public:
          Trapped() : epoll_(epoll_create1(0)), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
            sockaddr_in peer{};
            peer.sin_family = AF_INET;
            peer.sin_port = htons(static_cast<in_port_t>(atoi(getenv("PEER_PORT"))));
            peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            if (connect(socket_, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) != 0) std::abort();
            std::thread([] { pthread_setname_np(pthread_self(), "pool"); for (;;) pause(); }).detach();
          }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
         private:
          int epoll_;
          int socket_;
        };
        FORKTAIL_APP(Trapped)
    """)
    port = prefork.peer.port
    preloaded = server(app=app, processes=3, env=f"PEER_PORT={port}")
    assert names(examine(preloaded.pid)) == {f"connection 127.0.0.1:{port}", "epoll", "thread pool"}
    lazy = server(app=app, processes=3, env=f"PEER_PORT={port}", fork_mode="lazy")
    assert names(examine(lazy.pid)) == set()


def test_a_lock_that_was_taken_at_load_is_found(prefork, examine):
    pid, _ = prefork.gunicorn('import fcntl\nlock = open("lock", "a")\nfcntl.flock(lock, fcntl.LOCK_EX)\n'
                              'held = open("held", "w")\nfcntl.lockf(held, fcntl.LOCK_EX)\n' + apps.CLEAN, "--preload")
    assert names(examine(pid)) == {f"file_lock {prefork.home}/lock", f"file_lock {prefork.home}/held",
                                   f"file {prefork.home}/held"}


def test_the_expected_findings_of_a_file_fail_nobody(prefork, doctor, examine, tmp_path):
    pid, _ = prefork.gunicorn('log = open("trap.log", "w")\n' + apps.CLEAN, "--preload")
    expect = tmp_path / "expect"
    expect.write_text(f"# known\nfile {prefork.home}/*.log\nthread gone\n")
    report = examine(pid, "--expect", str(expect))
    assert (report["exit_code"], report["verdict"]) == (0, "preload is safe")
    assert str(expect) in report["findings"][0]["declared"]
    assert any("thread gone" in note for note in report["notes"])
    assert doctor(pid, "--expect", str(tmp_path / "none")).returncode == 2


def test_thousands_of_open_files_take_no_longer_than_it_may(prefork, examine):
    """All of one path: nothing but the kernel tells them apart."""
    source = ('import resource, socket\nresource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))\n'
              'files = [open("many.log", "w") for _ in range(2000)]\n'
              'pairs = [socket.socketpair() for _ in range(500)]\n' + apps.CLEAN)
    pid, _ = prefork.uwsgi(source, workers=8)
    report = examine(pid)
    found = {one["name"]: one for one in report["findings"]}
    assert "(2000 of them)" in found[f"file {prefork.home}/many.log"]["what"]
    assert "(1000 of them)" in found["socket pair"]["what"]
    assert all(len(one["evidence"]) < 2000 for one in report["findings"])


def test_the_memory_of_master_and_workers_is_told(prefork, examine):
    pid, _ = prefork.gunicorn(apps.CLEAN, "--preload", workers=3)
    rows = examine(pid)["tables"]["memory"]
    assert [row["process"].split()[0] for row in rows] == ["master", "worker", "worker", "worker", "all"]
    for row in rows[:-1]:
        assert 0 < row["private_kib"] < row["pss_kib"] < row["rss_kib"]
    assert rows[-1]["pss_kib"] == sum(row["pss_kib"] for row in rows[:-1])


def test_what_can_not_be_examined_is_told_and_not_safe(doctor, prefork):
    nobody = doctor(2**22 - 1)
    assert nobody.returncode == 2 and "there is no such process" in nobody.stdout
    alone = doctor(os.getpid())
    assert alone.returncode == 2 and "has no workers" in alone.stdout
    pid, _ = prefork.gunicorn(apps.CLEAN)
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        worker = children.read().split()[0]
    of_worker = doctor(worker)
    assert of_worker.returncode == 2 and f"of the master {pid}?" in of_worker.stdout
    assert "preload is safe" not in nobody.stdout + alone.stdout + of_worker.stdout


def test_another_users_server_is_refused_with_the_cure(prefork, forktail, environment, tmp_path):
    need_root()
    pid, _ = prefork.gunicorn(apps.CLEAN)
    program = prefork.home / "forktail"  # where anybody may execute it
    program.write_bytes(forktail.read_bytes())
    program.chmod(0o755)
    result = subprocess.run([program, "doctor", "--pid", str(pid)], env=environment, text=True, capture_output=True,
                            timeout=LIMIT, check=False, user="nobody", group="nogroup", extra_groups=[], cwd="/")
    assert result.returncode == 2
    assert "be its user, or root" in result.stdout


def test_a_wrong_usage_is_told(doctor):
    assert doctor("x").returncode == 2
    for words in (["--request", "GET /"], ["--probe", "/tmp/s", "--i-may-stop-workers"], ["--app", "x"],
                  ["--probe", "ftp://a", "--i-may-stop-workers", "--request", "/"],
                  ["--probe", "/tmp/s", "--i-may-stop-workers", "--request", "/", "--var", "novalue"],
                  ["--probe", "/tmp/s", "--i-may-stop-workers", "--request", "no path"]):
        result = doctor(os.getpid(), *words)
        assert result.returncode == 2 and result.stderr, words
