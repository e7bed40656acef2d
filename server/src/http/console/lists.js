/** The lists of topics and of clients. They ask for a snapshot now and then; nothing is pushed for each client. */

import { $, bytes, count, duration, el, millis, rate, visible } from "./dom.js";

export class Topics {
  #api;
  #onPick;
  #before = new Map();

  constructor({ api, onPick }) {
    this.#api = api;
    this.#onPick = onPick;
    $("prefix").addEventListener("input", () => this.ask());
  }

  async ask() {
    const { topics, cursor } = await this.#api.get("topics", { prefix: $("prefix").value, limit: MOST });
    const at = performance.now();
    const known = new Map(topics.map((one) => [one.topic, { ...one, at }]));
    for (const one of topics) {
      const before = this.#before.get(one.topic);
      // Offsets have no holes within an epoch. A topic without a history has none, and its rate is not known.
      const isSame = before?.epoch === one.epoch && one.offset !== undefined;
      one.rate = isSame ? ((one.offset - before.offset) * 1000) / (at - before.at) : NaN;
    }
    this.#before = known;
    topics.sort((a, b) => (b.rate || 0) - (a.rate || 0) || b.subscribers - a.subscribers || (a.topic < b.topic ? -1 : 1));
    fill($("topic-rows"), topics.slice(0, SHOWN), (one) => one.topic, (one) => [
      link(one.topic || "(the empty topic)", () => this.#onPick(one)),
      number(count(one.subscribers)),
      number(rate(one.rate)),
      number(count(one.publications), "wide"),
      number(one.offset === undefined ? "–" : count(one.offset), "wide"),
    ]);
    const more = cursor ? `These are the busiest of the first ${count(MOST)} by name; type the begin of a name to see others. ` : "";
    const hidden = topics.length > SHOWN ? `The busiest ${SHOWN} of ${count(topics.length)} are shown. ` : "";
    const patterns = "Subscribers of patterns are not counted here.";
    $("topics-note").textContent = topics.length === 0 ? "No topic is in use." : `${hidden}${more}${patterns}`;
  }
}

export class Clients {
  #api;
  #onPick;

  constructor({ api, onPick }) {
    this.#api = api;
    this.#onPick = onPick;
    $("only-slow").addEventListener("change", () => this.ask());
  }

  async ask() {
    const slow = $("only-slow").checked ? "true" : undefined;
    const { clients, cursor } = await this.#api.get("clients", { limit: MOST, slow });
    clients.sort((a, b) => b.waiting_bytes - a.waiting_bytes || b.behind_ms - a.behind_ms || b.connected_seconds - a.connected_seconds);
    fill($("client-rows"), clients.slice(0, SHOWN), (one) => one.client, (one) => [
      link(one.user ?? one.client, () => this.#onPick(one)),
      el("td", { className: "wide" }, visible(one.address ?? "")),
      number(one.behind_ms > 0 ? millis(one.behind_ms) : "–"),
      number(one.waiting_bytes > 0 ? bytes(one.waiting_bytes) : "–"),
      number(count(one.subscriptions), "wide"),
      number(duration(one.connected_seconds), "wide"),
    ], (row, one) => row.toggleAttribute("data-slow", one.waiting_bytes > 0));
    const hidden = clients.length > SHOWN ? `${SHOWN} of ${count(clients.length)} are shown, the slowest first. ` : "";
    const more = cursor ? `Only the first ${count(MOST)} were looked at; the API gives the rest page by page.` : "";
    const none = slow ? "Nothing waits for anybody." : "Nobody is connected.";
    $("clients-note").textContent = clients.length === 0 ? none : hidden + more;
  }
}

/** Rows that stay keep their element, so that the focus stays with them. */
function fill(body, items, idOf, cellsOf, mark = () => {}) {
  const known = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const focused = document.activeElement?.closest?.("tr")?.dataset.id;
  const rows = items.map((item) => {
    const row = known.get(idOf(item)) ?? el("tr");
    row.dataset.id = idOf(item);
    row.replaceChildren(...cellsOf(item));
    mark(row, item);
    return row;
  });
  body.replaceChildren(...rows);
  if (focused !== undefined) rows.find((row) => row.dataset.id === focused)?.querySelector("button")?.focus();
}

function link(text, onClick) {
  const button = el("button", { type: "button", className: "link", title: visible(text) }, visible(text.slice(0, 200)));
  button.addEventListener("click", onClick);
  return el("td", {}, button);
}

function number(text, more = "") {
  return el("td", { className: `n ${more}` }, text);
}

/** Entries in one answer: the server's most. */
const MOST = 1000;
/** Rows of a table. */
const SHOWN = 200;
