// The client against the real server: what a program sees.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { getEventListeners, once } from "node:events";
import test, { after, before } from "node:test";
import { gzipSync } from "node:zlib";
import { connect, HubcastError, NotAllowed } from "../hubcast.js";
import { Server } from "./server.mjs";
import { WebSocket } from "./websocket.mjs";

const SECRET = "a-secret-of-the-tests-9f8e7d6c5b4a3210";
let open;
let closed;
const clients = [];

before(async () => {
  open = await Server.start("--topics", '[{ match = "room.>", presence = true }]');
  closed = await Server.start("--tokens", `{ keys = [{ secret = "${SECRET}" }] }`);
});

after(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([open.stop(), closed.stop()]);
});

function client(options = {}, url = open.url) {
  const made = connect(url, { WebSocket, log: () => {}, backoff: { first: 20, most: 100 }, ...options });
  clients.push(made);
  return made;
}

/** A token of ada, signed as an application signs it. */
function token(seconds, more = {}) {
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: "ada", exp: Date.now() / 1000 + seconds, subscribe: ["news"], publish: ["news"], ...more };
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

async function first(iterable, count) {
  const values = [];
  for await (const message of iterable) {
    values.push(message.value);
    if (values.length === count) return values;
  }
  return values;
}

test("messages come by topic, by pattern, and to this client alone", async () => {
  const one = client();
  await one.connected();
  const [topic, pattern, direct] = [one.subscribe("room.a"), one.subscribe({ pattern: "room.*" }), one.direct()];
  await Promise.all([topic.ready, pattern.ready, direct.ready]);
  const { offset, receivers } = await one.publish("room.a", { n: 1 });
  assert.deepEqual([offset, receivers], [1, 1]);
  await one.publish(one.state.client, "psst");
  assert.deepEqual(await first(topic, 1), [{ n: 1 }]);
  assert.deepEqual(await first(pattern, 1), [{ n: 1 }]);
  assert.deepEqual(await first(direct, 1), ["psst"]);
});

test("a loop that is left unsubscribes, and readers of one topic share a subscription", async () => {
  const [reader, writer] = [client(), client()];
  const [one, other] = [reader.subscribe("shared"), reader.subscribe("shared")];
  await Promise.all([one.ready, other.ready]);
  const [ones, others] = [first(one, 1), first(other, 2)];
  assert.equal((await writer.publish("shared", 1)).receivers, 1);
  assert.deepEqual(await ones, [1]);
  assert.equal((await writer.publish("shared", 2)).receivers, 1, "the other one still reads");
  assert.deepEqual(await others, [1, 2]);
  await reader.publish("elsewhere", 0);
  assert.equal((await writer.publish("shared", 3)).receivers, 0);
  const quick = reader.subscribe("shared");
  await quick.unsubscribe();
  await assert.rejects(quick.ready, HubcastError);
  reader.subscribe("shared", { presence: true });
  assert.throws(() => reader.subscribe("shared"), TypeError);
});

test("readers of one topic have their own past, also one that comes later", async () => {
  const one = client();
  const before = one.subscribe("past");
  await before.ready;
  for (const number of [1, 2, 3]) await one.publish("past", number);
  assert.deepEqual(await first(one.subscribe("past", { last: 2 }), 2), [2, 3]);
  assert.deepEqual(await first(before, 3), [1, 2, 3]);
});

test("what a listener does comes in its order, and nothing of it is sent on another connection", async () => {
  const one = client();
  const numbers = one.subscribe("listener");
  await numbers.ready;
  let count = 0;
  one.on("state", ({ name }) => {
    if (name !== "connected" || count === 3) return;
    one.publish("listener", ++count);
    if (count < 3) one.reconnect();
  });
  one.reconnect();
  assert.deepEqual(await first(numbers, 3), [1, 2, 3]);
});

