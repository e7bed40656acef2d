"""Clients that listen through a proxy: by WebSocket, and by server-sent events as a browser's EventSource does it."""

import asyncio
import base64
import json
import os
import random
import ssl
import struct
import sys

TOPIC = "news"


class Listener:
    """Hears one topic, comes back after each cut, and notes what is wrong."""

    def __init__(self, port, token, address):
        self.port, self.token, self.address = port, token, address
        self.last, self.epoch, self.faults, self.cuts, self.is_open = 0, None, [], 0, False

    async def run(self):
        """Listens until it is cancelled."""
        while True:
            pause = 0.2 + random.random()
            try:
                pause = await self.listen() or pause
            except (OSError, EOFError, asyncio.IncompleteReadError, ssl.SSLError):
                # The proxy is away, or has cut the connection.
                pass
            self.cuts += self.is_open
            self.is_open = False
            await asyncio.sleep(pause)

    async def connect(self, request):
        """Sends a request, and returns the streams and the head of the answer."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, local_addr=(self.address, 0)
        )
        # The address that a client makes up must not be believed.
        lines = [request, "Host: hub.example.org", "X-Forwarded-For: 6.6.6.6", *self.headers(), "", ""]
        writer.write("\r\n".join(lines).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return reader, writer, head

    def hear(self, event):
        """Takes a publication. Its number is what was published, its offset what the server counts."""
        number, place = event["message"]["n"], (event["epoch"], event["offset"])
        if number != self.last + 1 or place[1] != number:
            self.fault(f"heard {number} at {place} after {self.last}")
        self.last, self.epoch = number, place[0]

    def fault(self, what):
        self.faults.append(f"{type(self).__name__} {self.address}: {what}")


class WebSocket(Listener):
    """A client of the typed dialect."""

    def headers(self):
        key = base64.b64encode(os.urandom(16)).decode()
        return [
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Protocol: hubcast.v1, hubcast.token.{self.token}",
        ]

    async def listen(self):
        reader, writer, head = await self.connect("GET /socket HTTP/1.1")
        try:
            if not head.startswith("HTTP/1.1 101 "):
                # While the server restarts.
                if head.split()[1] not in ("502", "503"):
                    self.fault(f"the handshake is answered: {head.splitlines()[0]}")
                return None
            self.is_open = True
            start = {"recover": {"epoch": self.epoch, "offset": self.last}} if self.epoch else {}
            self.send(writer, 1, json.dumps({"id": 1, "action": "subscribe", "topic": TOPIC, **start}).encode())
            while True:
                opcode, payload = await self.frame(reader)
                if opcode == 9:
                    self.send(writer, 10, payload)
                elif opcode == 8:
                    return None
                elif opcode == 1 and (pause := self.take(json.loads(payload))) is not None:
                    return pause
        finally:
            writer.close()

    def take(self, event):
        """Takes an event; returns how long to stay away, if it says so."""
        what = event["event"]
        if what == "message":
            self.hear(event)
        elif what == "subscribed":
            if self.epoch and not event.get("recovered"):
                self.fault(f"could not resume: {event}")
            self.epoch = self.epoch or event["epoch"]
        elif what == "closing":
            return min(event.get("reconnect_in_ms", 0) / 1000, 3)
        elif what in ("gap", "error"):
            self.fault(event)
        return None

    @staticmethod
    async def frame(reader):
        first, length = await reader.readexactly(2)
        if length == 126:
            [length] = struct.unpack(">H", await reader.readexactly(2))
        elif length == 127:
            [length] = struct.unpack(">Q", await reader.readexactly(8))
        return first & 15, await reader.readexactly(length)

    @staticmethod
    def send(writer, opcode, payload):
        length = bytes([128 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
        # A mask of zeros leaves the payload as it is.
        writer.write(bytes([128 | opcode]) + length + bytes(4) + payload)


class EventSource(Listener):
    """Reads server-sent events as a browser does: any status but 200 would end it for good."""

    def __init__(self, *args):
        super().__init__(*args)
        self.id, self.retry = None, 2.0

    def headers(self):
        resume = [f"Last-Event-ID: {self.id}"] if self.id else []
        return ["Accept: text/event-stream", "Cache-Control: no-cache", *resume]

    async def listen(self):
        reader, writer, head = await self.connect(f"GET /events?topic={TOPIC}&token={self.token} HTTP/1.1")
        try:
            lines = head.lower().split("\r\n")
            if not lines[0].startswith("http/1.1 200") or "content-type: text/event-stream" not in lines:
                self.fault(f"an EventSource would give up: {head}")
                return None
            block = {}
            async for line in self.lines(reader, lines):
                if line:
                    name, _, value = line.partition(":")
                    block[name] = value.removeprefix(" ")
                else:
                    self.take(block)
                    block = {}
            return self.retry
        finally:
            writer.close()

    def take(self, block):
        if "retry" in block:
            self.retry = int(block["retry"]) / 1000
        if "id" in block:
            self.id = block["id"]
        if "data" not in block:
            return
        event = json.loads(block["data"])
        kind = block.get("event")
        if kind is None:
            self.hear(event)
        elif kind == "subscribed":
            if self.is_open or (self.epoch and not event.get("recovered")):
                self.fault(f"could not resume: {event}")
            self.is_open, self.epoch = True, event["epoch"]
        elif kind in ("gap", "refused"):
            self.fault(event)

    @staticmethod
    async def lines(reader, headers):
        is_chunked, text = "transfer-encoding: chunked" in headers, b""
        left = next((int(line.split(":")[1]) for line in headers if line.startswith("content-length:")), sys.maxsize)
        while left > 0:
            if is_chunked:
                size = int(await reader.readuntil(b"\r\n"), 16)
                part = (await reader.readexactly(size + 2))[:size]
            else:
                part = await reader.read(min(left, 65536))
                left -= len(part)
            if not part:
                return
            *whole, text = (text + part).split(b"\n")
            for line in whole:
                yield line.decode().removesuffix("\r")
