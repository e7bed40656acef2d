// The scenes that every client plays, in virtual time: protocol/scenes.json says what their steps mean.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { Machine } from "../hubcast.js";

const { scenes } = JSON.parse(await readFile(new URL("../../protocol/scenes.json", import.meta.url), "utf8"));
const WELCOME = {
  event: "welcome",
  client: "07070707-0707-4707-8707-070707070707",
  server: "hubcast/0",
  ping: 25_000,
  limits: { message: 65_536, topic: 1_024, subscriptions: 1_000 },
};

class Player {
  #now = 0;
  #cutAt = 0;
  #machine = new Machine({ random: () => 0.5 });
  /** What the machine wants, and no step has taken yet. */
  #todo = [];
  #ids = new Map();
  #frames = new Map();
  #isStarted = false;

  play(step) {
    const [kind] = Object.keys(step);
    this[kind](step[kind], step);
  }

  /** Nothing may be left over. */
  end() {
    const left = this.#todo.filter(({ do: what }) => ["send", "tell", "end", "answer", "fail"].includes(what));
    assert.deepEqual(left, []);
  }

  #does(input) {
    this.#todo.push(...this.#machine.handle(this.#now, input));
  }

  #take(...kinds) {
    const at = this.#todo.findIndex((step) => kinds.includes(step.do));
    assert.ok(at >= 0, `the machine wants ${JSON.stringify(this.#todo)}, and not ${kinds}`);
    return this.#todo.splice(at, 1)[0];
  }

  subscribe(options, { as }) {
    this.#does({ type: "subscribe", key: as, ...options });
  }

  unsubscribe(name) {
    this.#does({ type: "unsubscribe", key: name });
  }

  publish(frame, { as }) {
    // The number of a publication is given by the client before the machine gets it.
    const numbered = { action: "publish", ...frame, producer: "a-producer", sequence: this.#ids.size + 1 };
    this.#does({ type: "ask", id: `c${this.#ids.size + 1}`, frame: numbered });
    this.#ids.set(`program ${as}`, `c${this.#ids.size + 1}`);
  }

  connects({ after_ms: bounds }) {
    if (!this.#isStarted) this.#does({ type: "start" });
    this.#isStarted = true;
    while (!this.#todo.some((step) => step.do === "connect")) {
      this.#now = this.#machine.deadline();
      assert.ok(Number.isFinite(this.#now), "the client does not come back");
      this.#does({ type: "time" });
    }
    this.#take("connect");
    const pause = this.#now - this.#cutAt;
    if (bounds) assert.ok(bounds[0] <= pause && pause <= bounds[1], `it comes back after ${pause} ms`);
    this.#does({ type: "opened" });
    this.#does({ type: "frame", event: WELCOME });
  }

  sends(members, { as, again }) {
    const { id, ...frame } = JSON.parse(JSON.stringify(this.#take("send").frame));
    for (const [name, value] of Object.entries(members)) assert.deepEqual(frame[name], value, name);
    if (again !== undefined) assert.deepEqual(frame, this.#frames.get(again));
    this.#ids.set(as, id);
    this.#frames.set(as, frame);
  }

  sends_nothing() {
    assert.deepEqual(this.#todo.filter((step) => step.do === "send"), []);
  }

  receives({ id, ...event }) {
    if (id !== undefined) event.id = this.#ids.get(id.slice(1));
    this.#does({ type: "frame", event });
  }

  cut(code) {
    this.#cutAt = this.#now;
    this.#does({ type: "lost", code });
  }

  tells(expected, { of }) {
    const step = this.#take("tell", "end");
    assert.equal(step.key, of);
    const told = step.do === "end" ? { ended: step.error?.[0] ?? "closed" } : inShort(step.event);
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(told[name], value);
    if (expected.gap) assert.deepEqual(told, expected);
  }

  answers(members, { of }) {
    const { id, event } = this.#take("answer", "fail");
    assert.equal(id, this.#ids.get(`program ${of}`));
    for (const [name, value] of Object.entries(members)) assert.deepEqual(event[name], value);
  }

  fails(code, { of }) {
    const { id, error } = this.#take("answer", "fail");
    assert.deepEqual([id, error?.[0]], [this.#ids.get(`program ${of}`), code]);
  }

  stays_away() {
    assert.equal(this.#todo.findLast((step) => step.do === "state").state.name, "closed");
    assert.equal(this.#machine.deadline(), Infinity);
  }
}

function inShort(event) {
  const { topic } = event;
  if (event.event === "message") return { message: event.message, topic, offset: event.offset };
  if (event.type === "resumed") return { resumed: event.recovered };
  if (event.type === "gap") return { gap: JSON.parse(JSON.stringify({ topic, from: event.from, to: event.to })) };
  if (event.type === "joined" || event.type === "left") return { [event.type]: event.user };
  return event;
}

for (const { name, steps } of scenes) {
  test(`scene: ${name}`, () => {
    const player = new Player();
    for (const [at, step] of steps.entries()) {
      try {
        player.play(step);
      } catch (error) {
        error.message = `step ${at + 1}, ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    player.end();
  });
}
