// The machine in virtual time: what it sends and tells, and when. No socket, no clock.

import assert from "node:assert/strict";
import test from "node:test";
import { Machine } from "../hubcast.js";

const WELCOME = { event: "welcome", client: "c1", ping: 25_000, limits: { message: 65_536 } };

/** A machine with a clock that stands until it is moved. */
class Scene {
  now = 0;

  constructor(config) {
    this.machine = new Machine({ random: () => 0.5, ...config });
  }

  does(input) {
    return this.machine.handle(this.now, typeof input === "string" ? { type: input } : input);
  }

  hears(event) {
    return this.does({ type: "frame", event });
  }

  /** Moves the clock to the machine's deadline. */
  waits() {
    this.now = this.machine.deadline();
    return this.does("time");
  }

  ready() {
    this.does("start");
    this.does("opened");
    return this.hears(WELCOME);
  }

  /** Loses the connection, and is ready again. */
  returns() {
    this.does({ type: "lost", code: 1006 });
    this.waits();
    this.does("opened");
    return this.hears(WELCOME);
  }
}

const sent = (steps) => steps.filter((step) => step.do === "send").map((step) => step.frame);
const told = (steps) => steps.filter((step) => step.do === "tell").map((step) => step.event);
const states = (steps) => steps.filter((step) => step.do === "state").map((step) => step.state);
const message = (offset, epoch = "e1", topic = "a") => ({ event: "message", topic, epoch, offset, message: offset });
const live = { id: 1, event: "subscribed", topic: "a", epoch: "e1", offset: 0 };

function subscribed() {
  const scene = new Scene();
  scene.does({ type: "subscribe", key: "t:a", topic: "a" });
  const [frame] = sent(scene.ready());
  assert.deepEqual(JSON.parse(JSON.stringify(frame)), { id: 1, action: "subscribe", topic: "a" });
  scene.hears(live);
  return scene;
}

test("a subscription resumes behind what it has heard", () => {
  const scene = subscribed();
  scene.hears(message(1));
  const [frame] = sent(scene.returns());
  assert.deepEqual(frame.recover, { epoch: "e1", offset: 1 });
  const steps = scene.hears({ ...live, id: frame.id, offset: 3, recovered: true, replayed: 2 });
  assert.deepEqual(told(steps), [{ type: "resumed", recovered: true, replayed: 2 }]);
  assert.equal(told(scene.hears(message(2))).length, 1);
  assert.deepEqual(told(scene.hears(message(2))), [], "once");
  assert.equal(told(scene.hears(message(3))).length, 1);
});

test("a subscription that has heard nothing resumes from where it began", () => {
  const [frame] = sent(subscribed().returns());
  assert.deepEqual(frame.recover, { epoch: "e1", offset: 0 });
});

test("what cannot be recovered is said once", () => {
  const scene = subscribed();
  scene.hears(message(1));
  const [frame] = sent(scene.returns());
  const steps = scene.hears({ ...live, id: frame.id, epoch: "e2", offset: 5, recovered: false });
  assert.deepEqual(told(steps), [
    { type: "resumed", recovered: false, replayed: 0 },
    { type: "gap", topic: "a", position: { epoch: "e2", offset: 5 }, reason: "not_recoverable" },
  ]);
  assert.deepEqual(told(scene.hears(message(6, "e2"))).map((event) => event.type ?? event.event), ["message"]);
});

test("a hole in the offsets is a gap, but not one of own publications without echo", () => {
  const scene = subscribed();
  scene.does({ type: "ask", id: "c1", frame: { action: "publish", topic: "a", echo: false }, isSilent: true });
  scene.hears({ event: "published", id: "c1", topic: "a", offset: 1, receivers: 0 });
  assert.deepEqual(told(scene.hears(message(2))).map((event) => event.type ?? event.event), ["message"]);
  const [gap] = told(scene.hears(message(5)));
  assert.deepEqual(gap, { type: "gap", topic: "a", from: 3, to: 4, reason: "missing" });
});

test("a gap of the server is told once, and moves the position", () => {
  const scene = subscribed();
  scene.hears(message(1));
  const gap = { event: "gap", topic: "a", epoch: "e1", from: 2, to: 4, reason: "slow_consumer" };
  const position = { epoch: "e1", offset: 4 };
  assert.deepEqual(told(scene.hears(gap)), [{ type: "gap", topic: "a", from: 2, to: 4, position, reason: "slow_consumer" }]);
  assert.deepEqual(told(scene.hears(gap)), []);
  assert.deepEqual(told(scene.hears(message(5))).map((event) => event.type ?? event.event), ["message"]);
});

