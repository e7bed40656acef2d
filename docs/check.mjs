// Runs what the documents of this folder and the README show, each document in a folder and with a server's port of its own:
//
//     node docs/check.mjs PATH/TO/hubcast [--pages] [DOCUMENT...]
//
// - `sh` blocks run in order, in one shell; each must succeed. Programs in the background end with the document.
// - A `text` block behind a block is what that must print, line after line; `…` stands for anything.
// - A block whose first line is a comment with the name of a file is written to that file. `js` without a name is run.
// - `toml` must be a configuration, `json` must be JSON. `html` must be JavaScript inside; with `--pages` Chromium opens it, and the
//   `text` block behind it is what the page must show.
// - `rust` is compiled by the documentation tests of the Rust client.
// - A block marked `other`, such as `js other`, belongs to another product and is not run.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const [, , binary, ...rest] = process.argv;
const withPages = rest.includes("--pages");
const wanted = rest.filter((word) => !word.startsWith("--"));
const here = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
const NODE = ["--experimental-websocket", "--no-warnings"];
const PATIENCE = 60_000;

/** A shell that runs one block after another. It ends at the first command that fails. */
class Shell {
  #child;
  #output = "";
  #wake = () => {};
  #hasEnded = false;

  constructor(folder, port) {
    const PATH = `${dirname(resolve(binary))}:${process.env.PATH}`;
    const env = { ...process.env, PATH, HOME: folder, HUBCAST_URL: `ws://127.0.0.1:${port}/socket`, HUBCAST_LISTEN: `127.0.0.1:${port}`, HUBCAST_LOG_LEVEL: "off" };
    this.#child = spawn("bash", ["-e", "-o", "pipefail"], { cwd: folder, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => ((this.#output += text), this.#wake()));
    }
    this.#child.on("exit", () => ((this.#hasEnded = true), this.#wake()));
  }

  /** Returns what the block prints. */
  async run(code) {
    this.#output = "";
    this.#child.stdin.write(`${code}\nprintf '%s\\n' ${DONE}\n`);
    const end = Date.now() + PATIENCE;
    while (!this.#output.includes(DONE)) {
      const isLate = Date.now() > end;
      if (this.#hasEnded || isLate) throw new Error(`${isLate ? "it takes too long" : "it fails"}, and prints:\n${this.#output}`);
      await new Promise((wake) => ((this.#wake = wake), setTimeout(wake, 1_000)));
    }
    // What runs in the background prints a little later.
    await new Promise((wake) => setTimeout(wake, 300));
    return this.#output.replace(`${DONE}\n`, "");
  }

  get output() {
    return this.#output;
  }

  end() {
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // Nothing of it runs any more.
    }
  }
}

function blocksOf(document) {
  return [...document.matchAll(/^```(\S*)([^\n]*)\n([^]*?)^```$/gm)].map(([, language, more, code], at) => {
    const isOther = /\bother\b/.test(more);
    const line = document.slice(0, document.indexOf(code)).split("\n").length;
    const file = /^(?:\/\/|#|<!--)\s*([\w./-]+\.(?:mjs|js|py|html|toml))(?: -->)?$/.exec(code.split("\n")[0])?.[1];
    return { language, isOther, code, line, file, at };
  });
}

/** Each line is there, in this order. */
function assertShows(printed, expected) {
  let rest = printed;
  for (const line of expected.trimEnd().split("\n")) {
    const pattern = new RegExp(line.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^\\n]*"));
    const found = pattern.exec(rest);
    assert.ok(found, `it does not print ${JSON.stringify(line)}, but:\n${printed}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

function assertJavaScript(html) {
  for (const [, script] of html.matchAll(/<script type="module">([^]*?)<\/script>/g)) {
    const { status, stderr } = spawnSync("node", ["--input-type=module", "--check"], { input: script, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** What a page shows, once it shows this. */
async function textOfPage(path, expected) {
  const { Chromium } = await import("../client-js/test/browser/chromium.mjs");
  const chromium = await Chromium.start();
  try {
    await chromium.asks("Page.navigate", { url: `file://${path}` });
    for (const end = Date.now() + 10_000; ; ) {
      const { result } = await chromium.asks("Runtime.evaluate", { expression: "document.body.innerText" });
      try {
        return assertShows(result.value ?? "", expected);
      } catch (error) {
        if (Date.now() > end) throw error;
      }
      await new Promise((wake) => setTimeout(wake, 50));
    }
  } finally {
    await chromium.stop();
  }
}

async function check(name) {
  const document = await readFile(join(here, name), "utf8");
  const folder = await mkdtemp(join(tmpdir(), "hubcast-docs-"));
  const port = await freePort();
  const shell = new Shell(folder, port);
  const blocks = blocksOf(document);
  let printed;
  try {
    for (const { language, isOther, code: shown, line, file, at } of blocks) {
      const code = shown.replaceAll("8080", String(port));
      const next = blocks[at + 1]?.language === "text" ? blocks[at + 1].code.replaceAll("8080", String(port)) : undefined;
      try {
        if (isOther || ["", "rust", "rust,no_run"].includes(language)) continue;
        if (file) await writeFile(join(folder, file), code);
        if (language === "sh") printed = await shell.run(code);
        else if (language === "text") printed !== undefined && assertShows(`${printed}${shell.output}`, code);
        else if (language === "json") JSON.parse(code);
        else if (language === "toml") await shell.run(`hubcast check-config --config ${file ?? "/dev/stdin"} >/dev/null <<'END'\n${code}\nEND`);
        else if (language === "html") {
          assertJavaScript(code);
          if (withPages && next) await textOfPage(join(folder, file), next);
          printed = undefined;
        } else if (language === "js" && !file) printed = await shell.run(`node ${NODE.join(" ")} --input-type=module <<'END'\n${code}\nEND`);
        else assert.ok(file, `nothing runs blocks of ${language}: mark it \`other\`, or give it the name of a file`);
      } catch (error) {
        error.message = `docs/${name}, line ${line}: ${error.message}`;
        throw error;
      }
    }
  } finally {
    shell.end();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The README's shell: its `sh` blocks, and the lines with `$` of its `console` blocks. Its JavaScript, its Rust and what
 * `npx`, `cargo` and `curl -N` show have checks of their own.
 */
async function checkReadme() {
  const document = await readFile(join(here, "../README.md"), "utf8");
  const folder = await mkdtemp(join(tmpdir(), "hubcast-readme-"));
  const port = await freePort();
  const shell = new Shell(folder, port);
  try {
    await shell.run("hubcast & sleep 1");
    for (const { language, code: shown, line } of blocksOf(document)) {
      const code = shown.replaceAll("8080", String(port));
      try {
        if (language === "sh") await shell.run(code);
        if (language === "console") await session(shell, folder, code);
      } catch (error) {
        error.message = `README.md, line ${line}: ${error.message}`;
        throw error;
      }
    }
  } finally {
    shell.end();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Types what stands behind each `$`, and compares what follows it. */
async function session(shell, folder, text) {
  for (const part of text.split(/^\$ /m).slice(1)) {
    // A command goes on behind a backslash, and up to the END of a text that it is given.
    const whole = part.includes("<<'END'") ? /^([^]*?\nEND)\n([^]*)$/ : /^((?:[^\n]*\\\n)*[^\n]*)\n([^]*)$/;
    const [, typed, expected] = whole.exec(part);
    if (/^(npx|cargo|bench\/|hubcast bench|curl -N)/.test(typed)) continue;
    const file = /^cat (\S+)$/.exec(typed)?.[1];
    if (file) await writeFile(join(folder, file), expected);
    const isServer = /^hubcast --config/.test(typed);
    const key = typed.startsWith("hubcast key") ? "KEY=$(grep -o 'hc_[^ ]*' key.txt)" : "";
    // The server before it has to give the port back.
    const command = isServer ? `kill $(jobs -p) || true; wait || true; ${typed} & sleep 1` : key ? typed.replace(" |", " 2> key.txt |") : typed;
    const printed = await shell.run(`${command}\n${key}`);
    if (expected.trim()) assertShows(printed, expected);
  }
}

const DONE = "the-block-is-done";
/** Documents that are checked at the same time. */
const AT_ONCE = 4;
const all = (await readdir(here, { recursive: true })).filter((name) => name.endsWith(".md") && !name.startsWith("decisions/"));
const names = wanted.length > 0 ? wanted : ["../README.md", ...all.sort()];
let failed = 0;
// Nearly all of their time they wait for something.
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      try {
        await (name === "../README.md" ? checkReadme() : check(name));
        console.log(`${name}: good`);
      } catch (error) {
        failed += 1;
        console.error(error.message);
      }
    }
  }),
);
process.exit(failed > 0 ? 1 : 0);
