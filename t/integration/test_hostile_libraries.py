"""An application that disturbs the libraries that it shares with the server."""

from lib import hostile


def test_the_catalogue_names_each_misbehaviour_once(server, hostile_app):
    found = hostile.catalogue(server(app=hostile_app))
    paths = [one.path for one in found]
    assert len(paths) == len(set(paths)) > 90
    assert {one.harm for one in found} == {"none", "lasts", "ends", "hangs"}
    assert all(one.what for one in found)