test("a publish that was not answered is sent again, with the same number, in order", () => {
  const scene = subscribed();
  for (const sequence of [1, 2]) {
    const frame = { action: "publish", topic: "a", producer: "p", sequence };
    assert.equal(sent(scene.does({ type: "ask", id: `c${sequence}`, frame })).length, 1);
  }
  scene.hears({ event: "published", id: "c1", topic: "a", offset: 1, receivers: 1 });
  const again = sent(scene.returns()).filter(({ action }) => action === "publish");
  assert.deepEqual(again.map(({ sequence }) => sequence), [2]);
});

test("at most 256 publishes are without an answer", () => {
  const scene = subscribed();
  let count = 0;
  for (let at = 0; at < 300; at++) {
    count += sent(scene.does({ type: "ask", id: `c${at}`, frame: { action: "publish" } })).length;
  }
  assert.equal(count, 256);
  const steps = scene.hears({ event: "published", id: "c0", topic: "a", receivers: 1 });
  assert.deepEqual(sent(steps).map(({ id }) => id), ["c256"]);
});

test("a request that is too large for the server fails alone", () => {
  const scene = subscribed();
  const steps = scene.does({ type: "ask", id: "c1", frame: { action: "publish", message: "ä".repeat(40_000) } });
  assert.deepEqual([steps.length, steps[0].do, steps[0].error[0]], [1, "fail", "message_too_large"]);
});

test("the time that the server names for coming back is kept", () => {
  const scene = subscribed();
  scene.now = 60_000;
  scene.hears({ event: "closing", code: 1012, reason: "restarting", reconnect_in_ms: 1_834 });
  scene.does({ type: "lost", code: 1012 });
  assert.equal(scene.machine.deadline(), 61_834);
  scene.waits();
  scene.does({ type: "lost", code: 1006 });
  assert.equal(scene.machine.deadline() - scene.now, 250, "it is for one attempt");
});

test("pauses grow, are random, and begin anew only after a connection that stood for a while", () => {
  const scene = new Scene();
  scene.does("start");
  const pauses = [];
  for (let at = 0; at < 20; at++) {
    scene.does({ type: "lost", code: 1006 });
    pauses.push(scene.machine.deadline() - scene.now);
    scene.waits();
  }
  assert.deepEqual([pauses[0], Math.round(pauses[1])], [250, 325]);
  assert.equal(pauses.at(-1), 10_000);
  scene.does("opened");
  scene.hears(WELCOME);
  scene.now += 5_000;
  scene.does({ type: "lost", code: 1006 });
  assert.equal(scene.machine.deadline() - scene.now, 10_000, "a server that accepts and closes is not hammered");
  scene.waits();
  scene.does("opened");
  scene.hears(WELCOME);
  scene.now += 10_000;
  scene.does({ type: "lost", code: 1006 });
  assert.equal(scene.machine.deadline() - scene.now, 250);
});

test("codes say whether to come back", () => {
  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4004]) {
    const scene = subscribed();
    assert.equal(states(scene.does({ type: "lost", code }))[0].name, "waiting", code);
  }
  for (const code of [1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4502]) {
    const scene = subscribed();
    const steps = scene.does({ type: "lost", code });
    assert.equal(states(steps)[0].name, "closed", code);
    assert.equal(steps.at(-1).do, "end", code);
  }
});

test("a silent server is asked, and given up after 10 s", () => {
  const scene = subscribed();
  assert.deepEqual(sent(scene.waits()).map(({ action }) => action), ["ping"]);
  assert.equal(scene.now, 25_000);
  assert.equal(scene.waits()[0].do, "drop");
  assert.equal(scene.now, 35_000);
});

test("an answer keeps the connection, and a page that did not run gives the server its time again", () => {
  const scene = subscribed();
  scene.waits();
  scene.now += 5_000;
  scene.hears({ event: "pong", id: 2 });
  assert.equal(scene.machine.deadline(), 55_000);
  scene.waits();
  scene.now += 60_000;
  const steps = scene.does({ type: "time", late: 50_000 });
  assert.deepEqual(sent(steps).map(({ action }) => action), ["ping"]);
  assert.equal(scene.machine.deadline(), scene.now + 3_000, "it may have slept: a quick look");
});

