"""Programs that a test needs, and how thoroughly the tests are to run."""

import os
import resource
import shutil

import pytest

QUICK = os.environ.get("FORKTAIL_QUICK") == "1"
FULL = os.environ.get("FORKTAIL_FULL") == "1"


def give_up(reason):
    """What the test needs is not there: skips it, or fails it under FORKTAIL_REQUIRE=all."""
    (pytest.fail if os.environ.get("FORKTAIL_REQUIRE") == "all" else pytest.skip)(reason)


def need(program):
    """The program's path."""
    found = shutil.which(program)
    if found is None:
        give_up(f"{program} is not installed")
    return found


def need_files(count):
    """Lets this process, and those that it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        give_up(f"the limit of open files is {hard}, {count} are needed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def need_root():
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
