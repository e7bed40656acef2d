// Starts the real server, and a proxy that breaks connections, for the tests.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";

const BINARY = process.env.HUBCAST_BINARY;
if (!BINARY) throw new Error("set HUBCAST_BINARY to the program hubcast, which the tests start");

/** A running server. `port` stays the same over a restart. */
export class Server {
  #child;
  port = 0;

  constructor(...flags) {
    this.flags = flags;
  }

  static async start(...flags) {
    const server = new Server(...flags);
    await server.start();
    return server;
  }

  async start() {
    const listen = `127.0.0.1:${this.port}`;
    this.#child = spawn(BINARY, ["--listen", listen, "--log-level", "off", ...this.flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: this.#child.stdout })) {
      const found = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(line);
      if (found) {
        this.port = Number(found[1]);
        this.#child.stdout.resume();
        return;
      }
    }
    throw new Error("the server did not start");
  }

  async stop(signal = "SIGTERM") {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill(signal);
    await exit;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/socket`;
  }
}

/** Passes bytes on to a server, and breaks connections in the ways of a network. */
export class Proxy {
  #pairs = new Set();
  #server;
  /** Bytes still pass to the server, and from it while this is false. */
  isSilent = false;

  static async start(target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.#server = net.createServer((client) => proxy.#accept(client));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}/socket`;
  }

  #accept(client) {
    const server = net.connect(this.target.port, "127.0.0.1");
    const pair = { client, server, left: Infinity };
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on("data", (bytes) => server.write(bytes));
    server.on("data", (bytes) => {
      if (this.isSilent) return;
      client.write(bytes.subarray(0, pair.left));
      pair.left -= bytes.length;
      if (pair.left <= 0) end();
    });
    for (const socket of [client, server]) socket.on("error", end).on("close", end);
  }

  /** Cuts all connections: `rst`, `fin`, or `half`, in the middle of the next frame. */
  cut(how) {
    for (const pair of this.#pairs) {
      if (how === "rst") pair.client.resetAndDestroy();
      else if (how === "fin") pair.client.end();
      else pair.left = 9;
    }
  }

  async stop() {
    this.#server.close();
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }
}