test("hidden pages disconnect, and resume when they are seen again", () => {
  const scene = subscribed();
  scene.hears(message(1));
  const steps = scene.does({ type: "pause", reason: "hidden" });
  assert.deepEqual(steps.map((step) => step.do), ["drop", "state"]);
  assert.equal(scene.machine.deadline(), Infinity);
  assert.deepEqual(scene.does("resume").map((step) => step.do), ["state", "connect"]);
  scene.does("opened");
  assert.deepEqual(sent(scene.hears(WELCOME))[0].recover, { epoch: "e1", offset: 1 });
});

test("a token is asked for first, renewed within its lifetime, and asked for again when it is refused", () => {
  const scene = new Scene({ hasToken: true });
  assert.equal(scene.does("start").at(-1).reason, "first");
  assert.deepEqual(scene.does({ type: "token", token: "t1", lifetime: 100_000 }).at(-1), { do: "connect", token: "t1" });
  scene.does("opened");
  scene.hears({ ...WELCOME, ping: 0 });
  assert.equal(scene.machine.deadline(), 80_000);
  assert.deepEqual(scene.waits(), [{ do: "token", reason: "expiring" }]);
  const [frame] = sent(scene.does({ type: "token", token: "t2", lifetime: 100_000 }));
  assert.deepEqual([frame.action, frame.token], ["authenticate", "t2"]);
  scene.hears({ event: "authenticated", id: frame.id, expires: 1 });
  assert.equal(scene.machine.deadline(), 160_000);
  scene.does({ type: "lost", code: 4001 });
  assert.equal(scene.waits().at(-1).do, "token");
});

test("a handshake that fails with a token is followed by one that learns why; three refusals are the end", () => {
  const scene = new Scene({ hasToken: true });
  scene.does("start");
  scene.does({ type: "token", token: "bad" });
  scene.does({ type: "lost", code: 1006 });
  for (let refusal = 1; refusal <= 3; refusal++) {
    let steps = scene.waits();
    if (refusal > 1) {
      assert.deepEqual(steps.at(-1), { do: "token", reason: "refused" });
      steps = scene.does({ type: "token", token: "bad" });
    }
    assert.deepEqual(steps.at(-1), { do: "connect", token: undefined });
    const [frame] = sent(scene.does("opened"));
    assert.equal(frame.token, "bad");
    scene.hears({ event: "error", id: frame.id, code: "token_invalid", reason: "the signature is wrong" });
    const [state] = states(scene.does({ type: "lost", code: 4500 }));
    assert.deepEqual([state.name, state.reason], [refusal < 3 ? "waiting" : "closed", "the signature is wrong"]);
  }
});

test("a subscription whose past is not granted goes on live, behind a gap", () => {
  const scene = subscribed();
  scene.hears(message(1));
  const [frame] = sent(scene.returns());
  const [again] = sent(scene.hears({ event: "error", id: frame.id, code: "forbidden", reason: "no" }));
  assert.equal(again.recover, undefined);
  const steps = scene.hears({ ...live, id: again.id, offset: 9 });
  assert.deepEqual(told(steps).map(({ type }) => type), ["resumed", "gap"]);
});

test("a subscription that the server refuses ends with the reason", () => {
  const scene = new Scene();
  scene.does({ type: "subscribe", key: "t:a", topic: "a" });
  scene.ready();
  const [end] = scene.hears({ event: "error", id: 1, code: "forbidden", reason: "not granted", retry: false });
  assert.deepEqual(end, { do: "end", key: "t:a", error: ["forbidden", "not granted"] });
});

test("patterns resume each topic, after the topics that stand alone", () => {
  const scene = new Scene();
  scene.does({ type: "subscribe", key: "p:a.*", pattern: "a.*" });
  scene.does({ type: "subscribe", key: "t:a.b", topic: "a.b" });
  scene.ready();
  scene.hears({ event: "subscribed", id: 1, topic: "a.b", epoch: "e1", offset: 0 });
  scene.hears({ event: "subscribed", id: 2, pattern: "a.*" });
  const both = scene.hears(message(1, "e1", "a.b"));
  assert.deepEqual(both.map(({ key }) => key), ["p:a.*", "t:a.b"]);
  const frames = sent(scene.returns());
  assert.deepEqual(frames.map(({ recover }) => recover), [
    { epoch: "e1", offset: 1 },
    { "a.b": { epoch: "e1", offset: 1 } },
  ]);
});

