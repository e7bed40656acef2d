"""Listens through the proxies of deploy/proxies while the server and the proxy are restarted."""

import argparse
import asyncio
import http.client
import json
import pathlib
import resource
import shutil
import signal
import ssl
import sys
import tempfile
import time

from clients import TOPIC, EventSource, WebSocket
from programs import TOKEN_LIFE_SECONDS, Caddy, HAProxy, Nginx, Server


class Run:
    """One proxy with its server and its clients."""

    def __init__(self, kind, options):
        self.name = kind.__name__.lower()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix=f"hubcast-{self.name}-"))
        self.server = Server(options.binary, self.work)
        self.proxy = kind(self.work, self.server.port)
        self.options, self.published, self.is_over, self.faults = options, 0, False, []
        addresses = [f"127.0.1.{1 + number % 200}" for number in range(options.websockets + options.streams)]
        kinds = [WebSocket] * options.websockets + [EventSource] * options.streams
        token = self.server.credentials.token("reader", TOKEN_LIFE_SECONDS)
        self.clients = [kind(self.proxy.port, token, address) for kind, address in zip(kinds, addresses)]

    async def run(self):
        self.server.start()
        self.proxy.start()
        await eventually(20, f"{self.name} passes a request on", lambda: self.asks("GET", "/readyz")[0] == 200)
        tasks = [asyncio.create_task(client.run()) for client in self.clients]
        publisher = None
        try:
            await self.all_open()
            publisher = asyncio.create_task(asyncio.to_thread(self.publish))
            await asyncio.to_thread(self.check_requests)
            for _ in range(self.options.rounds):
                # The old workers of the proxy end five seconds after a reload, with those of their clients that are left.
                for what in (self.server.restart, self.proxy.reload, self.proxy.restart):
                    await asyncio.sleep(self.options.pause)
                    await asyncio.to_thread(what)
                    await asyncio.sleep(1)
                    await self.all_open()
            await asyncio.sleep(self.options.pause)
            self.is_over = True
            await publisher
            await eventually(60, f"all heard what {self.name} passed on", self.all_heard)
        finally:
            self.is_over = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.check_log()

    async def all_open(self):
        await eventually(60, f"all clients of {self.name} are open", lambda: all(each.is_open for each in self.clients))

    def all_heard(self):
        return all(each.last == self.published for each in self.clients)

    def publish(self):
        """Publishes through the proxy, one number after another. What fails is sent again, with the same key."""
        while not self.is_over:
            number = self.published + 1
            body = {"topic": TOPIC, "key": f"key-{number}", "message": {"n": number, "text": "x" * 100}}
            status, answer = self.asks("POST", "/api/publish", body)
            if status == 200:
                self.published = number
                time.sleep(1 / self.options.rate)
            elif status in (None, 502, 503, 504):
                time.sleep(0.1)
            else:
                self.faults.append(f"a publication is answered {status}: {answer}")
                return

    def asks(self, method, path, body=None, source="127.0.0.1", **headers):
        """The status and the body of the answer; without an answer there is no status."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.proxy.port, timeout=10, context=context, source_address=(source, 0)
        )
        headers = {"Authorization": f"Bearer {self.server.credentials.key}", "Host": "hub.example.org", **headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None, ""
        finally:
            connection.close()

    def check_requests(self):
        """What a proxy may get wrong: names in a path, long headers, and whose address a client has."""
        self.asks("POST", "/api/publish", {"topic": "a/b", "message": 1})
        for path, status, part in (
            ("/api/topics/a%2Fb/history", 200, '"message":1'),
            ("/api/history?topic=a%2Fb", 200, '"message":1'),
            ("/api/topics/..%2Fstats", 403, "../stats"),
        ):
            answer = self.asks("GET", path)
            if answer[0] != status or part not in answer[1]:
                self.faults.append(f"{path} is answered {answer}")
        status, _ = self.asks("GET", "/api/stats", Authorization="Bearer " + "x" * 7_900)
        if status not in (401, 403):
            self.faults.append(f"a long token is answered {status}")
        status, _ = self.asks("GET", "/api/stats", Host="evil.example")
        if status != self.proxy.OTHER_NAME:
            self.faults.append(f"another name is answered {status}")
        self.check_addresses()

    def check_addresses(self):
        """Too many wrong keys from one address are answered 429: whatever it says itself, and no other address."""
        wrong = {"Authorization": "Bearer hc_test_" + "x" * 43}
        answers = [
            self.asks("GET", "/api/stats", source="127.0.2.1", **wrong, **{"X-Forwarded-For": f"6.6.6.{number}"})[0]
            for number in range(25)
        ]
        other, _ = self.asks("GET", "/api/stats", source="127.0.2.2", **wrong)
        if answers[0] != 401 or answers[-1] != 429 or other != 401:
            self.faults.append(f"the address of the client is not believed: {answers}, and for another {other}")

    def check_log(self):
        log = self.proxy.access_log()
        if "/events" not in log:
            self.faults.append("the log has no stream")
        if "token=" in log or self.server.credentials.key in log:
            self.faults.append("the log has a token")

    def report(self):
        self.faults += [fault for client in self.clients for fault in client.faults]
        cuts = sum(client.cuts for client in self.clients)
        print(f"{self.name}: {self.published} published, {len(self.clients)} clients, {cuts} cuts, {len(self.faults)} faults")
        for fault in self.faults[:20]:
            print(f"proxies: {self.name}: {fault}", file=sys.stderr)
        return not self.faults

    def stop(self):
        for program in (self.proxy, self.server):
            try:
                program.stop()
            except AssertionError as error:
                self.faults.append(str(error))
        if self.options.keep or self.faults:
            print(f"logs: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)


async def eventually(seconds, what, holds):
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.1)


async def run_all(runs):
    for run, outcome in zip(runs, await asyncio.gather(*(run.run() for run in runs), return_exceptions=True)):
        if isinstance(outcome, BaseException):
            run.faults.append(repr(outcome))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the hubcast binary")
    parser.add_argument("--websockets", type=int, default=20, help="clients by WebSocket, for each proxy")
    parser.add_argument("--streams", type=int, default=5, help="clients by server-sent events, for each proxy")
    parser.add_argument("--rounds", type=int, default=1, help="restarts of the server, and reloads and restarts of the proxy")
    parser.add_argument("--rate", type=float, default=20, help="publications a second")
    parser.add_argument("--pause", type=float, default=1, help="seconds before each restart")
    parser.add_argument("--proxies", default="nginx,haproxy,caddy", help="which of them")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("proxies: not done in time"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds = {"nginx": Nginx, "haproxy": HAProxy, "caddy": Caddy}
    runs = [Run(kinds[name], options) for name in options.proxies.split(",")]
    try:
        asyncio.run(run_all(runs))
    finally:
        for run in runs:
            run.is_over = True
            run.stop()
    good = [run.report() for run in runs]
    print(f"{sum(good)} passed")
    sys.exit(0 if all(good) else 1)


main()
