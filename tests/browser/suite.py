"""Drives Chromium's EventSource through nginx while connections are cut and the server is restarted."""

import argparse
import asyncio
import http.client
import json
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from account import Account
from cutter import Cutter
from programs import Programs

FIVE = ["five/a", "five b", "five.é", "five%2Fd", "five+e"]
READERS = {"one": ["one"], "five": FIVE}


class Driver:
    """What was published, and what the page tells that it has heard."""

    def __init__(self, programs, may_lose):
        self.programs, self.server = programs, None
        self.published = {topic: 0 for topics in READERS.values() for topic in topics}
        self.accounts = {",".join(topics): Account(topics, may_lose) for topics in READERS.values()}
        self.events = self.cuts = self.restarts = 0
        self.is_over = False

    def start_server(self):
        self.server = self.programs.start_server()

    async def restart_server(self, kill):
        # The page tells about a cut a little later.
        await asyncio.sleep(1)
        await eventually(30, "all streams are open", lambda: all(each.is_open for each in self.accounts.values()))
        self.restarts += 1
        self.server.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        status = await asyncio.to_thread(self.server.wait, 20)
        if status != (-signal.SIGKILL if kill else 0):
            sys.exit(f"browser: the server ended with status {status}")
        self.start_server()

    async def serve_page(self, reader, writer):
        """Answers the page: a new token, or thanks for what it has heard."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
        body = await reader.readexactly(int(length[0])) if length else b"[]"
        for event in json.loads(body):
            self.events += 1
            self.accounts[event["reader"]].hear(event)
        answer = self.programs.token() if head.startswith("GET /token ") else ""
        allowed = "Access-Control-Allow-Origin: *\r\nConnection: close\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{allowed}Content-Length: {len(answer)}\r\n\r\n{answer}".encode())
        await writer.drain()
        writer.close()

    def publish(self, rate, until):
        """Publishes to the one topic and to one of the five, again and again. What fails is sent again."""
        connection, due = None, time.monotonic()
        while time.monotonic() < until and not self.is_over:
            topics = ["one", FIVE[self.published["one"] % len(FIVE)]]
            numbers = {topic: self.published[topic] + 1 for topic in topics}
            messages = [
                {"topic": topic, "key": f"key-{number}", "message": {"n": number, "text": "a\r\nb \u2028 ü"}}
                for topic, number in numbers.items()
            ]
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.programs.server_port, timeout=5)
                headers = {"Authorization": f"Bearer {self.programs.credentials.key}", "Content-Type": "application/json"}
                # Line ends between the tokens of a message must not end a line of the stream.
                connection.request("POST", "/api/publish", json.dumps({"messages": messages}, indent=1), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200 and not any("error" in result for result in json.loads(text)["results"]):
                    self.published.update(numbers)
                elif answer.status not in (200, 503):
                    sys.exit(f"browser: a publication was answered with {answer.status}: {text.decode()}")
            except (OSError, http.client.HTTPException):
                connection = None
                time.sleep(0.05)
            due += 1 / rate
            time.sleep(max(0, due - time.monotonic()))


async def run(driver, options):
    programs = driver.programs
    back = await Cutter().start(programs.server_port)
    front = await Cutter().start(programs.nginx_port)
    page = await asyncio.start_server(driver.serve_page, "127.0.0.1", 0)
    page_port = page.sockets[0].getsockname()[1]
    driver.start_server()
    programs.start_nginx(back.port)
    await opens(programs.server_port)
    await opens(programs.nginx_port)
    readers = "".join(f"&reader={quoted(name)}" for name in driver.accounts)
    address = f"http://127.0.0.1:{front.port}/page.html?driver=http://127.0.0.1:{page_port}{readers}"
    programs.start_chromium(address)
    await eventually(20, "the page opened its streams", lambda: all(
        account.counts["subscribed"] for account in driver.accounts.values()))

    until = time.monotonic() + options.seconds
    publisher = asyncio.create_task(asyncio.to_thread(driver.publish, options.rate, until))
    restart_at = time.monotonic() + options.seconds / (options.restarts + 1)
    while not publisher.done():
        await asyncio.sleep(random.uniform(0.5, 1.5) * options.cut_every)
        driver.cuts += random.choice([back, front]).cut()
        if driver.restarts < options.restarts and time.monotonic() > restart_at:
            restart_at += options.seconds / (options.restarts + 1)
            await driver.restart_server(options.kill)
    await publisher
    # Time to come back after the last cut, and to hear what is left.
    seen = -1
    for _ in range(10):
        await asyncio.sleep(3)
        if seen == driver.events:
            break
        seen = driver.events


def report(driver):
    faults = []
    for name, account in driver.accounts.items():
        print(f"reader of {name}: " + ", ".join(f"{what} {count}" for what, count in sorted(account.counts.items())))
        faults += account.conclude(driver.published)
    print(f"published {sum(driver.published.values())}, cuts {driver.cuts}, restarts {driver.restarts}")
    for fault in faults[:20]:
        print(f"browser: {fault}", file=sys.stderr)
    return 1 if faults else 0


async def opens(port):
    def is_open():
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    await eventually(10, f"port {port} opened", is_open)


async def eventually(seconds, what, holds):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


def quoted(text):
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the hubcast binary")
    parser.add_argument("--seconds", type=float, default=100, help="how long to publish")
    parser.add_argument("--rate", type=float, default=50, help="publications a second, to one topic and to five")
    parser.add_argument("--cut-every", type=float, default=4, help="seconds between cuts, on average")
    parser.add_argument("--restarts", type=int, default=3, help="how often the server is restarted")
    parser.add_argument("--kill", action="store_true", help="restart it by SIGKILL: then a gap may be told")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("browser: not done in time"))
    work = pathlib.Path(tempfile.mkdtemp(prefix="hubcast-browser-"))
    programs = Programs(options.binary, work)
    driver = Driver(programs, options.kill)
    try:
        asyncio.run(run(driver, options))
        status = report(driver)
    finally:
        driver.is_over = True
        programs.stop()
        if options.keep:
            print(f"logs: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(status)


main()