test("wrong use says what would be right", async () => {
  const one = client();
  assert.throws(() => one.subscribe({}), /pattern/);
  for (const value of [undefined, () => {}, Symbol("x")]) await assert.rejects(one.publish("a", value), /no JSON/);
  await assert.rejects(one.publish("a", 1n), TypeError);
  const read = one.subscribe("read");
  read.events();
  assert.throws(() => read.events(), /read already/);
  assert.throws(() => one.on("connected", () => {}), /there is state/);
});

test("a signal that outlives its subscriptions keeps nothing of them", async () => {
  const [one, long] = [client(), new AbortController()];
  for (let round = 0; round < 100; round++) {
    const each = one.subscribe("long", { signal: long.signal });
    await each.ready;
    await each.unsubscribe();
    await one.publish("long", round, { signal: long.signal });
    await one.connected(long.signal);
  }
  assert.equal(getEventListeners(long.signal, "abort").length, 0);
  const last = one.subscribe("long", { signal: long.signal });
  await last.ready;
  long.abort();
  assert.deepEqual(await first(last, 1), []);
});

test("members come and go", async () => {
  const [one, other] = [client(), client()];
  const room = one.subscribe("room.members", { presence: true });
  const events = room.events();
  await room.ready;
  const there = other.subscribe("room.members");
  await there.ready;
  assert.equal((await events.next()).value.type, "joined");
  assert.equal((await one.presence("room.members")).count, 2);
  await there.unsubscribe();
  assert.equal((await events.next()).value.type, "left");
});

test("a member without a user has a name, and stays the same one", async () => {
  const room = client().subscribe("room.names", { presence: true });
  const joined = room.events();
  await room.ready;
  const ada = client({ info: { name: "Ada" } });
  await ada.subscribe("room.names").ready;
  const { value: first } = await joined.next();
  assert.deepEqual([first.type, first.info, first.unverified, first.anonymous.length], ["joined", { name: "Ada" }, true, 32]);
  ada.reconnect();
  await ada.connected();
  await ada.subscribe("room.names").ready;
  const { clients } = await ada.presence("room.names");
  assert.deepEqual(clients.filter(({ info }) => info?.name === "Ada").map(({ anonymous }) => anonymous), [first.anonymous]);
});

test("a queue that is not read becomes gaps, and no more memory", async () => {
  const [reader, writer] = [client({ queue: 10 }), client()];
  const lazy = reader.subscribe("lazy");
  await lazy.ready;
  for (let number = 1; number <= 50; number++) await writer.publish("lazy", number);
  await reader.publish("lazy", 51);
  const events = [];
  for await (const event of lazy.events()) {
    events.push(event);
    if (event.value === 51) break;
  }
  const [gap, ...messages] = events;
  assert.deepEqual([gap.type, gap.reason, gap.from], ["gap", "unread", 1]);
  assert.deepEqual(messages.map(({ value }) => value), Array.from({ length: 51 - gap.to }, (_, at) => gap.to + 1 + at));
  assert.ok(messages.length <= 10);
});

test("the default stream has the gaps at the next message, and tells what is not listened to", async () => {
  const told = [];
  const [reader, writer] = [client({ queue: 4, log: (event) => told.push(event) }), client()];
  const lazy = reader.subscribe("lazy.too");
  await lazy.ready;
  for (let number = 1; number <= 10; number++) await writer.publish("lazy.too", number);
  await reader.publish("lazy.too", 11);
  for await (const { gaps, value } of lazy) {
    assert.deepEqual(gaps.map(({ reason, to }) => [reason, to]), [["unread", value - 1]]);
    break;
  }
  assert.ok(told.includes("gap"));
});

test("a position is that of what was handled", async () => {
  const one = client();
  const numbers = one.subscribe("handled");
  await numbers.ready;
  await one.publish("handled", 1);
  await one.publish("handled", 2);
  const events = numbers.events();
  await events.next();
  assert.equal(numbers.position.offset, 0, "the first one is still being handled");
  await events.next();
  assert.equal(numbers.position.offset, 1);
  const { position } = numbers;
  const again = client().subscribe("handled", { recover: position });
  assert.deepEqual(await first(again, 1), [2]);
});

