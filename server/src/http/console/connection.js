/** The connection of the live part: the bar tells its state, and a notice what to do when it does not come about. */

import { connect } from "/hubcast.js";
import { $, visible } from "./dom.js";
import { connectPlain } from "./plain.js";
import { adviceForClose } from "./reasons.js";

export class Connection {
  client;
  #access;
  #stream;
  #onClient;
  #timer;
  #wasConnected = false;
  #hasRows = false;
  /** What the button of the notice does. */
  #act;

  constructor({ access, stream, onClient }) {
    this.#access = access;
    this.#stream = stream;
    this.#onClient = onClient;
    $("toggle").addEventListener("click", () => this.#toggle());
    $("notice-act").addEventListener("click", () => this.#act?.());
  }

  /** Connects, in place of the connection before. */
  open() {
    this.client?.close();
    this.#wasConnected = false;
    const { token, dialect } = this.#access;
    const client = dialect === "plain" ? connectPlain(token) : connect("/socket", { token: token || undefined, log() {} });
    this.client = client;
    client.on("state", () => client === this.client && this.#changed());
    this.#changed();
    this.#onClient(client);
  }

  get isConnected() {
    return this.client?.state.name === "connected";
  }

  #toggle() {
    const { name } = this.client.state;
    if (name === "closed") this.open();
    else if (name === "waiting") this.client.reconnect();
    else this.client.close();
  }

  #changed() {
    const { state } = this.client;
    $("dot").dataset.state = state.name;
    $("toggle").textContent = { waiting: "Try now", closed: "Connect" }[state.name] ?? "Disconnect";
    clearInterval(this.#timer);
    if (state.name === "waiting" && Number.isFinite(state.until)) this.#timer = setInterval(() => this.#tell(), 500);
    this.#tell();
    this.#log(state);
    this.#advise(state);
  }

  #tell() {
    const { state } = this.client;
    $("state").textContent = visible(describe(state));
  }

  #log(state) {
    if (state.name === "connected") {
      $("state").title = `The id of this connection is ${state.client}`;
      const who = state.user === undefined ? "" : ` as ${state.user}`;
      // Not the first time: the stream is empty then, and says what to do.
      if (this.#hasRows) this.#stream.add({ kind: "connected", text: `Connected${who}`, state });
      this.#wasConnected = this.#hasRows = true;
    } else if (this.#wasConnected && state.name !== "connecting") {
      this.#wasConnected = false;
      const text = isByUser(state) ? "Disconnected" : `The connection is lost: ${state.reason}`;
      this.#stream.add({ kind: isByUser(state) ? "connected" : "lost", text, state });
    }
  }

  #advise(state) {
    const isOff = (state.name === "closed" && !isByUser(state)) || (state.name === "waiting" && state.until !== Infinity);
    // It stays while an attempt is under way, so that it does not flicker.
    if (state.name !== "connecting" || $("notice").hidden) $("notice").hidden = !isOff;
    if (!isOff) return;
    const wantsToken = [4001, 4500, 4501].includes(state.code) || /^HTTP 40[13]/.test(state.reason);
    const advice = adviceForClose(state.code) ?? (wantsToken ? "Open Access, and give a token." : "");
    $("notice-text").textContent = visible(`${sentence(state.reason)} ${advice}`);
    $("notice-act").textContent = wantsToken ? "Open Access" : state.name === "closed" ? "Connect" : "Try now";
    this.#act = wantsToken ? () => this.#access.open() : () => this.#toggle();
  }
}

function describe(state) {
  if (state.name === "connected") return state.user === undefined ? "Connected" : `Connected as ${state.user}`;
  if (state.name === "connecting") return "Connecting";
  if (state.name === "closed") return isByUser(state) ? "Disconnected" : "Refused";
  if (state.until === Infinity) return "Paused while hidden";
  const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
  return seconds > 0 ? `Trying again in ${seconds} s` : "Trying again";
}

function isByUser({ name, code }) {
  return name === "closed" && (code === 1000 || code === undefined);
}

function sentence(text) {
  const words = String(text || "The connection is lost");
  return `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}
