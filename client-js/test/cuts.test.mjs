// Nothing comes twice, and nothing is missing in silence, however the connection breaks.

import assert from "node:assert/strict";
import test from "node:test";
import { WebSocket } from "./websocket.mjs";
import { connect } from "../hubcast.js";
import { Proxy, Server } from "./server.mjs";

const RULES = '[{ match = ">", history = { size = 20000, ttl = "10m" } }]';

/** Publishes numbers to several topics through cuts, and reads them by topic and by pattern. */
async function soak({ numbers, breaks, every, pattern }) {
  const server = await Server.start("--topics", RULES, "--ping", "2s");
  const proxy = await Proxy.start(server);
  const log = () => {};
  const reader = connect(proxy.url, { WebSocket, backoff: { first: 20, most: 200 }, log });
  const writer = connect(proxy.url, { WebSocket, backoff: { first: 20, most: 200 }, log });
  const topics = ["soak.a", "soak.b", "soak.c"];
  const heard = new Map(topics.map((topic) => [topic, []]));
  const [positions, doubled] = [new Set(), []];
  const [mayMiss, silent] = [new Set(), []];
  let gaps = 0;
  const note = (event) => {
    if (event.type === "gap") {
      gaps += 1;
      for (const topic of event.topic ? [event.topic] : topics) mayMiss.add(topic);
    }
    if (event.type !== "message") return;
    const values = heard.get(event.topic);
    if (event.value > (values.at(-1) ?? -1) + 1 && !mayMiss.has(event.topic)) silent.push(event);
    mayMiss.delete(event.topic);
    values.push(event.value);
    const position = `${event.topic} ${event.position.epoch} ${event.position.offset}`;
    if (positions.has(position)) doubled.push(position);
    positions.add(position);
  };
  const subscriptions = pattern ? [reader.subscribe({ pattern: "soak.*" })] : topics.map((topic) => reader.subscribe(topic));
  for (const subscription of subscriptions) {
    await subscription.ready;
    (async () => {
      for await (const event of subscription.events()) note(event);
    })();
  }
  const published = [];
  const breaking = (async () => {
    for (const how of breaks) {
      await new Promise((resolve) => setTimeout(resolve, every));
      await how({ proxy, server });
    }
  })();
  for (let number = 0; number < numbers; number++) {
    for (const topic of topics) published.push(writer.publish(topic, number));
    if (published.length > 500) await Promise.all(published.splice(0, 300));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await breaking;
  await Promise.all(published);
  const end = Date.now() + 10_000;
  while ([...heard.values()].some((values) => values.at(-1) !== numbers - 1) && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all([reader.close(), writer.close()]);
  await proxy.stop();
  await server.stop();
  assert.deepEqual(doubled, []);
  assert.deepEqual(silent, []);
  return { heard, gaps };
}

const cut = (how) => ({ proxy }) => proxy.cut(how);
const restart = (signal) => async ({ server }) => {
  await server.stop(signal);
  await server.start();
};

for (const pattern of [false, true]) {
  test(`100 cuts: all once and in order, by ${pattern ? "pattern" : "topic"}`, { timeout: 60_000 }, async () => {
    const breaks = Array.from({ length: 100 }, (_, at) => cut(["rst", "fin", "half"][at % 3]));
    const { heard, gaps } = await soak({ numbers: 2_000, breaks, every: 60, pattern });
    assert.equal(gaps, 0);
    for (const [topic, values] of heard) {
      assert.deepEqual(values, Array.from({ length: 2_000 }, (_, at) => at), topic);
    }
  });
}

test("a server that loses its histories: what is missing is said, and nothing comes twice", { timeout: 60_000 }, async () => {
  const { heard, gaps } = await soak({ numbers: 1_500, breaks: Array(5).fill(restart("SIGKILL")), every: 500 });
  assert.ok(gaps >= 3, `${gaps} gaps`);
  for (const values of heard.values()) assert.equal(values.at(-1), 1_499);
});

test("bytes that are lost before a cut come again", { timeout: 60_000 }, async () => {
  const silence = async ({ proxy }) => {
    proxy.isSilent = true;
    setTimeout(() => {
      proxy.isSilent = false;
      proxy.cut("rst");
    }, 500);
  };
  const { heard, gaps } = await soak({ numbers: 1_000, breaks: Array(3).fill(silence), every: 700 });
  assert.equal(gaps, 0);
  for (const values of heard.values()) assert.deepEqual(values, Array.from({ length: 1_000 }, (_, at) => at));
});
