"""The application of the bench, for servers of Python."""

import time


def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"hello\n"
    if path.startswith("/sleep/"):
        time.sleep(int(path[7:]) / 1000)
    elif path.startswith("/bytes/"):
        body = b"x" * int(path[7:])
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
