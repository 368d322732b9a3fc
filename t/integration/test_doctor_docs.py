"""docs/doctor.md and docs/doctor-app.md show what the doctor prints: their walks are run, and compared."""

import pytest

from lib import doctor_walk
from lib.prefork import Prefork


@pytest.fixture
def prefork(environment):
    one = Prefork(environment)
    yield one
    one.end()


def test_the_walks_of_the_pages_are_what_the_commands_print(forktail, prefork):
    shown = doctor_walk.shown()
    printed = dict(doctor_walk.Walk(forktail, prefork).steps())
    assert set(shown) == set(printed)
    for name, output in printed.items():
        assert doctor_walk.shape(shown[name], name) == doctor_walk.shape(output, name), f"{name}: run script/doctor-walk"
