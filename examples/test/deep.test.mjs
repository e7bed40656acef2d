// The pages in Chromium, and applications beside the server: they make the tokens with which their pages connect.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { connect } from "../../client-js/hubcast.js";
import { Chromium } from "../../client-js/test/browser/chromium.mjs";
import { Server } from "../../client-js/test/server.mjs";
import { WebSocket } from "../../client-js/test/websocket.mjs";
import { EXAMPLES, hubOfExamples, pages, run, sleep } from "./support.mjs";

const RULES = '[{ match = "room.>", presence = true }, { match = "chat.>", presence = true }, { match = "news", history = { size = 10, keep = "always" } }]';
let server;
let chromium;
let files;
let client;

before(async () => {
  server = await Server.start("--topics", RULES);
  client = connect(server.url, { WebSocket });
  files = await pages(server.port);
  chromium = await Chromium.start();
});

after(async () => {
  files.stop();
  await chromium.stop();
  await client.close();
  await server.stop();
});

const open = (url) => chromium.asks("Page.navigate", { url });

async function page(expression) {
  const { result, exceptionDetails } = await chromium.asks("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

async function shows(words) {
  for (const end = Date.now() + 10_000; ; ) {
    const text = await page("document.body?.innerText ?? ''");
    if (words.test(text)) return;
    assert.ok(Date.now() < end, `the page shows ${JSON.stringify(text)} and not ${words}`);
    await sleep(30);
  }
}

/** Publishes as soon as the page listens. */
async function publishOnceHeard(topic, message) {
  for (const end = Date.now() + 10_000; (await client.publish(topic, message)).receivers === 0; await sleep(20)) assert.ok(Date.now() < end);
}

test("chat: what is said, who is there, and no markup", async () => {
  await open(`${files.url}/chat.html?name=Ada`);
  await shows(/Here: Ada$/m);
  const bob = connect(server.url, { WebSocket, info: { name: "Bob" } });
  await bob.subscribe("chat.lobby").ready;
  await shows(/Here: Ada, Bob/);
  await bob.publish("chat.lobby", { name: "Bob", text: "<img src=x> hello" });
  await shows(/Bob <img src=x> hello/);
  await page("document.querySelector('input').value = 'Hello Bob'; document.querySelector('form').requestSubmit()");
  await shows(/Ada Hello Bob/);
  await bob.close();
});

test("live prices", async () => {
  await open(`${files.url}/prices.html`);
  await publishOnceHeard("prices.TEA", { price: 2.5 });
  await shows(/TEA\s+2\.50\s+\+0\.00/);
  await client.publish("prices.TEA", { price: 2.25 });
  await shows(/TEA\s+2\.25\s+−0\.25/);
});

test("who is here", async () => {
  await open(`${files.url}/who.html?name=Ada`);
  await shows(/You are alone\.\s+Ada/);
  const bob = connect(server.url, { WebSocket, info: { name: "Bob" } });
  await bob.subscribe("room.7").ready;
  await shows(/2 people are here\.\s+Ada\s+Bob/);
  await bob.close();
  await shows(/You are alone/);
});

test("shared cursors", async () => {
  const heard = client.subscribe({ pattern: "cursors.*" });
  await heard.ready;
  const first = heard[Symbol.asyncIterator]().next();
  await open(`${files.url}/cursors.html`);
  for (const end = Date.now() + 10_000; !(await page("Boolean(document.querySelector('#board')?.onpointermove)")); await sleep(20)) {
    assert.ok(Date.now() < end);
  }
  const { x, y } = await page("JSON.parse(JSON.stringify(document.querySelector('#board').getBoundingClientRect()))");
  await chromium.asks("Input.dispatchMouseEvent", { type: "mouseMoved", x: x + 50, y: y + 40 });
  const { value } = (await first).value;
  assert.ok(value.x > 0 && value.x < 1 && value.y > 0 && value.y < 1);
  await heard.unsubscribe();
  await publishOnceHeard("cursors.other", { x: 0.5, y: 0.25 });
  for (const end = Date.now() + 5_000; !(await page("document.querySelector('#board i')?.style.left === '50%'")); ) {
    assert.ok(Date.now() < end);
    await sleep(30);
  }
});

test("server-sent events in ten lines", async () => {
  await open(`${files.url}/events.html`);
  await publishOnceHeard("news", "first <b>news</b>");
  await shows(/first <b>news<\/b>/);
});

/** An application beside the server: who is signed in gets a token; the page connects with it. */
async function besideTheServer(start) {
  const hub = await hubOfExamples();
  const port = 20_000 + (process.pid % 10_000);
  const application = start(hub, port);
  let said = "";
  for (const stream of [application.stdout, application.stderr]) stream.on("data", (text) => (said += text));
  try {
    for (const end = Date.now() + 20_000; ; ) {
      if (await fetch(`http://127.0.0.1:${port}/token`).then(({ status }) => status === 403, () => false)) break;
      assert.ok(Date.now() < end, `the application does not answer: ${said}`);
      await sleep(50);
    }
    await open(`http://127.0.0.1:${port}/as/ada`);
    await shows(/Hello ada/);
    await run("node", ["--input-type=module", "--eval", `await fetch("${hub.url}/api/publish", { method: "POST",
      headers: { Authorization: "Bearer ${hub.key}", "Content-Type": "application/json" },
      body: JSON.stringify({ topic: "news", message: "from the backend" }) })`]);
    await shows(/from the backend/);
  } finally {
    application.kill();
    await hub.stop();
  }
}

test("a Rust service confirms each order once", { timeout: 300_000 }, async () => {
  await run("cargo", ["build", "--quiet", "--locked", "-p", "hubcast-client", "--example", "service"]);
  const target = process.env.CARGO_TARGET_DIR ?? join(EXAMPLES, "../target");
  const service = spawn(join(target, "debug/examples/service"), [server.url]);
  try {
    await new Promise((waits) => service.stdout.on("data", (text) => /waiting for orders/.test(text) && waits()));
    const confirmations = client.subscribe("confirmations");
    await confirmations.ready;
    for (const id of [17, 17, "no order", 18]) await client.publish("orders", { id, total: 129.9 });
    const heard = [];
    for await (const { value } of confirmations) if (heard.push(value.text) === 2) break;
    assert.deepEqual(heard, ["order 17 over 129.90 is confirmed", "order 18 over 129.90 is confirmed"]);
  } finally {
    service.kill();
  }
});

test("Django", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "hubcast-django-"));
  try {
    await run("python3", ["-m", "venv", folder]);
    await run(join(folder, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "django", "pyjwt"]);
    await besideTheServer((hub, port) =>
      spawn(join(folder, "bin/python"), ["django/app.py", "runserver", "--noreload", String(port)], {
        cwd: EXAMPLES,
        env: { ...process.env, TOKEN_SECRET: hub.secret, HUBCAST_URL: hub.url },
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("axum", { timeout: 600_000 }, async () => {
  await run("cargo", ["build", "--quiet", "--locked", "--manifest-path", "axum/Cargo.toml"]);
  await besideTheServer((hub, port) =>
    spawn(join(process.env.CARGO_TARGET_DIR ?? join(EXAMPLES, "axum/target"), "debug/hubcast-example-axum"), {
      env: { ...process.env, TOKEN_SECRET: hub.secret, HUBCAST_URL: hub.url, LISTEN: `127.0.0.1:${port}` },
    }),
  );
});
