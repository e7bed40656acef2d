// What the tests of the examples share: servers, and files of the examples with the port of a test.

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "../../client-js/test/server.mjs";

export const EXAMPLES = new URL("..", import.meta.url).pathname;
export const sleep = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

/** A server with the configuration of the examples, as its comments say to make it. */
export async function hubOfExamples() {
  const folder = await mkdtemp(join(tmpdir(), "hubcast-examples-"));
  const key = `hc_backend_${randomBytes(32).toString("base64url")}`;
  const secret = randomBytes(32).toString("base64");
  const hash = createHash("sha256").update(key).digest("hex");
  const keys = `\n[[api_keys]]\nid = "backend"\nkey_hash = "sha256:${hash}"\npublish = [">"]\nhistory = [">"]\n`;
  await writeFile(join(folder, "token.secret"), `${secret}\n`, { mode: 0o600 });
  const shown = await readFile(join(EXAMPLES, "hub.toml"), "utf8");
  await writeFile(join(folder, "hub.toml"), shown.replace('"token.secret"', JSON.stringify(join(folder, "token.secret"))) + keys);
  const server = await Server.start("--config", join(folder, "hub.toml"));
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  };
  return { key, secret, stop, url: `http://127.0.0.1:${server.port}` };
}

/** Runs a program to its end, and returns what it prints. */
export async function run(command, words, env = {}) {
  const child = spawn(command, words, { cwd: EXAMPLES, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [output, faults] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (faults += text));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ${words.join(" ")} ends with ${code}: ${faults || output}`);
  return output;
}

/** Serves the pages for the server of a test. */
export async function pages(port) {
  const server = createServer(async (request, response) => {
    const name = new URL(request.url, "http://x").pathname.slice(1);
    const text = await readFile(join(EXAMPLES, "pages", name), "utf8").catch(() => "");
    response.setHeader("Content-Type", name.endsWith(".css") ? "text/css" : "text/html; charset=utf-8");
    response.end(text.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => (server.closeAllConnections(), server.close()) };
}

