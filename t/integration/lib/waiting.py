"""Waiting for conditions, with a limit; the two parts of "no sleeping for luck"."""

import socket
import time

LIMIT = 10.0  # seconds that anything may take


def wait_for(condition, what, limit=LIMIT):
    """Returns the first true result of `condition`."""
    end = time.monotonic() + limit
    while not (result := condition()):
        assert time.monotonic() < end, f"no {what} within {limit} s"
        time.sleep(0.002)
    return result


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