test("what is asked for before it comes is given in order, also to those who ask twice", async () => {
  const asking = client().subscribe("twice");
  const messages = asking[Symbol.asyncIterator]();
  await asking.ready;
  const both = Promise.all([messages.next(), messages.next()]);
  for (const number of [1, 2]) await client().publish("twice", number);
  assert.deepEqual((await both).map(({ value }) => value.value), [1, 2]);
  await messages.return();
});

test("what decode refuses is an error of its own, and the stream goes on", async () => {
  const one = client();
  const decode = (json) => {
    if (typeof json !== "number") throw new TypeError("no number");
    return json * 2;
  };
  const numbers = one.subscribe("decoded", { decode });
  await numbers.ready;
  const errors = [];
  numbers.on("error", ({ error }) => errors.push(error.message));
  await one.publish("decoded", "x");
  await one.publish("decoded", 21);
  assert.deepEqual(await first(numbers, 1), [42]);
  assert.deepEqual(errors, ["no number"]);
});

test("listeners hear what came before them, and one that throws stops nothing", async () => {
  const one = client();
  const heard = [];
  const numbers = one.subscribe("listened");
  await numbers.ready;
  await one.publish("listened", 1);
  const stop = numbers.on("message", ({ value }) => heard.push(value));
  await one.publish("listened", 2);
  assert.deepEqual(heard, [1, 2]);
  stop();
});

test("what is refused rejects with the code and the reason", async () => {
  const one = client();
  await assert.rejects(one.subscribe("@ada").ready, { name: "HubcastError", code: "forbidden" });
  await assert.rejects(one.subscribe({ pattern: "a..b" }).ready, { code: "invalid_pattern" });
  await assert.rejects(one.presence("none"), { code: "no_presence" });
  await assert.rejects(one.publish("a", "x".repeat(70_000)), { code: "message_too_large" });
  assert.equal(one.state.name, "connected");
  const ended = one.subscribe("@ada");
  await assert.rejects(first(ended, 1), { code: "forbidden" });
});

test("a publish can be given up, and too many that wait are refused", async () => {
  const away = client({}, "ws://127.0.0.1:9/socket");
  const patience = new AbortController();
  const waiting = away.publish("a", 1, { signal: patience.signal });
  patience.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  const all = Array.from({ length: 1_000 }, () => away.publish("a", 1).catch((error) => error.code));
  await assert.rejects(away.publish("a", 1), { code: "queue_full", retry: true });
  await away.close();
  assert.deepEqual(new Set(await Promise.all(all)), new Set(["closed"]));
});

test("a client that cannot connect says why", async () => {
  const lost = client({ WebSocket: undefined });
  const states = [];
  lost.on("state", (state) => states.push(state));
  const wrong = client({}, open.url.replace("/socket", "/elsewhere"));
  await new Promise((resolve) => {
    wrong.on("state", ({ reason }) => /404/.test(reason ?? "") && resolve());
  });
  if (!globalThis.WebSocket) {
    await assert.rejects(lost.connected(), /npm i ws/);
    assert.equal(states.at(-1).name, "closed");
  }
});

