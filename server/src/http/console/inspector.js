/** The pane of details: one row of the stream, the members of a topic, a topic, or a client. */

import { Chart } from "./charts.js";
import { FORMS, explain } from "./copy.js";
import { $, bytes, clock, count, duration, el, facts, millis, rate, visible } from "./dom.js";
import { nameOf } from "./listen.js";
import { adviceFor, adviceForClose } from "./reasons.js";

export class Inspector {
  #api;
  #onAgain;
  #onListen;
  #client;
  /** What is shown, and how to show it anew. */
  #topic;
  #timer;
  #opener;
  #onClose;

  constructor({ api, onAgain, onListen, onClose }) {
    this.#api = api;
    this.#onClose = onClose;
    this.#onAgain = onAgain;
    this.#onListen = onListen;
    $("inspector-close").addEventListener("click", () => this.close());
    $("inspector").addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.#empty();
  }

  use(client) {
    this.#client = client;
  }

  close() {
    this.#empty();
    this.#onClose();
    this.#opener?.focus();
  }

  #empty() {
    this.#show("Details", el("p", { className: "muted" }, "Pick a row to see all of it."));
    delete document.body.dataset.inspects;
  }

  #show(title, ...children) {
    clearInterval(this.#timer);
    this.#topic = undefined;
    $("inspector-title").textContent = visible(title);
    $("inspector-body").replaceChildren(...children.filter(Boolean));
    $("inspector").scrollTop = 0;
    document.body.dataset.inspects = "";
  }

  /** One row of the stream. */
  row(row) {
    this.#opener = $("stream");
    const { kind, topic, value, position, user, published, via } = row;
    const about = facts([
      ["Received", clock(row.time)],
      ["Published", published && new Date(published).toISOString()],
      ["By", user && visible(user)],
      ["Offset", position && count(position.offset)],
      ["Epoch", position && visible(position.epoch)],
      ["Heard by", via !== undefined && via !== topic ? visible(via) : undefined],
      ["Size", kind === "message" ? bytes(new TextEncoder().encode(row.text).length) : undefined],
    ]);
    if (kind !== "message") return this.#show(TITLES[kind] ?? kind, about, pre(row.text), this.#why(row));
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";
    const again = el("button", { type: "button", className: "quiet" }, "Put into the form");
    again.addEventListener("click", () => this.#onAgain(topic, value));
    this.#show(topic || "(no topic)", about, pre(text), el("div", { className: "actions" }, again), copying(topic, value));
  }

  #why({ refusal, state }) {
    const advice = refusal ? adviceFor(refusal.code) : adviceForClose(state?.code);
    if (!advice && !refusal) return undefined;
    const command = refusal?.code === "forbidden" ? readOnly(explain(refusal.action, refusal.target), "Command") : undefined;
    const code = refusal ? el("p", { className: "muted" }, `Code: ${visible(refusal.code ?? "")}`) : undefined;
    return el("div", { className: "why" }, advice && el("p", {}, advice), code, command);
  }

  /** Who is in a topic. With `isChange` only if that is what is shown. */
  async members(topic, isChange = false) {
    if (isChange && this.#topic !== topic) return;
    if (!isChange) {
      this.#opener = document.activeElement;
      this.#show(`In ${topic}`, el("p", { className: "muted" }, "Asking …"));
      if (matchMedia("(max-width: 1319px)").matches) $("inspector").focus();
    }
    this.#topic = topic;
    const answer = await this.#client.presence(topic).catch((error) => error);
    if (this.#topic !== topic) return;
    if (answer instanceof Error) {
      this.#show(`In ${topic}`, el("p", {}, visible(answer.message)), this.#why({ refusal: { code: answer.code } }));
      return;
    }
    const people = answer.count === 1 ? "1 member" : `${count(answer.count)} members`;
    const again = el("button", { type: "button", className: "quiet" }, "Ask again");
    again.addEventListener("click", () => this.members(topic));
    const list = el("ul", { className: "members" }, ...answer.clients.slice(0, MOST).map(member));
    const rest = answer.clients.length > MOST ? `The first ${MOST} are shown.` : "";
    this.#show(`In ${topic}`, el("p", {}, people), list, el("p", { className: "muted" }, rest), again);
    this.#topic = topic;
  }

  /** A topic of the list. */
  topic(one) {
    this.#opener = document.activeElement;
    const listen = el("button", { type: "button", className: "primary" }, "Subscribe");
    listen.addEventListener("click", () => this.#onListen(one.topic));
    const form = el("button", { type: "button", className: "quiet" }, "Publish to it");
    form.addEventListener("click", () => this.#onAgain(one.topic, ""));
    const who = el("button", { type: "button", className: "quiet" }, "Who is in it");
    who.addEventListener("click", () => this.members(one.topic));
    const about = facts([
      ["Subscribers", count(one.subscribers)],
      ["Publications kept", count(one.publications)],
      ["A second", rate(one.rate)],
      ["Last offset", one.offset === undefined ? "keeps no history" : count(one.offset)],
      ["Epoch", one.epoch && visible(one.epoch)],
    ]);
    this.#show(one.topic || "(the empty topic)", about, el("div", { className: "actions" }, listen, form, who));
  }

  /** A client of the list, with its lag while it is shown. */
  client(one) {
    this.#opener = document.activeElement;
    const lag = new Chart({ title: "Behind", format: millis });
    const waiting = new Chart({ title: "Waiting", format: bytes, base: 1024 });
    const [about, targets, fault] = [el("div"), el("div"), el("p", { className: "muted", role: "status" })];
    const ask = async () => {
      if (document.hidden) return;
      const now = await this.#api.get(`clients/${encodeURIComponent(one.client)}`).catch((error) => error);
      if (now instanceof Error) {
        fault.textContent = visible(now.status === 404 ? "It is not connected any more." : now.message);
        if (now.status !== undefined) clearInterval(this.#timer);
        return;
      }
      fault.textContent = "";
      lag.push(now.behind_ms);
      waiting.push(now.waiting_bytes);
      about.replaceChildren(clientFacts(now));
      const names = now.subscribed.slice(0, MOST).map(({ topic, pattern }) => visible(topic ?? `${pattern} (pattern)`));
      const rest = now.subscribed.length > MOST ? el("li", {}, `and ${count(now.subscribed.length - MOST)} more`) : undefined;
      targets.replaceChildren(el("h3", {}, "Subscribed to"), el("ul", { className: "members mono" }, ...names.map((name) => el("li", {}, name)), rest));
    };
    about.append(clientFacts(one));
    this.#show(one.user ?? one.client, about, lag.element, waiting.element, targets, this.#disconnecting(one, fault), fault);
    this.#timer = setInterval(ask, 1000);
    ask();
  }

  /** Two presses, because it cannot be undone. */
  #disconnecting({ client }, fault) {
    const button = el("button", { type: "button", className: "quiet" }, "Disconnect it");
    let isSure = false;
    button.addEventListener("click", async () => {
      if (!isSure) {
        isSure = true;
        button.textContent = "Disconnect it: really?";
        return;
      }
      button.disabled = true;
      const done = await this.#api.post("disconnect", { client, code: 4502 }).catch((error) => error);
      fault.textContent = visible(done instanceof Error ? done.message : "It is disconnected, and told not to come back.");
    });
    return el("div", { className: "actions" }, button);
  }
}

function clientFacts(one) {
  return facts([
    ["Id", visible(one.client)],
    ["User", one.user && visible(one.user)],
    ["Anonymous id", one.anonymous && visible(one.anonymous)],
    ["Address", visible(one.address ?? "")],
    ["Dialect", visible(one.dialect ?? "")],
    ["Connected for", duration(one.connected_seconds)],
    ["Subscriptions", count(one.subscriptions)],
    ["Waiting", bytes(one.waiting_bytes)],
    ["Behind", millis(one.behind_ms)],
    ["Token ends", one.expires && new Date(one.expires * 1000).toISOString()],
  ]);
}

function member(one) {
  const info = one.info === undefined ? "" : ` ${JSON.stringify(one.info)}${one.unverified ? " (not verified)" : ""}`;
  return el("li", {}, el("strong", {}, visible(nameOf(one))), visible(info.slice(0, 400)));
}

function pre(text) {
  const shown = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}\n… ${count(text.length - MOST_TEXT)} characters more` : text;
  return el("pre", { className: "value", tabIndex: 0, role: "region", "aria-label": "Message" }, visible(shown, true));
}

/** Copying as a command or a program. Without a secure context there is no clipboard: the text is selected instead. */
function copying(topic, value) {
  const area = readOnly("", "What publishes it again");
  const copy = el("button", { type: "button", className: "quiet" }, "Copy");
  const choose = (make) => ((area.value = make(topic, value)), (copy.textContent = "Copy"));
  const kinds = FORMS.map(([name, make], at) => {
    const input = el("input", { type: "radio", name: "form", checked: at === 0 });
    input.addEventListener("change", () => choose(make));
    return el("label", {}, input, el("span", {}, name));
  });
  choose(FORMS[0][1]);
  copy.addEventListener("click", async () => {
    area.select();
    try {
      await navigator.clipboard.writeText(area.value);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Selected: press Ctrl+C";
    }
  });
  const choice = el("span", { className: "segments", role: "radiogroup", "aria-label": "Copy as" }, ...kinds);
  return el("div", { className: "copy" }, el("h3", {}, "Publish it again"), el("div", { className: "actions" }, choice, copy), area);
}

function readOnly(value, label) {
  return el("textarea", { className: "mono", readOnly: true, rows: value.length > 100 || value === "" ? 7 : 2, value, "aria-label": label, spellcheck: false });
}

const TITLES = {
  gap: "Something is missing",
  refused: "Refused",
  lost: "Connection lost",
  connected: "Connection",
  resumed: "Resumed",
  joined: "Joined",
  left: "Left",
};
const MOST = 200;
const MOST_TEXT = 100_000;
