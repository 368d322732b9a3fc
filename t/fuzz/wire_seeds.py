#!/usr/bin/python3
"""Writes the first inputs of the wire fuzzers: wire_seeds.py DIR makes DIR/wire_packet_fuzz and
DIR/wire_response_fuzz."""
import pathlib
import struct
import sys


def packet(*variables):
    return b"".join(
        struct.pack("<H", len(part)) + part for variable in variables for part in variable
    )


REQUEST = ((b"REQUEST_METHOD", b"POST"), (b"PATH_INFO", b"/a b"), (b"CONTENT_LENGTH", b"5"))

PACKETS = {
    "empty": b"",
    "request": packet(*REQUEST),
    "id": packet(*REQUEST, (b"REQUEST_ID", b"0123456789abcdef"), (b"UWSGI_KEEP_CONN", b"1")),
    "sent": packet(*REQUEST, (b"FORKTAIL_SENT", b"1764000000.042")),
    "twice": packet(*REQUEST, (b"CONTENT_LENGTH", b"6"), (b"REQUEST_METHOD", b"GET")),
    "long": packet(*REQUEST, (b"HTTP_LONG", b"x" * 300)),
    "nameless": packet((b"", b"value")),
    "cut": packet(*REQUEST)[:-1],
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01",
    "fastcgi": b"\x01\x01\x00\x01\x00\x08",
    "scgi": b"70:CONTENT_LENGTH\x0027\x00",
}

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

RESPONSES = {
    "sized": OK + b"Content-Length: 5\r\n\r\nhello",
    "chunked": CHUNKED + b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nX-T: t\r\n\r\n",
    "endless": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "cgi": b"Status: 404 Not Found\nLocation: /\n\nhello",
    "interim": b"\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "notice": OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n\r\n",
    "both": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "excess": OK + b"Content-Length: 1\r\n\r\nhello",
}


def write(directory, inputs):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in inputs.items():
        (directory / name).write_bytes(content)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: wire_seeds.py DIR")
    root = pathlib.Path(sys.argv[1])
    write(root / "wire_packet_fuzz", PACKETS)
    # The first byte is the cut of the second reading, and its lowest bit HEAD.
    write(root / "wire_response_fuzz", {name: b"\x04" + text for name, text in RESPONSES.items()})


if __name__ == "__main__":
    main()
