"""The uwsgi protocol from the client's side, byte by byte: what `forktail request` can not do wrong."""

import contextlib
import json
import socket
import struct

from lib.waiting import LIMIT


class Response:
    def __init__(self, raw):
        head, found, self.body = raw.partition(b"\r\n\r\n")
        assert found, f"no whole response: {raw[:200]!r}"
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        self.headers = [tuple(line.split(": ", 1)) for line in lines]

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    def __getitem__(self, name):
        (value,) = self.all(name)
        return value


def packet(variables, modifier1=0, modifier2=0):
    data = b"".join(struct.pack("<H", len(text)) + text
                    for pair in variables.items()
                    for text in (part.encode("latin-1") for part in pair))
    return struct.pack("<BHB", modifier1, len(data), modifier2) + data


def variables(path="/", method="GET", body=b"", **extra):
    """What nginx sends; `extra` adds and replaces, None takes away."""
    path, _, query = path.partition("?")
    all_of_them = {
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "REQUEST_URI": path,
        "PATH_INFO": path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "HTTP_HOST": "localhost",
        **extra,
    }
    return {name: value for name, value in all_of_them.items() if value is not None}


def connect(address, timeout=LIMIT):
    """`address` is a unix socket's path, or (host, port)."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    s = socket.socket(family)
    s.settimeout(timeout)
    try:
        s.connect(address if isinstance(address, tuple) else str(address))
    except OSError:
        s.close()
        raise
    return s


def read_to_end(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(65536):
            data += part
    return data


def exchange(address, data, end=False):
    """Sends the bytes, then (with `end`) an end of file. Returns all that comes back."""
    with connect(address) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
        return read_to_end(s)


def request(address, path="/", method="GET", body=b"", **extra):
    return Response(exchange(address, packet(variables(path, method, body, **extra)) + body))


def ping(address):
    """True when a worker answers, at the latest after a second."""
    try:
        with connect(address, timeout=1.0) as s:
            s.sendall(packet({}, modifier1=100))
            return s.recv(4) == b"\x64\0\0\x01"
    except OSError:
        return False
