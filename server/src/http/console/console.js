/** The console: makes its parts, and connects them. */

import { Access } from "./access.js";
import { Api } from "./api.js";
import { Composer } from "./compose.js";
import { Connection } from "./connection.js";
import { shell } from "./copy.js";
import { $, el, visible } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Listening } from "./listen.js";
import { Clients, Topics } from "./lists.js";
import { ServerView } from "./server.js";
import { Stream } from "./stream.js";
import { Views } from "./views.js";

const api = new Api();
const stream = new Stream({ onPick: (row) => inspector.row(row) });
const composer = new Composer({ stream });
const inspector = new Inspector({
  api,
  onAgain: (topic, value) => {
    composer.fill(topic, value);
    views.show(matchMedia("(max-width: 760px)").matches ? "publish" : "live");
    $("message").focus();
  },
  onListen: (topic) => {
    listening.add(topic);
    views.show("live");
  },
  onClose: () => stream.release(),
});
const listening = new Listening({ stream, onMembers: (topic, isChange) => inspector.members(topic, isChange) });
const server = new ServerView();
const topics = new Topics({ api, onPick: (one) => inspector.topic(one) });
const clients = new Clients({ api, onPick: (one) => inspector.client(one) });
const access = new Access({
  onChange: ({ isOtherClient, isOtherKey }) => {
    if (isOtherClient) connection.open();
    if (isOtherKey) useKey();
  },
});
const connection = new Connection({
  access,
  stream,
  onClient: (client) => {
    for (const part of [listening, composer, inspector]) part.use(client);
  },
});
const views = new Views({
  onChange: () => {
    inspector.close();
    stream.draw();
    look();
  },
});

/** Why the API is not asked: no key, or one that was refused. */
let refusal = "";
let quietUntil = 0;

function useKey() {
  api.key = access.key;
  refusal = api.key ? "" : "none";
  showKeyed();
  look();
}

function showKeyed() {
  const isOpen = refusal === "";
  server.showKeyed(isOpen);
  for (const part of document.querySelectorAll("[data-with-key]")) part.hidden = !isOpen;
  for (const card of document.querySelectorAll(".needs-key")) card.replaceChildren(...(isOpen ? [] : needsKey()));
  for (const id of ["topics-note", "clients-note"]) if (!isOpen) $(id).textContent = "";
}

function needsKey() {
  const open = el("button", { type: "button", className: "primary" }, "Enter a key");
  open.addEventListener("click", () => access.open("key"));
  if (refusal !== "none") return [el("h3", {}, "The API key does not do"), el("p", {}, visible(refusal)), open];
  const step = (text, code) => el("li", {}, text, code && el("pre", { className: "code", tabIndex: 0 }, code));
  return [
    el("h3", {}, "This part needs an API key"),
    el("p", {}, "The numbers of the server, its topics and its clients are for operators."),
    el("ol", {},
      step("Make a key. It is shown once; its hash goes into the configuration:", "hubcast key --id console | sed 's/^# manage/manage/' >> hubcast.toml"),
      step("Start the server with it:", "hubcast --config hubcast.toml"),
      step("Enter the key here. It stays in this page.")),
    open,
  ];
}

/** Asks the API for something; a refusal of the key ends the asking. */
async function ask(question) {
  if (refusal !== "" || performance.now() < quietUntil) return undefined;
  const { key } = api;
  try {
    return await question();
  } catch (error) {
    // The server is away: it is not asked each second, because the browser logs each failure.
    if (error.status === undefined) quietUntil = performance.now() + 5_000;
    if (key === api.key && [401, 403].includes(error.status)) {
      refusal = error.message;
      showKeyed();
    }
    return undefined;
  }
}

function look() {
  if (views.current === "topics") ask(() => topics.ask());
  if (views.current === "clients") ask(() => clients.ask());
}

let isBusy = false;
let seconds = 0;
let heardBefore = 0;

/** Once a second while somebody can see it. A hidden page asks nothing. */
async function tick() {
  if (document.hidden || isBusy) return;
  isBusy = true;
  seconds += 1;
  const heard = listening.heard;
  server.heard.push(heard - heardBefore);
  heardBefore = heard;
  const [trip, stats] = await Promise.all([roundTrip(), ask(() => api.get("stats"))]);
  server.trip.push(trip);
  if (refusal === "") server.stats(stats);
  if (views.current === "server") server.table();
  if (seconds % 2 === 0) look();
  isBusy = false;
}

/** Of the smallest answer that there is, in milliseconds. Not while the server is away: each failure would be logged. */
async function roundTrip() {
  if (!connection.isConnected) return NaN;
  const began = performance.now();
  const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
  return answer?.ok ? performance.now() - began : NaN;
}

$("save").addEventListener("click", () => {
  const file = new Blob([...stream.lines()], { type: "application/x-ndjson" });
  const link = el("a", { href: URL.createObjectURL(file), download: "hubcast-stream.jsonl" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

const address = `${location.origin.replace(/^http/, "ws")}/socket`;
$("try").textContent = `hubcast pub -s ${shell(address)} world 'Hello world!'`;
showKeyed();
useKey();
connection.open();
listening.readAddress();
setInterval(tick, 1000);
tick();
