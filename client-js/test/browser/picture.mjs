// Makes the pictures of the console for the README: the real page, in Chromium, with a little life on the server.
//
//     HUBCAST_BINARY=target/release/hubcast node client-js/test/browser/picture.mjs FOLDER

import { writeFile } from "node:fs/promises";
import { connect } from "../../hubcast.js";
import { Server } from "../server.mjs";
import { WebSocket } from "../websocket.mjs";
import { Chromium } from "./chromium.mjs";

const [, , folder = "."] = process.argv;
const PAIRS = { eurusd: 1.0842, gbpusd: 1.2731, btceur: 58_210.5, etheur: 2_318.2 };
const WORDS = ["Good morning!", "Has the new build reached you?", "It has, since ten.", "Then let us ship it."];

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const rules = '[{ match = "chat.>", presence = true, history = { size = 100 } }, { match = ">", history = { size = 1000 } }]';
const server = await Server.start("--topics", rules);
const client = connect(server.url, { WebSocket });
const chromium = await Chromium.start();
const page = (expression) => chromium.asks("Runtime.evaluate", { expression, awaitPromise: true });

let step = 0;
function live() {
  step += 1;
  const [pair, price] = Object.entries(PAIRS)[step % 4];
  client.publish(`prices.${pair}`, { bid: Number((price * (1 + Math.sin(step / 5) / 500)).toPrecision(6)), volume: (step * 37) % 90 });
  if (step % 9 === 0) client.publish("chat.lobby", WORDS[(step / 9) % 4]);
  if (step % 13 === 0) client.publish("orders.eu.created", { order: 41_000 + step, total: 129.9, lines: [{ sku: "A-7", quantity: 2 }] });
}

await client.connected();
await chromium.asks("Emulation.setDeviceMetricsOverride", { width: 1400, height: 760, deviceScaleFactor: 1, mobile: false });
await chromium.asks("Page.navigate", { url: `http://127.0.0.1:${server.port}/#pattern=%3E` });
await sleep(1500);
for (let count = 0; count < 60; count += 1) {
  live();
  await sleep(60);
}
await sleep(300);
await page(`[...document.querySelectorAll(".row")].find((row) => row.textContent.includes("orders.eu")).click()`);
for (const scheme of ["light", "dark"]) {
  await chromium.asks("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  await sleep(300);
  const { data } = await chromium.asks("Page.captureScreenshot", { format: "png" });
  await writeFile(`${folder}/console-${scheme}.png`, Buffer.from(data, "base64"));
}
await client.close();
await chromium.stop();
await server.stop();
