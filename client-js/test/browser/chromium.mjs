// Drives Chromium by its debugging protocol (CDP).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"];

/** A running browser with one page. */
export class Chromium {
  #child;
  #folder;
  #socket;
  #nextId = 1;
  #waiting = new Map();
  /** Hears each `told(text)` of the page. */
  onTold = () => {};
  /** Hears each event of the protocol: its method and its parameters. */
  onEvent = () => {};

  static async start() {
    const chromium = new Chromium();
    chromium.#folder = await mkdtemp(join(tmpdir(), "hubcast-chromium-"));
    const flags = [...FLAGS, `--user-data-dir=${chromium.#folder}`, "about:blank"];
    chromium.#child = spawn("chromium", flags, { stdio: ["ignore", "ignore", "pipe"] });
    chromium.#child.on("error", () => {
      console.error("please install chromium (Debian's name)");
      process.exit(2);
    });
    for await (const line of createInterface({ input: chromium.#child.stderr })) {
      const port = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (!port) continue;
      chromium.#child.stderr.resume();
      const pages = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
      await chromium.#attach(pages.find(({ type }) => type === "page").webSocketDebuggerUrl);
      return chromium;
    }
    throw new Error("chromium did not start");
  }

  async #attach(url) {
    this.#socket = new WebSocket(url);
    await once(this.#socket, "open");
    this.#socket.on("message", (data) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method) this.onEvent(method, params);
      if (method === "Runtime.bindingCalled") this.onTold(JSON.parse(params.payload));
      const waiting = this.#waiting.get(id);
      if (!waiting) return;
      this.#waiting.delete(id);
      if (error) waiting.reject(new Error(error.message));
      else waiting.resolve(result);
    });
    await this.asks("Page.enable");
    await this.asks("Runtime.enable");
    await this.asks("Runtime.addBinding", { name: "told" });
  }

  asks(method, params = {}) {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async stop() {
    const exit = once(this.#child, "exit");
    this.#socket.close();
    this.#child.kill();
    await exit;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
