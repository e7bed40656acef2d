/** What this page listens to: the form, the list, and the link that brings it back. */

import { $, count, el, rate, visible } from "./dom.js";
import { adviceFor } from "./reasons.js";

export class Listening {
  #entries = new Map();
  #client;
  #stream;
  #onMembers;
  #heard = 0;
  #told = 0;
  /** Seconds until a screen reader is told again. */
  #wait = 0;
  /** The last message with a position. */
  #last;

  constructor({ stream, onMembers }) {
    this.#stream = stream;
    this.#onMembers = onMembers;
    $("subscribe").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    $("hear-all").addEventListener("click", () => this.add({ pattern: ">" }));
    window.addEventListener("hashchange", () => this.readAddress());
    setInterval(() => this.#tick(), 1000);
  }

  /** How many messages have come. */
  get heard() {
    return this.#heard;
  }

  /** Goes on with another connection. */
  use(client) {
    this.#client = client;
    for (const entry of this.#entries.values()) this.#start(entry);
  }

  /** `#topic=…&pattern=…`: a link that others can open. It never holds a token. */
  readAddress() {
    const parts = [...new URLSearchParams(location.hash.slice(1))].slice(0, MOST);
    for (const [name, value] of parts) {
      if (name === "topic") this.add(value);
      if (name === "pattern") this.add({ pattern: value });
    }
  }

  add(target, options = {}) {
    const name = typeof target === "string" ? target : target.pattern;
    const id = `${typeof target} ${name}`;
    const known = this.#entries.get(id);
    if (known && !known.isOver) return known.element.scrollIntoView({ block: "nearest" });
    known?.element.remove();
    const entry = { id, name, target, options, heard: 0, before: 0, isOver: false };
    this.#show(entry);
    this.#entries.set(id, entry);
    this.#start(entry);
    this.#writeAddress();
  }

  #submit() {
    const name = $("target").value;
    const isPattern = !$("literal").checked && name.split(".").some((part) => part === "*" || part === ">");
    const options = { slow: $("slow").value, presence: $("joins").checked };
    const last = Number($("last").value);
    if (last > 0 && isPattern) return this.#fault("A pattern has no last messages: subscribe to a topic for these.");
    if (last > 0) options.last = last;
    if (name === "") return this.#fault("Type the name of a topic, such as world, or a pattern, such as orders.>");
    this.#fault("");
    $("target").value = "";
    this.add(isPattern ? { pattern: name } : name, options);
  }

  #fault(text) {
    $("subscribe-fault").textContent = text;
    $("subscribe-fault").hidden = text === "";
    if (text === "") $("target").removeAttribute("aria-invalid");
    else $("target").setAttribute("aria-invalid", "true");
  }

