"""A stand-in for ngrok's servers, enough for the real SDK: agents connect by TLS, visitors by HTTP.

The protocol was read from the sources of ngrok-rust and ngrok-go (the muxado framing and the messages above it).
"""

import asyncio
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

import trustme

RST, DATA, WNDINC, GOAWAY = range(4)
FIN, SYN = 1, 2
AUTH, BIND, UNBIND, PROXY, HEARTBEAT = 0, 1, 2, 3, 0xFFFFFFFF
WINDOW = 256 * 1024
_CHUNK = 32 * 1024
GOOD_TOKEN = "2abcDEF_good-token-of-an-account"


class Stream:
    """One stream inside an agent's connection, with flow control in both directions."""

    def __init__(self, session: "Session", number: int):
        self.session, self.number = session, number
        self.buffer, self.ended = bytearray(), False
        self.credit = WINDOW
        self.changed = asyncio.Condition()

    async def read(self, at_most: int = _CHUNK) -> bytes:
        """What has come; b"" at the end."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.buffer or self.ended)
            data = bytes(self.buffer[:at_most])
            del self.buffer[: len(data)]
        if data and not self.ended:
            self.session.send(WNDINC, self.number, struct.pack(">I", len(data)))
        return data

    async def read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = await self.read(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    async def write(self, data: bytes, flags: int = 0) -> None:
        while data:
            async with self.changed:
                await self.changed.wait_for(lambda: self.credit > 0 or self.session.closed)
                if self.session.closed:
                    raise ConnectionResetError
                part, data = data[: min(self.credit, _CHUNK)], data[min(self.credit, _CHUNK) :]
                self.credit -= len(part)
            self.session.send(DATA, self.number, part, flags)
            flags = 0
            await self.session.writer.drain()

    def end(self) -> None:
        self.session.send(DATA, self.number, b"", FIN)

    async def frame(self, kind: int, flags: int, payload: bytes) -> None:
        async with self.changed:
            if kind == DATA:
                self.buffer += payload
            elif kind == WNDINC:
                self.credit += struct.unpack(">I", payload)[0]
            self.ended |= kind == RST or bool(flags & FIN)
            self.changed.notify_all()


class Session:
    """An agent's connection."""

    def __init__(self, server: "NgrokServer", reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.streams: dict[int, Stream] = {}
        self.urls: dict[str, str] = {}  # endpoint's id → its URL
        self.closed = False
        self.silent = False
        self._next = 2
        self._tasks: set[asyncio.Task] = set()

    def send(self, kind: int, stream: int, payload: bytes, flags: int = 0) -> None:
        if not self.silent and not self.closed:
            self.writer.write(struct.pack(">II", len(payload) << 8 | kind << 4 | flags, stream) + payload)

    def open_stream(self) -> Stream:
        stream = self.streams[self._next] = Stream(self, self._next)
        self._next += 2
        return stream

    def start(self, work: Coroutine) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        try:
            while True:
                head, number = struct.unpack(">II", await self.reader.readexactly(8))
                size, kind, flags = head >> 8, head >> 4 & 15, head & 15
                payload = await self.reader.readexactly(size)
                if self.silent:
                    continue
                if number not in self.streams and number % 2:
                    self.streams[number] = Stream(self, number)
                    self.start(self._serve(self.streams[number]))
                if number in self.streams:
                    await self.streams[number].frame(kind, flags, payload)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            await self.close()

    async def close(self) -> None:
        self.closed = True
        self.server.sessions.discard(self)
        for stream in list(self.streams.values()):
            await stream.frame(RST, 0, b"")
        self.writer.transport.abort()

    async def _serve(self, stream: Stream) -> None:
        with suppress(EOFError, ConnectionError):
            await self._answer(stream)

    async def _answer(self, stream: Stream) -> None:
        (kind,) = struct.unpack(">I", await stream.read_exactly(4))
        if kind == HEARTBEAT:
            while True:
                await stream.write(await stream.read_exactly(4))
        request = b""
        while True:  # the request ends where it is whole: the agent leaves its side of the stream open
            request += await stream.read()
            try:
                message = json.loads(request)
                break
            except ValueError:
                continue
        answers = {AUTH: self._auth, BIND: self._bind, UNBIND: self._unbind}
        if kind == BIND:
            await asyncio.sleep(self.server.bind_seconds)
        await stream.write(json.dumps(answers[kind](message)).encode())
        stream.end()

    def _auth(self, message: dict) -> dict:
        token = message["Extra"]["AuthToken"]
        self.server.seen_tokens.append(token)
        refusal = self.server.refuse_session(token)
        if refusal:
            return {"Version": "2", "ClientId": "", "Error": refusal, "Extra": {}}
        return {
            "Version": "2",
            "ClientId": message.get("ClientId") or f"client-{id(self)}",
            "Extra": {"Version": "prod", "Region": "eu", "Cookie": "c", "AccountName": "a", "PlanName": "Free"},
        }

    def _bind(self, message: dict) -> dict:
        domain = (message.get("Opts") or {}).get("Domain") or (message.get("Opts") or {}).get("Hostname") or ""
        url = self.server.new_url(domain)
        refusal = self.server.refuse_endpoint(url)
        if refusal:
            return {"Error": refusal}
        number = message["Id"] or f"endpoint-{next(self.server.numbers)}"
        self.urls[number] = url
        return {**message, "Id": number, "URL": url, "Extra": {**(message.get("Extra") or {}), "Token": ""}}

    def _unbind(self, message: dict) -> dict:
        self.urls.pop(message["Id"], None)
        return {}


class NgrokServer:
    """`address` for NGROK_SERVER_ADDR, `ca_file` for NGROK_CA_CERT; methods make happen what happens to links.

    Each domain has a public port of its own, since names below localhost are not known everywhere.
    """

    def __init__(self, folder: Path):
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._tls)
        self.good_tokens = {GOOD_TOKEN}
        self.seen_tokens: list[str] = []
        self.random_addresses = False  # True: a new one for each endpoint, as before ngrok had dev domains
        self.refusals: dict[str, str] = {}  # "session" or "endpoint" → ngrok's words
        self.visits: list[str] = []  # first lines of what visitors asked, our own checks among them
        self.page_of_its_own = ""  # an error code: the edge answers with it instead of the service
        self.numbers = itertools.count(1)
        self.bind_seconds = 0.0
        self.mute = False  # True: agents may connect, and hear nothing
        self.sessions: set[Session] = set()
        self._taken: set[str] = set()
        self._public: dict[str, socket.socket] = {}
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ngrok's stand-in", daemon=True)
        self._thread.start()
        self.come_back()
        self.address = f"localhost:{self._port}"

    # What a test does to it

    def drop(self) -> None:
        """Cut every agent's connection."""
        self._call(self._drop())

    def go_down(self) -> None:
        """Cut every connection and accept none."""
        self._call(self._go_down())

    def come_back(self) -> None:
        self._call(self._listen())

    def fall_silent(self) -> None:
        """Connections stay open and say nothing more; their addresses stay taken until `forget_the_silent`."""
        for session in self.sessions:
            session.silent = True

    def forget_the_silent(self) -> None:
        for session in self.sessions:
            if session.silent:
                session.urls.clear()

    def cut_the_silent(self) -> None:
        self._call(self._drop(silent=True))

    def forget_all(self) -> None:
        """Agents stay connected, their addresses lead nowhere."""
        for session in self.sessions:
            session.urls.clear()

    def take(self, domain: str = "") -> None:
        """Another of the account's agents is on this domain now."""
        self._taken.add(self.url_of(domain))

    def release(self) -> None:
        self._taken.clear()

    def stop(self) -> None:
        self._call(self._go_down())
        self._call(_all_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        for listener in self._public.values():
            listener.close()

    # What it answers

    def refuse_session(self, token: str) -> str:
        if token not in self.good_tokens:
            return (
                "The authtoken you specified is properly formed, but it is invalid.\n"
                f"Your authtoken: {token}\n\nERR_NGROK_107\n"
            )
        return self.refusals.get("session", "")

    def refuse_endpoint(self, url: str) -> str:
        if url in self._taken or any(url in session.urls.values() for session in self.sessions):
            return f"The endpoint '{url}' is already online.\n\nERR_NGROK_334\n"
        return self.refusals.get("endpoint", "")

    def new_url(self, domain: str) -> str:
        if self.random_addresses and not domain:
            domain = f"random-{len(self._public)}"
        return self.url_of(domain)

    def url_of(self, domain: str = "") -> str:
        """The public address of a domain; "" is the account's dev domain."""
        if domain not in self._public:
            self._public[domain] = socket.create_server(("127.0.0.1", 0))
            asyncio.run_coroutine_threadsafe(asyncio.start_server(self._visitor, sock=self._public[domain]), self._loop)
        return f"http://127.0.0.1:{self._public[domain].getsockname()[1]}"

    # Inside

    def _call(self, work: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._agent, "localhost", self._port, ssl=self._tls)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        session.silent = self.mute
        self.sessions.add(session)
        await session.run()

    async def _drop(self, silent: bool = False) -> None:
        for session in list(self.sessions):
            if session.silent or not silent:
                await session.close()

    async def _go_down(self) -> None:
        self._listener.close()
        await self._drop()

    async def _visitor(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.visits.append(head.partition(b"\r\n")[0].decode())
            url = "http://127.0.0.1:{}".format(writer.get_extra_info("sockname")[1])
            found = [
                (session, id) for session in self.sessions for id, its_url in session.urls.items() if its_url == url
            ]
            if self.page_of_its_own or not found:
                writer.write(_own_page(self.page_of_its_own or "ERR_NGROK_3200"))
            else:
                await self._proxy(*found[0], _forwarded(head), reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, EOFError):
            pass
        finally:
            writer.close()

    async def _proxy(self, session: Session, id: str, head: bytes, reader, writer) -> None:
        stream = session.open_stream()
        hello = json.dumps(
            {"Id": id, "ClientAddr": "203.0.113.7:5", "Proto": "http", "EdgeType": "0", "PassthroughTLS": False}
        ).encode()
        await stream.write(struct.pack(">I", PROXY) + struct.pack("<q", len(hello)) + hello, SYN)
        await stream.write(head)
        session.start(_copy(reader, stream))
        while data := await stream.read():
            writer.write(data)
            await writer.drain()


async def _all_ended() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _forwarded(head: bytes) -> bytes:
    """One request a connection, and who asked, as ngrok's edge says it."""
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    more = [b"Connection: close", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https"]
    return b"\r\n".join([*lines, *more, b"", b""])


async def _copy(reader: asyncio.StreamReader, stream: Stream) -> None:
    try:
        while data := await reader.read(_CHUNK):
            await stream.write(data)
    except ConnectionError:
        pass


def _own_page(code: str) -> bytes:
    status = b"200 OK" if code == "ERR_NGROK_6024" else b"404 Not Found"
    page = f"<!doctype html><title>ngrok</title>{code}".encode()
    headers = f"ngrok-error-code: {code}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
    return b"HTTP/1.1 " + status + b"\r\n" + headers.encode() + b"Connection: close\r\n\r\n" + page
