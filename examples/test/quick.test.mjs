// Backends, and hooks for React and Vue, with the real server.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { JSDOM } from "jsdom";
import { connect } from "../../client-js/hubcast.js";
import { Server } from "../../client-js/test/server.mjs";
import { WebSocket } from "../../client-js/test/websocket.mjs";
import { hubOfExamples, run, sleep } from "./support.mjs";

let hub;
let server;
let client;
let document;

before(async () => {
  hub = await hubOfExamples();
  server = await Server.start();
  client = connect(server.url, { WebSocket });
  const { window } = new JSDOM("<main></main>");
  document = window.document;
  Object.assign(globalThis, { window, document, IS_REACT_ACT_ENVIRONMENT: false });
  // Node 20 has none, and newer ones let nobody replace theirs.
  globalThis.navigator ??= window.navigator;
  for (const name of ["Element", "HTMLElement", "SVGElement", "Node", "Event", "HTMLIFrameElement"]) globalThis[name] = window[name];
});

after(async () => {
  await client.close();
  await server.stop();
  await hub.stop();
});

async function eventually(holds) {
  for (const end = Date.now() + 10_000; !holds(); ) {
    assert.ok(Date.now() < end, document.querySelector("main").innerHTML);
    await sleep(10);
  }
}

/** The same steps for both: messages come, another topic begins anew, and what is gone is left. */
async function shows(render, setTopic, unmount) {
  // Requests of one connection take effect in their order: what is published after a subscription is heard by it.
  const subscribed = [];
  const subscribe = Object.getPrototypeOf(client).subscribe;
  client.subscribe = (topic, options) => (subscribed.push(topic), subscribe.call(client, topic, options));
  render();
  const text = () => document.querySelector("main").textContent;
  await eventually(() => text() === "live" && subscribed.at(-1) === "one");
  await client.publish("one", "first");
  await eventually(() => text() === "live first");
  setTopic("two");
  await eventually(() => text() === "live" && subscribed.at(-1) === "two");
  await client.publish("two", "second");
  await eventually(() => text() === "live second");
  unmount();
  for (const end = Date.now() + 10_000; (await client.publish("two", "is anybody there?")).receivers > 0; ) assert.ok(Date.now() < end);
}

test("React", async () => {
  const { createElement, useState } = await import("react");
  const { createRoot } = await import("react-dom/client");
  const { useTopic } = await import("../react/useTopic.mjs");
  let setTopic;
  function Lines() {
    const [topic, set] = useState("one");
    setTopic = set;
    const { messages, isLive } = useTopic(client, topic);
    return createElement("p", null, [isLive ? "live" : "waits", ...messages.map(({ value }) => value)].join(" "));
  }
  const root = createRoot(document.querySelector("main"));
  await shows(() => root.render(createElement(Lines)), (topic) => setTopic(topic), () => root.unmount());
});

test("Vue", async () => {
  const { createApp, h, ref } = await import("vue");
  const { useTopic } = await import("../vue/useTopic.mjs");
  const topic = ref("one");
  const application = createApp({
    setup() {
      const { messages, isLive } = useTopic(client, topic);
      return () => h("p", [isLive.value ? "live" : "waits", ...messages.value.map(({ value }) => value)].join(" "));
    },
  });
  await shows(() => application.mount(document.querySelector("main")), (name) => (topic.value = name), () => application.unmount());
});

test("a Node and a Python backend publish once, however often they run", async () => {
  const env = { HUBCAST_API: `${hub.url}/api`, HUBCAST_KEY: hub.key };
  for (const [program, file, once, again] of [
    ["node", "backends/publish.mjs", /receivers: 0/, /duplicate: true/],
    ["python3", "backends/publish.py", /'receivers': 0/, /'duplicate': True/],
  ]) {
    assert.match(await run(program, [file], env), once);
    assert.match(await run(program, [file], env), again);
    await assert.rejects(run(program, [file], { ...env, HUBCAST_KEY: "hc_backend_wrong" }), /API key/);
  }
});