test("a topic that is new to a pattern after a cut may have had messages before", () => {
  for (const isCut of [false, true]) {
    const scene = new Scene();
    scene.does({ type: "subscribe", key: "p:>", pattern: ">" });
    scene.ready();
    scene.hears({ event: "subscribed", id: 1, pattern: ">" });
    scene.hears(message(1));
    if (isCut) {
      const [frame] = sent(scene.returns());
      scene.hears({ event: "subscribed", id: frame.id, pattern: ">", recovered: true, replayed: 0 });
    }
    const events = told(scene.hears(message(3, "e1", "new"))).map((event) => event.type ?? event.event);
    assert.deepEqual(events, isCut ? ["gap", "message"] : ["message"]);
  }
});

test("each subscription to a topic has its own past, and the server hears of the end of the last one", () => {
  const scene = subscribed();
  scene.hears(message(1));
  scene.hears(message(2));
  const [frame] = sent(scene.does({ type: "subscribe", key: "other", topic: "a", last: 2 }));
  assert.equal(frame.last, 2);
  scene.hears({ ...live, id: frame.id, offset: 2, replayed: 2 });
  const heard = [1, 2, 3].flatMap((offset) => scene.hears(message(offset)).map(({ key, event }) => `${key} ${event.offset}`));
  assert.deepEqual(heard, ["other 1", "other 2", "t:a 3", "other 3"]);
  assert.deepEqual(sent(scene.does({ type: "unsubscribe", key: "t:a" })), []);
  assert.deepEqual(sent(scene.does({ type: "unsubscribe", key: "other" })).map(({ action }) => action), ["unsubscribe"]);
});

test("an event that this client does not know changes nothing", () => {
  const scene = subscribed();
  for (const event of ["close", "lost", "pause", "fail", "constructor", "__proto__", "toString"]) {
    assert.deepEqual(scene.hears({ event, reason: "x" }), [], event);
  }
  assert.equal(told(scene.hears(message(1))).length, 1);
});

test("a client that authenticates by a frame is the user from then on", () => {
  const scene = new Scene({ hasToken: true });
  scene.does({ type: "subscribe", key: "direct" });
  scene.does("start");
  scene.does({ type: "token", token: "t" });
  scene.does({ type: "lost", code: 1006 });
  scene.waits();
  const [frame] = sent(scene.does("opened"));
  scene.hears(WELCOME);
  const steps = scene.hears({ event: "authenticated", id: frame.id, user: "ada", expires: 1 });
  assert.deepEqual(states(steps), [{ name: "connected", client: "c1", user: "ada" }]);
  assert.equal(told(scene.hears({ event: "message", topic: "@ada", message: 1 })).length, 1);
});

test("a token that is over before the welcome counts as refused", () => {
  const scene = new Scene({ hasToken: true });
  scene.does("start");
  scene.does({ type: "token", token: "old" });
  scene.does("opened");
  scene.does({ type: "lost", code: 4001 });
  assert.deepEqual(scene.waits().at(-1), { do: "token", reason: "refused" });
});

test("no pattern hears a private topic", () => {
  const scene = new Scene();
  scene.does({ type: "subscribe", key: "p:>", pattern: ">" });
  scene.does({ type: "subscribe", key: "direct" });
  scene.ready();
  scene.hears({ event: "subscribed", id: 1, pattern: ">" });
  assert.deepEqual(scene.hears({ event: "message", topic: "c1", message: 1 }).map(({ key }) => key), ["p:>", "direct"]);
  const own = { ...WELCOME, client: "7f0c3f61-9a55-4c62-8a3c-2f5d0a6b1c9e", user: "ada" };
  scene.does({ type: "lost", code: 1006 });
  scene.waits();
  scene.does("opened");
  const [frame] = sent(scene.hears(own));
  scene.hears({ event: "subscribed", id: frame.id, pattern: ">" });
  for (const topic of [own.client, "@ada"]) {
    const steps = scene.hears({ event: "message", topic, message: 1 });
    assert.deepEqual(steps.map(({ key }) => key), ["direct"], topic);
  }
});
