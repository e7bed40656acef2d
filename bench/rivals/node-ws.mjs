// A server of the plain dialect on Node and its package `ws`: node bench/rivals/node-ws.mjs PORT. It encodes a publication
// once for all its subscribers, as its users do who care for speed.

import { randomUUID } from "node:crypto";
import { Sender, WebSocketServer } from "ws";

const topics = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), path: "/socket", backlog: 4096, perMessageDeflate: false, clientTracking: false });

function publish(topic, message) {
  const frame = [Buffer.concat(Sender.frame(Buffer.from(message), { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false }))];
  for (const socket of topics.get(topic) ?? []) if (socket.readyState === socket.OPEN) socket._sender.sendFrame(frame);
}

function leave(socket, topic) {
  const subscribers = topics.get(topic);
  subscribers?.delete(socket);
  if (subscribers?.size === 0) topics.delete(topic);
}

server.on("connection", (socket) => {
  const own = new Set();
  socket.send(`Server: Welcome! Your ID is ${randomUUID()}`);
  socket.on("error", () => {});
  socket.on("close", () => own.forEach((topic) => leave(socket, topic)));
  socket.on("message", (data) => {
    const { action, topic = "", message = "" } = JSON.parse(data);
    if (action === "publish") {
      publish(topic, message);
    } else if (action === "subscribe") {
      if (!topics.has(topic)) topics.set(topic, new Set());
      topics.get(topic).add(socket);
      own.add(topic);
    } else if (action === "unsubscribe") {
      own.delete(topic);
      leave(socket, topic);
    } else {
      socket.send("Server: Action unrecognized");
    }
  });
});