  #show(entry) {
    entry.about = el("span", { className: "about" }, "Subscribing");
    entry.element = el("li", {}, el("span", { className: "name" }, visible(entry.name) || "(the empty topic)"), entry.about);
    const shown = visible(entry.name);
    if (typeof entry.target === "string") {
      const who = el("button", { type: "button", className: "plain who", "aria-label": `Who is in ${shown}` }, "Who");
      who.addEventListener("click", () => this.#onMembers(entry.name));
      entry.element.append(who);
    }
    const leave = el("button", { type: "button", className: "plain leave", "aria-label": `Leave ${shown}` }, "Leave");
    leave.addEventListener("click", () => this.#leave(entry));
    entry.element.append(leave);
    $("subscriptions").append(entry.element);
  }

  #start(entry) {
    if (!this.#client) return;
    entry.isOver = false;
    delete entry.element.dataset.refused;
    let subscription;
    try {
      subscription = this.#client.subscribe(entry.target, entry.options);
    } catch (error) {
      return this.#end(entry, error);
    }
    entry.subscription = subscription;
    const isCurrent = () => entry.subscription === subscription;
    const add = (row) => isCurrent() && this.#stream.add({ ...row, via: entry.name });
    subscription.ready.then(() => isCurrent() && this.#describe(entry), () => {});
    subscription.on("message", ({ topic, value, position, user, time }) => {
      entry.heard += 1;
      this.#heard += 1;
      // Two subscriptions that hear the same message show one row.
      const before = this.#last;
      const isSame = position && before?.topic === topic && before.position.offset === position.offset && before.position.epoch === position.epoch;
      if (isSame && before.via !== entry.name) return void (before.via += `, ${entry.name}`);
      const row = { kind: "message", topic, value, position, user, published: time, via: entry.name };
      if (isCurrent()) this.#stream.add(row);
      this.#last = position && row;
    });
    subscription.on("gap", (gap) => add({ kind: "gap", topic: gap.topic ?? "", text: describeGap(gap), gap }));
    subscription.on("resumed", ({ recovered, replayed }) => {
      const missed = replayed === 0 ? "nothing was missed" : replayed === 1 ? "the one missed message came" : `${count(replayed)} missed messages came`;
      const text = recovered ? `Resumed: ${missed}` : "Goes on, without what was missed";
      add({ kind: "resumed", topic: typeof entry.target === "string" ? entry.name : "", text });
    });
    for (const kind of ["joined", "left"]) {
      subscription.on(kind, (member) => {
        add({ kind, topic: member.topic, text: `${nameOf(member)} ${kind}`, member });
        this.#onMembers(member.topic, true);
      });
    }
    subscription.on("ended", (error) => isCurrent() && error && this.#end(entry, error));
  }

  #end(entry, error) {
    entry.subscription = undefined;
    if (error.code === "closed") return void (entry.about.textContent = "Not connected");
    entry.isOver = true;
    entry.element.dataset.refused = "";
    entry.about.textContent = visible(error.message);
    const topic = typeof entry.target === "string" ? entry.name : "";
    const text = `Subscription to ${entry.name} ended: ${error.message}`;
    this.#stream.add({ kind: "refused", topic, text, refusal: { code: error.code, action: "subscribe", target: entry.name } });
    const advice = adviceFor(error.code);
    if (advice) entry.about.title = advice;
  }

  #leave(entry) {
    const { subscription } = entry;
    entry.subscription = undefined;
    subscription?.unsubscribe().catch(() => {});
    this.#entries.delete(entry.id);
    entry.element.remove();
    this.#writeAddress();
    $("target").focus();
  }

  #describe(entry, aSecond = 0) {
    if (entry.isOver || !entry.subscription) return;
    const busy = aSecond > 0 ? `, ${rate(aSecond)}/s` : "";
    const messages = entry.heard === 1 ? "message" : "messages";
    entry.about.textContent = entry.heard > 0 ? `${count(entry.heard)} ${messages}${busy}` : "Listening";
  }

  #tick() {
    for (const entry of this.#entries.values()) {
      const aSecond = entry.heard - entry.before;
      entry.before = entry.heard;
      if (entry.heard > 0) this.#describe(entry, aSecond);
    }
    this.#tell();
  }

  /** For a screen reader: not each message, but from time to time how many. */
  #tell() {
    this.#wait -= 1;
    if (this.#wait > 0 || this.#heard === this.#told) return;
    this.#wait = TELL_EVERY;
    $("aloud").textContent = `${count(this.#heard - this.#told)} new messages`;
    this.#told = this.#heard;
  }

  #writeAddress() {
    const link = new URLSearchParams();
    for (const { target } of [...this.#entries.values()].slice(0, MOST)) {
      if (typeof target === "string") link.append("topic", target);
      else link.append("pattern", target.pattern);
    }
    history.replaceState(null, "", link.size > 0 ? `#${link}` : location.pathname);
  }
}

export function nameOf({ user, anonymous, client, info }) {
  const name = info && typeof info === "object" && typeof info.name === "string" ? info.name : undefined;
  return user ?? name ?? anonymous ?? client ?? "somebody";
}

function describeGap({ topic, from, to, reason }) {
  const which = from !== undefined && to !== undefined ? `${from} to ${to}` : to !== undefined ? `up to ${to}` : "";
  const what = which && from === to ? `Message ${from} is missing` : which ? `Messages ${which} are missing` : "Messages may be missing";
  const why = GAPS[reason];
  return `${what}${topic === undefined ? " in some topic of this pattern" : ""}${why ? `: ${why}` : ""}`;
}

const GAPS = {
  slow_consumer: "this page was too slow",
  not_recoverable: "the server does not have them any more",
  missed_presence: "joins and leaves were left out",
  missing: "the server began its history anew",
  unread: "this page did not read for too long",
};
/** Subscriptions in a link. */
const MOST = 50;
/** Seconds between two words for a screen reader. */
const TELL_EVERY = 10;
