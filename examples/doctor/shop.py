# Made once, at import. Under a server that preloads, each worker gets a copy of it, or shares it.
import itertools
import json
import os
import random
import socket
import time

database = socket.create_connection(("127.0.0.1", int(os.environ["DATABASE_PORT"])))
started = time.time()
numbers = random.Random()
counter = itertools.count(1)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    marker = {
        "pid": os.getpid(),
        "context": hex(id(numbers)),
        "count": next(counter),
        "token": f"{numbers.getrandbits(64):016x}",
        "started": started,
        "now": time.time(),
    }
    return [json.dumps(marker).encode() + b"\n"]
