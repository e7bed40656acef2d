// The client in Chromium: what a page goes through while numbers are published. None may be missing, and none may come
// again but the one that was being handled when the page was left.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import test, { after, before } from "node:test";
import { connect } from "../../hubcast.js";
import { Server } from "../server.mjs";
import { WebSocket } from "../websocket.mjs";
import { Chromium } from "./chromium.mjs";

const RULES = '[{ match = ">", history = { size = 20000, ttl = "10m", keep = "always" } }]';
let server;
let chromium;
let pages;
let address;
let told = [];
let published = 0;
let publishing;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function eventually(what, holds) {
  const end = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within 20 s: ${what}`);
    await sleep(20);
  }
}

const numbers = () => told.filter(({ number }) => number !== undefined).map(({ number }) => number);

/** Each number came, in order; a repeated one is one that was told just before the page was left. */
function assertComplete(mostRepeats) {
  // A page that was left had handled more than it could tell.
  const all = told.map(({ number, handled }) => number ?? handled).filter((number) => number !== undefined);
  const isHandled = told.filter(({ number, handled }) => number ?? handled).map(({ handled }) => handled !== undefined);
  let repeats = 0;
  for (let at = 1; at < all.length; at++) {
    const step = all[at] - all[at - 1];
    if (isHandled[at]) continue;
    if (step < 1) repeats += 1 - step;
    assert.ok(step <= 1, `${all[at - 1]} is followed by ${all[at]}`);
  }
  assert.ok(repeats <= mostRepeats, `${repeats} repeats`);
  assert.deepEqual(told.filter(({ gap }) => gap), []);
  return repeats;
}

async function open() {
  told = [];
  await chromium.asks("Page.navigate", { url: address });
  await eventually("the page is ready", () => told.some(({ ready }) => ready));
}

async function caughtUp() {
  const last = published;
  await eventually(`${last} came`, () => numbers().at(-1) >= last);
}

/** The page that the README shows, for the server of this test. */
async function pageOfReadme() {
  const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");
  return /```html\n([^]*?)```/.exec(readme)[1].replaceAll("127.0.0.1:8080", `127.0.0.1:${server.port}`);
}

before(async () => {
  server = await Server.start("--topics", RULES);
  const files = createServer(async (request, response) => {
    response.setHeader("Content-Type", "text/html");
    if (request.url.startsWith("/page")) response.end(await readFile(new URL("page.html", import.meta.url)));
    else if (request.url === "/readme") response.end(await pageOfReadme());
    else response.end("elsewhere");
  });
  pages = files.listen(0, "127.0.0.1");
  await once(pages, "listening");
  address = `http://127.0.0.1:${pages.address().port}/page?hub=127.0.0.1:${server.port}`;
  chromium = await Chromium.start();
  chromium.onTold = (event) => told.push(event);
  const writer = connect(server.url, { WebSocket });
  publishing = setInterval(() => {
    const number = ++published;
    // The last ones can be under way when the writer is closed.
    writer.publish("numbers", number).catch(() => {});
  }, 5);
  publishing.writer = writer;
});

after(async () => {
  clearInterval(publishing);
  await publishing.writer.close();
  await chromium.stop();
  await server.stop();
  pages.closeAllConnections();
  pages.close();
});

test("the page of the README", { timeout: 30_000 }, async () => {
  await chromium.asks("Page.navigate", { url: address.replace(/\/page.*/, "/readme") });
  const shown = async (expression) => (await chromium.asks("Runtime.evaluate", { expression })).result.value;
  const end = Date.now() + 10_000;
  while (!/hi <b>there/.test(await shown("document.querySelector('ul')?.textContent")) && Date.now() < end) {
    await publishing.writer.publish("world", "hi <b>there");
    await sleep(100);
  }
  await shown("document.querySelector('input').value = 'from the page'; document.querySelector('form').requestSubmit()");
  while (!/from the page/.test(await shown("document.querySelector('ul').textContent")) && Date.now() < end) await sleep(20);
  assert.match(await shown("document.querySelector('ul').textContent"), /hi <b>there.*from the page/);
});

test("50 reloads", { timeout: 120_000 }, async () => {
  await open();
  for (let reload = 0; reload < 50; reload++) {
    await sleep(150);
    const before = told.length;
    await chromium.asks("Page.reload");
    await eventually("the page is ready again", () => told.slice(before).some(({ ready }) => ready));
  }
  await caughtUp();
  console.log(`# ${numbers().length} numbers, ${assertComplete(50)} repeats`);
});

test("a frozen page disconnects, and resumes", { timeout: 60_000 }, async () => {
  await open();
  await sleep(300);
  await chromium.asks("Page.setWebLifecycleState", { state: "frozen" });
  await sleep(3_000);
  await chromium.asks("Page.setWebLifecycleState", { state: "active" });
  await caughtUp();
  assertComplete(0);
  assert.ok(told.some(({ reason }) => reason === "the page is frozen"), JSON.stringify(told.filter(({ state }) => state)));
});

test("a page that one goes back to was kept, and resumes", { timeout: 60_000 }, async () => {
  await open();
  await sleep(300);
  await chromium.asks("Page.navigate", { url: address.replace(/\/page.*/, "/elsewhere") });
  await sleep(1_000);
  const { currentIndex, entries } = await chromium.asks("Page.getNavigationHistory");
  await chromium.asks("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1].id });
  await eventually("the page is shown again", () => told.some(({ shown }) => shown));
  await caughtUp();
  assertComplete(0);
});

test("offline and online again", { timeout: 60_000 }, async () => {
  await open();
  const network = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
  for (const offline of [true, false]) {
    await chromium.asks("Network.emulateNetworkConditions", { ...network, offline });
    await sleep(1_000);
  }
  await caughtUp();
  assertComplete(0);
});

test("a slow processor, and 2,000 messages a second", { timeout: 60_000 }, async () => {
  await open();
  await chromium.asks("Emulation.setCPUThrottlingRate", { rate: 20 });
  for (let burst = 0; burst < 20; burst++) {
    for (let at = 0; at < 200; at++) publishing.writer.publish("numbers", ++published);
    await sleep(100);
  }
  await chromium.asks("Emulation.setCPUThrottlingRate", { rate: 1 });
  await caughtUp();
  assertComplete(0);
});
