"""Photos and requests as untrusted clients may send them."""

import io
import json
import socket
import struct
import zlib

from PIL import Image


def jpeg_of_many_scans(scans: int) -> bytes:
    """A valid progressive JPEG of 25 megapixels that refines the same coefficients again and again, 8 ms a time."""
    file = io.BytesIO()
    Image.new("L", (5000, 5000), 128).save(file, "JPEG", progressive=True, quality=50)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def png_that_says(width: int, height: int) -> bytes:
    """Its header says so; there is nothing behind it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\0\x0aIDAT"
    )


def raw(port: int, data: bytes, seconds: float = 20) -> tuple[int, dict[str, str], dict]:
    """What the server answers to these bytes: status, headers in lower case, and the body's JSON."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body) if body else {}
