"""Root, and directories that other users can write to."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.look import SOURCE as LOOK
from lib.look import look
from lib.processes import MARKER, is_alive, marked
from lib.server import refused
from lib.tools import need_root
from lib.waiting import LIMIT, wait_for

NOBODY = pwd.getpwnam("nobody")
every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


@pytest.fixture(scope="session")
def look_app(build_app):
    return build_app(LOOK)


@pytest.fixture
def place(look_app):
    """place(MODE, OWNER) is a new directory that everybody can reach, with an application in it."""
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copy(look_app, Path(folder) / "look.so")

        def make(mode=0o755, owner=NOBODY.pw_uid):
            path = Path(tempfile.mkdtemp(dir=folder))
            path.chmod(mode)
            os.chown(path, owner, -1)
            return path

        make.app = Path(folder) / "look.so"
        yield make


@pytest.fixture
def as_nobody(server, place):
    """as_nobody(HOME) is a server that root starts and that becomes nobody."""

    def make(home, **options):
        return server(home=home, **{"app": place.app, "uid": "nobody", "gid": "nogroup", **options})

    return make


# What nobody has put in place of a log or a pidfile, or on the way there, to have root write to `victim`.
def as_link(theirs, victim):
    (theirs / "file").symlink_to(victim)
    return theirs / "file"


def as_link_to_nothing(theirs, victim):
    victim.unlink()
    return as_link(theirs, victim)


def as_link_to_its_directory(theirs, victim):
    (theirs / "logs").symlink_to(victim.parent)
    return theirs / "logs" / victim.name


def as_second_name(theirs, victim):
    os.link(victim, theirs / "file")
    return theirs / "file"


TRAPS = pytest.mark.parametrize("trap", [as_link, as_link_to_nothing, as_link_to_its_directory, as_second_name])


@TRAPS
@pytest.mark.parametrize("option", ["logto", "pidfile"])
def test_root_writes_to_no_file_that_another_user_leads_it_to(as_nobody, place, option, trap):
    theirs, ours = place(), place(owner=0)
    victim = ours / "passwd"
    victim.write_text("root\n")
    there = trap(theirs, victim)
    exists = victim.exists()
    refused(as_nobody(place(owner=0), start=False, **{option: there}).run(), str(there), "; ", code=1)
    assert victim.exists() == exists
    assert not exists or (victim.read_text(), victim.stat().st_uid) == ("root\n", 0)


def test_a_directory_of_many_is_as_good_a_trap(as_nobody, place):
    theirs, victim = place(0o1777, owner=0), place(owner=0) / "victim"
    victim.write_text("")
    as_link(theirs, victim)
    refused(as_nobody(place(owner=0), start=False, logto=theirs / "file").run(), "symbolic link", code=1)


def test_links_that_root_alone_can_make_are_followed(as_nobody, place):
    ours = place(owner=0)
    (ours / "real").mkdir()
    (ours / "logs").symlink_to("real/../real")
    (ours / "real" / "link").symlink_to(ours / "real" / "log")
    app = as_nobody(place(), logto=ours / "logs" / "link", quiet=True)
    assert app.get("/").status == 200
    assert '"event":"request"' in (ours / "real" / "log").read_text()


def test_the_standard_error_by_its_path_is_still_a_log(as_nobody, place):
    app = as_nobody(place(), start=False, logto="/dev/stderr", control="control.sock").start(quiet=True)
    assert app.get("/").status == 200
    wait_for(lambda: '"event":"request"' in app.stderr(), "line on the standard error")


def test_a_log_that_was_there_before_stays_its_owners(as_nobody, place):
    home = place()
    (home / "server.log").touch()
    os.chown(home / "server.log", 0, 0)
    app = as_nobody(home)
    assert app.get("/").status == 200
    assert (home / "server.log").stat().st_uid == 0


def test_a_log_that_root_made_is_the_servers(as_nobody, place):
    home = place(owner=0)
    app = as_nobody(home, control=place() / "control.sock")
    assert (home / "server.log").owner() == "nobody"
    ctl(app, "reopen")
    assert app.stop() == 0
    (home / "app.sock").unlink()  # in a directory that is root's


def ctl(app, *words):
    result = subprocess.run([app.binary, "ctl", "-c", app.options["control"], *words], cwd=app.home, text=True,
                            capture_output=True, timeout=LIMIT, check=False)
    assert result.returncode == 0, result
    return result.stdout


@every_mode
def test_a_number_without_a_name_does_not_keep_roots_group(as_nobody, place, mode):
    number = next(uid for uid in range(54321, 60000) if not known(uid))
    refused(as_nobody(place(), start=False, uid=number, gid=None, fork_mode=mode).run(), f"uid {number}", "`gid`",
            code=1)
    seen = look(as_nobody(place(0o777), uid=number, gid=number, fork_mode=mode))
    assert (seen["uid"], seen["gid"], seen["egid"], seen["groups"]) == (str(number), str(number), str(number), "0")


def known(uid):
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


@every_mode
def test_workers_of_another_user_can_dump_core_and_be_measured(as_nobody, place, mode):
    app = as_nobody(place(), fork_mode=mode, control="control.sock")
    for pid in (app.pid, app.template(), *app.workers().values()):
        # Of a process that can not, all files are root's.
        assert os.stat(f"/proc/{pid}/environ").st_uid == NOBODY.pw_uid
    assert '"pss":0' not in ctl(app, "status")


@pytest.mark.parametrize("option", ["chmod_socket", "chmod_stats"])
def test_a_socket_never_has_another_mode_than_it_is_to_have(server, tmp_path, environment, build_app, option):
    # Between bind and listen anybody who may could connect later, so the file is looked at as soon as it is there.
    environment["LD_PRELOAD"] = str(build_app(r"""
        #include <dlfcn.h>
        #include <stdio.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/un.h>
        extern "C" int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
          const auto real = reinterpret_cast<int (*)(int, const sockaddr*, socklen_t)>(dlsym(RTLD_NEXT, "bind"));
          const int result = real(fd, address, size);
          struct stat info {};
          if (address->sa_family == AF_UNIX && stat(reinterpret_cast<const sockaddr_un*>(address)->sun_path, &info) == 0) {
            FILE* out = fopen("modes", "a");
            fprintf(out, "%o\n", info.st_mode & 0777);
            fclose(out);
          }
          return result;
        }
    """))
    app = server(stats="stats.sock", umask="000", **{"chmod_socket": "600", "chmod_stats": "600", option: "640"})
    assert sorted((app.home / "modes").read_text().split()) == ["600", "640"]
    path = app.home / ("app.sock" if option == "chmod_socket" else "stats.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_socket_that_was_exchanged_meanwhile_is_not_given_away(as_nobody, place, environment, build_app):
    theirs = place()
    victim = place(owner=0) / "victim"
    victim.touch()
    environment["LD_PRELOAD"] = str(build_app(r"""
        #include <dlfcn.h>
        #include <stdlib.h>
        #include <sys/socket.h>
        #include <sys/un.h>
        #include <unistd.h>
        extern "C" int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
          const auto real = reinterpret_cast<int (*)(int, const sockaddr*, socklen_t)>(dlsym(RTLD_NEXT, "bind"));
          const int result = real(fd, address, size);
          if (address->sa_family == AF_UNIX && result == 0) {
            const char* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
            if (unlink(path) != 0 || symlink(getenv("VICTIM"), path) != 0) abort();
          }
          return result;
        }
    """))
    environment["VICTIM"] = str(victim)
    app = as_nobody(theirs, start=False, chown_socket="nobody")
    refused(app.run(), "app.sock", "was replaced by somebody else", code=1)
    assert victim.stat().st_uid == 0
    (theirs / "app.sock").unlink()


def test_a_socket_is_given_to_whom_chown_socket_names(server, place):
    app = server(home=place(), chown_socket="nobody:nogroup", chmod_socket="600")
    info = (app.home / "app.sock").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o600)


def test_reopen_is_no_failure_when_the_log_is_the_right_one(as_nobody, place):
    home = place()
    (home / "server.log").touch(0o600)  # root's, and opened by root
    app = as_nobody(home, processes=2, control="control.sock")
    assert ctl(app, "reopen") == "logs are reopened\n"
    app.get("/", REQUEST_ID="look-for-me-1")
    app.wait_lines(event="request", request_id="look-for-me-1")


@every_mode
def test_a_log_is_made_again_where_only_root_can_write(as_nobody, place, mode):
    logs, home = place(owner=0), place()
    log = logs / "log"
    app = as_nobody(home, start=False, processes=2, fork_mode=mode, control=home / "control.sock", logto=log)
    app.start(quiet=True)
    for turn in range(2):
        log.rename(logs / f"log.{turn}")
        assert ctl(app, "reopen") == "logs are reopened\n"
        app.get("/", REQUEST_ID=f"look-for-me-{turn}")
        wait_for(lambda turn=turn: f"look-for-me-{turn}" in log.read_text(), "line in the new log")
        assert (log.owner(), stat.S_IMODE(log.stat().st_mode)) == ("nobody", 0o640)
        if turn == 0:
            ctl(app, "upgrade")  # and the next server can do it as well
            assert app.process.wait(LIMIT) == 0
    ctl(app, "stop")
    wait_for(lambda: not (home / "control.sock").exists(), "end of the last server")


def test_who_makes_the_log_again_goes_through_no_link_and_ends_with_the_server(as_nobody, place, environment):
    theirs, ours = place(), place(owner=0)
    victim = ours / "victim"
    victim.write_text("root\n")
    app = as_nobody(theirs, control="control.sock")
    makers = [pid for pid, command in marked(environment[MARKER]).items() if "log maker" in command]
    assert len(makers) == 1
    (theirs / "server.log").rename(theirs / "old")
    (theirs / "server.log").symlink_to(victim)
    subprocess.run([app.binary, "ctl", "-c", "control.sock", "reopen"], cwd=theirs, capture_output=True,
                   timeout=LIMIT, check=False)
    assert (victim.read_text(), victim.stat().st_uid) == ("root\n", 0)
    app.process.kill()
    wait_for(lambda: not is_alive(makers[0]), "end of the last process")
    (theirs / "app.sock").unlink()
    (theirs / "server.log").unlink()


def test_a_log_where_the_server_may_not_look_is_no_complaint_of_each_new_worker(as_nobody, place):
    logs = place(0o700, owner=0)
    app = as_nobody(place(), start=False, processes=2, control="control.sock", logto=logs / "log")
    app.start(quiet=True)
    ctl(app, "scale", "4")
    assert "can not reopen" not in (logs / "log").read_text()


def tls(root, certificates):
    for name in ("backend.pem", "backend.key"):
        shutil.copy(certificates / name, root)
        (root / name).chmod(0o600)
    return {"tls_cert": root / "backend.pem", "tls_key": root / "backend.key"}


UPGRADES = {
    "a log": lambda root, _: {"logto": root / "log"},
    "a pidfile": lambda root, _: {"pidfile": root / "pid"},
    "a key": tls,
}


@pytest.mark.parametrize("what", UPGRADES)
def test_an_upgrade_goes_on_with_what_root_opened(as_nobody, place, certificates, what):
    root = place(0o700, owner=0)
    home = place()
    options = UPGRADES[what](root, certificates)
    app = as_nobody(home, start=False, control=home / "control.sock", **options).start(quiet=True)
    first = app.pid
    successor = int(ctl(app, "upgrade").split("pid ")[1].split()[0])
    try:
        assert app.process.wait(LIMIT) == 0
        assert app.get("/", REQUEST_ID="look-for-me-1").status == 200
        if what == "a log":
            wait_for(lambda: '"request_id":"look-for-me-1"' in (root / "log").read_text(), "line of the new server")
        elif what == "a pidfile":
            assert (root / "pid").read_text() == f"{successor}\n" != f"{first}\n"
        assert int(ctl(app, "upgrade").split("pid ")[1].split()[0]) != successor  # and a second time
    finally:
        ctl(app, "stop")
    wait_for(lambda: not (home / "control.sock").exists(), "end of the last server")
    if what == "a pidfile":
        assert (root / "pid").read_text() == ""  # it can not be removed, but it names nobody


def test_a_reload_goes_on_with_a_key_that_root_read(as_nobody, place, certificates):
    root, home = place(0o700, owner=0), place()
    app = as_nobody(home, control=home / "control.sock", **tls(root, certificates))
    assert ctl(app, "reload") == "generation 2 serves\n"
    kept = app.wait_lines(2, event="certificate_kept")
    assert [line["option"] for line in kept] == ["tls-cert", "tls-key"]
    assert app.get("/").status == 200
