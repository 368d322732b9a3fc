# The same, with what is each worker's own made after the fork.
import json
import os
import random
import socket

import uwsgi


def make():
    global database, numbers
    database = socket.create_connection(("127.0.0.1", int(os.environ["DATABASE_PORT"])))
    numbers = random.Random()


uwsgi.post_fork_hook = make


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    marker = {"pid": os.getpid(), "token": f"{numbers.getrandbits(64):016x}"}
    return [json.dumps(marker).encode() + b"\n"]