test("a token gets in, is renewed while connected, and a wrong one says why", async () => {
  const asked = [];
  const make = ({ reason }) => {
    asked.push(reason);
    return token(3);
  };
  const ada = client({ token: make }, closed.url);
  await ada.connected();
  assert.equal(ada.state.user, "ada");
  const states = [];
  ada.on("state", ({ name }) => states.push(name));
  const end = Date.now() + 10_000;
  while (asked.length < 3 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(asked.slice(0, 3), ["first", "expiring", "expiring"]);
  assert.equal((await ada.publish("news", 1)).receivers, 0);
  assert.deepEqual(states, [], "the connection stayed");
  await assert.rejects(ada.subscribe("secret").ready, { code: "forbidden" });

  const reasons = [];
  const wrong = client({ token: ({ reason }) => (reasons.push(reason), "not.a.token") }, closed.url);
  await assert.rejects(wrong.connected(), HubcastError);
  assert.deepEqual(reasons, ["first", "refused", "refused"]);
  assert.equal(wrong.state.code, 4500);

  const old = client({ token: token(-60) }, closed.url);
  await assert.rejects(old.connected(), /token/);
  assert.equal(old.state.name, "closed");

  const clock = [];
  const later = ({ reason }) => (clock.push(reason), token(60, { iat: Date.now() / 1000 + 7_200 }));
  await client({ token: later }, closed.url).connected();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(clock, ["first"], "a wrong clock does not ask again and again");

  const banned = client({ token: () => Promise.reject(new NotAllowed("paused")) }, closed.url);
  await assert.rejects(banned.connected(), /paused/);

  const without = client({}, closed.url);
  await assert.rejects(without.subscribe("news").ready, { code: "unauthenticated" });
});

test("positions outlive a reload of the page", async () => {
  const kept = new Map();
  globalThis.sessionStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
  };
  try {
    const page = client({ resume: "page" });
    const before = page.subscribe("reloaded");
    await before.ready;
    for (const number of [1, 2, 3]) await page.publish("reloaded", number);
    const events = before.events();
    await events.next();
    await events.next();
    await page.close();
    const again = client({ resume: "page" }).subscribe("reloaded");
    assert.deepEqual(await first(again, 2), [2, 3], "2 was being handled");
    globalThis.sessionStorage.getItem = () => {
      throw new Error("denied");
    };
    const denied = client({ resume: "page" });
    await denied.connected();
  } finally {
    delete globalThis.sessionStorage;
  }
});

test("what a server serves is small, without comments, and works", async () => {
  const answer = await fetch(open.url.replace("ws", "http").replace("/socket", "/hubcast.js"));
  const served = await answer.text();
  assert.ok(gzipSync(served).length < 12_000, `${gzipSync(served).length} bytes`);
  assert.doesNotMatch(served, /^\s*\/\//m);
  const module = await import(`data:text/javascript,${encodeURIComponent(served)}`);
  const one = module.connect(open.url, { WebSocket });
  await one.connected();
  await one.close();
});

test("a process ends after close, and importing the module does nothing", { timeout: 10_000 }, async () => {
  const program = `
    import { WebSocket } from "./test/websocket.mjs";
    import { connect } from "./hubcast.js";
    const client = connect(${JSON.stringify(open.url)}, { WebSocket });
    await client.connected();
    await client.close();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit", cwd: process.cwd() });
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("1,000 clients of a restarted server come back spread out, none before its time", { timeout: 30_000 }, async () => {
  const server = await Server.start("--drain-spread", "2s");
  const many = Array.from({ length: 1_000 }, () => client({}, server.url));
  await Promise.all(many.map((one) => one.connected()));
  const attempts = [];
  const began = performance.now();
  const back = many.map((one) => {
    return new Promise((resolve) => {
      one.on("state", ({ name }) => {
        if (name === "connecting") attempts.push(performance.now() - began);
        if (name === "connected") resolve();
      });
    });
  });
  await server.stop();
  await server.start();
  await Promise.all(back);
  attempts.sort((a, b) => a - b);
  const inTenth = Math.max(...Array.from({ length: 40 }, (_, tenth) => {
    return attempts.filter((at) => at >= tenth * 100 && at < tenth * 100 + 100).length;
  }));
  assert.ok(inTenth < 400, `${inTenth} attempts in a tenth of a second`);
  await Promise.all(many.map((one) => one.close()));
  await server.stop();
});
