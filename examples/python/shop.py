"""A WSGI application whose log lines bear nginx's id of their request, with no line of its own about it.

    uwsgi --plugin python3 --socket /run/shop/shop.sock --master --processes 4 --wsgi-file shop.py
    gunicorn --workers 4 --bind 127.0.0.1:8000 shop:application

GET /orders/7 is an order; GET /die is a worker's end, as the kernel's out-of-memory killer brings it about.
"""

import json
import logging
import os
import signal
import sys

sys.path.insert(0, "/usr/local/share/forktail/conf/examples")
import python_logging  # noqa: E402

log = logging.getLogger("shop")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    log.info("%s %s", environ["REQUEST_METHOD"], path)
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"path": path, "pid": os.getpid()}).encode() + b"\n"]


python_logging.configure()
application = python_logging.with_request_id(application)
