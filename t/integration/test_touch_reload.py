"""A reload by touching a file, as the last step of a deployment."""

import os

from lib.load import Load
from lib.waiting import wait_for


def generations(app):
    """Those that have served."""
    return [int(line["msg"].split()[1]) for line in app.log() if " serves with" in line["msg"]]


def wait_generation(app, number):
    wait_for(lambda: generations(app)[-1] == number, f"generation {number}")
    app.wait_log(f"generation {number - 1} has left")


def test_a_touched_file_reloads_under_load_and_loses_no_request(server, tmp_path, record):
    flag = tmp_path / "reload"
    flag.touch()
    app = server(processes=2, touch_reload=flag)
    with Load(app.get, clients=2) as load:
        os.utime(flag, (1, 1))
        wait_generation(app, 2)
        os.utime(flag, (2, 2))
        wait_generation(app, 3)
    record(f"{load.answered} requests over 2 touches, {len(load.failures)} failed")
    assert app.wait_log(f"{flag} was touched (touch-reload)")["level"] == "info"
    assert not load.failures


def test_any_of_several_files_reloads_and_an_untouched_one_does_not(server, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    app = server(touch_reload=[first, second])
    os.utime(second, (1, 1))
    wait_generation(app, 2)
    os.utime(first, (1, 1))
    wait_generation(app, 3)
    assert len(app.log(msg=f"{first} was touched (touch-reload)")) == 1
    assert len(app.log(msg=f"{second} was touched (touch-reload)")) == 1


def test_a_file_that_is_replaced_reloads_though_its_time_is_the_same(server, tmp_path):
    flag = tmp_path / "reload"
    for path in (flag, tmp_path / "new"):
        path.touch()
        os.utime(path, (1, 1))
    app = server(touch_reload=flag)
    os.replace(tmp_path / "new", flag)
    wait_generation(app, 2)


def test_a_file_that_appears_reloads_and_one_that_vanishes_does_not(server, tmp_path):
    flag, other = tmp_path / "reload", tmp_path / "other"
    flag.touch()
    app = server(touch_reload=[flag, other])
    flag.unlink()
    other.touch()
    wait_generation(app, 2)
    assert not app.log(msg=f"{flag} was touched (touch-reload)")
    flag.touch()
    wait_generation(app, 3)


def test_the_path_may_be_relative_and_the_list_is_read_anew(server, forkfacts):
    app = server(start=False, config="forktail.ini", app=None)
    (app.home / "one").touch()
    (app.home / "two").touch()
    ini = f"[forktail]\napp = {forkfacts}\n"
    (app.home / "forktail.ini").write_text(ini + "touch-reload = one\n")
    app.start()
    (app.home / "forktail.ini").write_text(ini + "touch-reload = two\n")
    os.utime(app.home / "one", (1, 1))
    wait_generation(app, 2)
    os.utime(app.home / "one", (2, 2))
    os.utime(app.home / "two", (1, 1))
    wait_generation(app, 3)
    assert len(app.log(msg="one was touched (touch-reload)")) == 1


def test_a_touch_with_a_broken_application_keeps_the_old_one_and_the_next_touch_tries_again(
        with_own_app, hold_app, tmp_path):
    flag = tmp_path / "reload"
    flag.touch()
    app = with_own_app(hold_app, touch_reload=flag)
    (app.home / "app.so").rename(app.home / "away.so")
    os.utime(flag, (1, 1))
    app.wait_log("could not start, generation 1 goes on serving")
    assert app.get("/").status == 200
    (app.home / "away.so").rename(app.home / "app.so")
    os.utime(flag, (2, 2))
    app.wait_log("generation 3 serves")
