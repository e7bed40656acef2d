// How fast one subscriber receives: this client, and beside it a bare WebSocket that only parses the JSON. The server
// replays a history, so it sends as fast as it is read. Run with HUBCAST_BINARY set; it prints the ratio.

import { connect } from "../hubcast.js";
import { Server } from "../test/server.mjs";
import { WebSocket } from "../test/websocket.mjs";

const COUNT = 100_000;
const ROUNDS = 5;
const RULES = `[{ match = ">", history = { size = ${COUNT}, ttl = "10m", keep = "always" } }]`;

const server = await Server.start("--topics", RULES, "--history-max-bytes", "256MiB");
const writer = connect(server.url, { WebSocket });
const text = "x".repeat(100);
let waiting = [];
for (let number = 0; number < COUNT; number++) {
  waiting.push(writer.publish("bench", { number, text }));
  if (waiting.length === 500) await Promise.all(waiting.splice(0));
}
await Promise.all(waiting);
await writer.close();

/** Messages a second of a bare WebSocket. */
function bare() {
  return new Promise((resolve) => {
    const socket = new WebSocket(server.url, ["hubcast.v1"]);
    let [count, sum, began] = [0, 0, 0];
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, action: "subscribe", topic: "bench", last: COUNT }));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.event !== "message") return;
      if (count === 0) began = performance.now();
      sum += event.message.number;
      if (++count < COUNT) return;
      socket.close();
      resolve(rate(began));
    };
  });
}

/** Messages a second of this client, read by `for await` or by a listener. */
async function ours(how) {
  const client = connect(server.url, { WebSocket, queue: COUNT + 1 });
  const bench = client.subscribe("bench", { last: COUNT });
  let [count, sum, began] = [0, 0, 0];
  const take = ({ value }) => {
    if (count === 0) began = performance.now();
    sum += value.number;
    return ++count === COUNT;
  };
  if (how === "loop") {
    for await (const message of bench) if (take(message)) break;
  } else {
    await new Promise((resolve) => bench.on("message", (message) => take(message) && resolve()));
  }
  const result = rate(began);
  await client.close();
  return result;
}

const rate = (began) => COUNT / ((performance.now() - began) / 1_000);
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const all = { bare: [], listener: [], loop: [] };
for (let round = 0; round < ROUNDS; round++) {
  all.bare.push(await bare());
  all.listener.push(await ours("listener"));
  all.loop.push(await ours("loop"));
}
const base = median(all.bare);
console.log(`messages a second, medians of ${ROUNDS} rounds of ${COUNT} messages of some 200 bytes`);
for (const [name, rates] of Object.entries(all)) {
  console.log(`${name.padEnd(9)} ${Math.round(median(rates)).toLocaleString("en").padStart(10)}  ${(median(rates) / base).toFixed(2)}`);
}
await server.stop();
