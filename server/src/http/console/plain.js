/**
 * A client of the plain dialect, as the original server's clients are: it shows what these get. It has the part of the
 * browser client's interface that the console uses. Success has no answer there, and a message has no topic.
 */

export function connectPlain(token) {
  return new PlainClient(token);
}

class PlainClient {
  state = { name: "connecting", attempt: 1 };
  #listeners = [];
  #subscriptions = new Set();
  #socket;
  #token;
  #timer;
  #isClosed = false;

  constructor(token) {
    this.#token = token;
    this.#open();
  }

  on(_, listener) {
    this.#listeners.push(listener);
  }

  subscribe(target, { last } = {}) {
    const named = typeof target === "string" ? { topic: target } : target;
    const listeners = { message: [], ended: [], gap: [], resumed: [], joined: [], left: [] };
    const subscription = {
      named: last > 0 ? { ...named, last } : named,
      ready: Promise.resolve({}),
      hear: (text) => listeners.message.forEach((listener) => listener({ type: "message", topic: "", value: text })),
      on: (type, listener) => void listeners[type].push(listener),
      unsubscribe: async () => {
        this.#subscriptions.delete(subscription);
        this.#send({ action: "unsubscribe", ...named });
      },
    };
    this.#subscriptions.add(subscription);
    this.#send({ action: "subscribe", ...subscription.named });
    return subscription;
  }

  async publish(topic, value) {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("not connected");
    this.#send({ action: "publish", topic, message: typeof value === "string" ? value : JSON.stringify(value) });
    return {};
  }

  async presence() {
    throw new Error("only the typed dialect can ask who is there");
  }

  reconnect() {
    if (!this.#isClosed && this.#socket?.readyState !== WebSocket.OPEN) this.#open();
  }

  async close() {
    this.#isClosed = true;
    this.#socket?.close(1000);
    this.#become({ name: "closed", code: 1000, reason: "closed by the user" });
  }

  #open() {
    clearTimeout(this.#timer);
    const address = new URL("/socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(address));
    this.#become({ name: "connecting", attempt: 1 });
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onopen = () => {
      if (this.#token) this.#send({ action: "authenticate", token: this.#token });
      for (const { named } of this.#subscriptions) this.#send({ action: "subscribe", ...named });
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket || this.#isClosed) return;
      if (code >= 4500) return this.#become({ name: "closed", code, reason });
      const pause = 500 + Math.random() * 4_500;
      this.#become({ name: "waiting", until: Date.now() + pause, code, reason: reason || "the connection was lost" });
      this.#timer = setTimeout(() => this.#open(), pause);
    };
  }

  #hear(text) {
    const welcome = /^Server: Welcome! Your ID is (\S+)$/.exec(text);
    if (welcome) this.#become({ name: "connected", client: welcome[1] });
    // All that comes looks alike, so it goes to one of the subscriptions, or to whoever logs.
    const [first] = this.#subscriptions;
    if (first) first.hear(text);
  }

  #send(request) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(request));
  }

  #become(state) {
    this.state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
