/** The form that publishes, and what was sent before. */

import { $, bytes, count, el, millis, visible } from "./dom.js";
import { adviceFor } from "./reasons.js";

export class Composer {
  #client;
  #stream;
  #sent = [];

  constructor({ stream }) {
    this.#stream = stream;
    $("compose").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    $("compose").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("compose").requestSubmit();
    });
    $("compose").addEventListener("input", () => this.#check());
    $("tidy").addEventListener("click", () => this.#tidy());
    this.#check();
  }

  use(client) {
    this.#client = client;
  }

  /** Puts a message into the form. */
  fill(topic, value) {
    const isJson = typeof value !== "string";
    $("to").value = topic;
    $("message").value = isJson ? JSON.stringify(value, null, 2) : value;
    document.querySelector(`[name=kind][value=${isJson ? "json" : "text"}]`).checked = true;
    this.#check();
  }

  get #isJson() {
    return document.querySelector("[name=kind]:checked").value === "json";
  }

  #read() {
    return this.#isJson ? JSON.parse($("message").value) : $("message").value;
  }

  /** Says at once what is wrong with the JSON. */
  #check() {
    let fault = "";
    try {
      this.#read();
    } catch (error) {
      fault = error.message;
    }
    const text = $("message").value;
    const size = bytes(new TextEncoder().encode(text).length);
    const loses = this.#isJson && !fault && /(?<![\w."])-?\d{17,}(?![\w."])/.test(text);
    const looksLikeJson = !this.#isJson && /^\s*[[{]/.test(text);
    const about = loses ? ", but a browser rounds numbers of so many digits" : looksLikeJson ? ", sent as text and not as JSON" : "";
    $("check").textContent = fault ? visible(`Not JSON: ${fault}`) : `${size}${about}`;
    $("check").dataset.fault = Boolean(fault);
    if (fault) $("message").setAttribute("aria-invalid", "true");
    else $("message").removeAttribute("aria-invalid");
    $("tidy").hidden = !this.#isJson || Boolean(fault);
    return !fault;
  }

  #tidy() {
    $("message").value = JSON.stringify(this.#read(), null, 2);
    this.#check();
  }

  async #send() {
    if (!this.#check()) return $("message").focus();
    const [topic, value, isJson] = [$("to").value, this.#read(), this.#isJson];
    this.#remember({ topic, text: $("message").value, isJson });
    this.#tell("Publishing …");
    const began = performance.now();
    try {
      const { offset, receivers } = await this.#client.publish(topic, value, { echo: $("echo").checked });
      const parts = ["Published", receivers === undefined ? undefined : `${count(receivers)} ${receivers === 1 ? "receiver" : "receivers"}`];
      parts.push(offset === undefined ? undefined : `offset ${offset}`, receivers === undefined ? undefined : millis(performance.now() - began));
      this.#tell(parts.filter(Boolean).join(" · "));
    } catch (error) {
      const advice = adviceFor(error.code);
      this.#tell(visible(`${error.message}${advice ? `. ${advice}` : ""}`), true);
      const refusal = { code: error.code, action: "publish", target: topic };
      this.#stream.add({ kind: "refused", topic, text: `Not published: ${error.message}`, refusal });
    }
  }

  #tell(text, isRefused = false) {
    $("result").textContent = text;
    if (isRefused) $("result").dataset.refused = "";
    else delete $("result").dataset.refused;
  }

  #remember(message) {
    const isSame = (other) => other.topic === message.topic && other.text === message.text && other.isJson === message.isJson;
    this.#sent = [message, ...this.#sent.filter((other) => !isSame(other))].slice(0, KEPT);
    $("before").hidden = false;
    $("sent").replaceChildren(
      ...this.#sent.map((one) => {
        const words = [one.topic, one.text.slice(0, 200)].map((text) => el("span", {}, visible(text)));
        const button = el("button", { type: "button", className: "plain", title: "Put it into the form" }, ...words);
        button.addEventListener("click", () => {
          this.fill(one.topic, one.isJson ? JSON.parse(one.text) : one.text);
          $("send").focus();
        });
        return el("li", {}, button);
      }),
    );
  }
}

/** What was sent before: this many. */
const KEPT = 8;
