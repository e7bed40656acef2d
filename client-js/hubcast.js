// @ts-check
/**
 * hubcast's client for browsers, Node, Deno and Bun: one module without dependencies and without a build step. Its types,
 * with what each means, are in hubcast.d.ts; the wire is PROTOCOL.md. A server serves it without the lines that are
 * comments, so a comment has lines of its own.
 *
 * It has four parts: `Progress` (the positions of a subscription), `Machine` (what to send, and when; it has no socket, clock
 * or random numbers of its own), `Subscription` (what the program reads), and `Client` (socket, timers, page events).
 */

/** What the server, or this client, refuses. `retry`: the same may succeed later. */
export class HubcastError extends Error {
  constructor(code, reason, retry = false) {
    super(reason);
    this.name = "HubcastError";
    this.code = code;
    this.retry = retry;
  }
}

/** Thrown by a `token` function: this user may not connect. The client is closed for good. */
export class NotAllowed extends Error {
  constructor(reason = "not allowed") {
    super(reason);
    this.name = "NotAllowed";
  }
}

/** A client. It returns at once, and connects by itself, again and again. */
export function connect(url, options) {
  return new Client(url, options);
}

// ---- positions ----

/** The positions that a subscription has reached, by topic: those of the topics with the latest messages. */
class Progress {
  /** topic → { epoch, offset, silent: own publications without echo after the offset, gone: it has no history now } */
  reached = new Map();
  /** A topic without a position may have had messages before. */
  wasCut = false;
  /** Not every topic can be resumed. */
  isIncomplete = false;

  /** Sets the position of a topic, whatever it was before. */
  set(topic, epoch, offset) {
    const before = this.reached.get(topic);
    if (before?.epoch === epoch && this.reached.size < MAX_TOPICS) {
      before.offset = offset;
      before.gone = false;
      return this.#passSilent(before);
    }
    const silent = before?.epoch === epoch ? before.silent : undefined;
    this.reached.delete(topic);
    const reached = { epoch, offset, silent, gone: false };
    this.reached.set(topic, reached);
    if (this.reached.size > MAX_TOPICS) {
      this.reached.delete(this.reached.keys().next().value);
      this.isIncomplete = true;
    }
    this.#passSilent(reached);
  }

  cut() {
    this.wasCut = true;
    for (const reached of this.reached.values()) reached.gone = false;
  }

  /** Forgets the older half. Returns whether there was something to forget. */
  shorten() {
    const topics = [...this.reached.keys()];
    if (topics.length === 0) return false;
    for (const topic of topics.slice(0, Math.ceil(topics.length / 2))) this.reached.delete(topic);
    return (this.isIncomplete = true);
  }

  /** Takes a publication into account: `null` for a duplicate, else `{ gap }`, with what is missing before it, if any. */
  step({ topic, epoch, offset }) {
    if (epoch === undefined) {
      this.isIncomplete = true;
      return NO_GAP;
    }
    const last = this.reached.get(topic);
    let gap;
    if (last && !last.gone) {
      if (last.epoch !== epoch) gap = { type: "gap", topic, to: offset - 1 || undefined, reason: "missing" };
      else if (offset <= last.offset) return null;
      else if (offset > last.offset + 1) {
        gap = { type: "gap", topic, from: last.offset + 1, to: offset - 1, reason: "missing" };
      }
    } else if ((this.wasCut || last?.gone) && offset > 1) {
      gap = { type: "gap", topic, to: offset - 1, reason: "missing" };
    }
    this.set(topic, epoch, offset);
    return gap ? { gap } : NO_GAP;
  }

  /** Takes an own publication without echo into account: its offset does not come, and is not missing. */
  skip(topic, offset) {
    const last = this.reached.get(topic);
    if (!last || offset <= last.offset) return;
    last.silent ??= new Set();
    if (last.silent.size < MAX_IN_FLIGHT) last.silent.add(offset);
    this.#passSilent(last);
  }

  #passSilent(last) {
    if (!last.silent) return;
    while (last.silent.delete(last.offset + 1)) last.offset += 1;
    for (const offset of last.silent) if (offset <= last.offset) last.silent.delete(offset);
    if (last.silent.size === 0) last.silent = undefined;
  }

  /** Takes a gap of the server into account. Returns what is new of it. */
  leaveOut({ topic, epoch, offset, from, to, reason }) {
    const last = this.reached.get(topic);
    epoch ??= last?.epoch;
    const end = offset ?? to;
    const gap = { type: "gap", topic, from, to: end, position: { epoch, offset: end }, reason };
    if (epoch === undefined || end === undefined) {
      // It has no history now. Its position stays, for the next resume.
      if (last ? last.gone : reason === "not_recoverable") return undefined;
      if (last) last.gone = true;
      return { type: "gap", topic, reason };
    }
    if (last && last.epoch === epoch) {
      const isNew = end > last.offset;
      // The server goes on from an older state.
      const isBack = offset !== undefined && end < last.offset;
      const before = last.offset;
      if (isNew || isBack) this.set(topic, epoch, end);
      if (isNew) return { ...gap, from: before + 1 };
      return isBack ? { ...gap, from: undefined, to: undefined } : undefined;
    }
    if (!last && reason === "not_recoverable") return undefined;
    this.set(topic, epoch, end);
    return last ? { ...gap, from: undefined } : gap;
  }
}

// ---- the machine ----

/**
 * Decides everything, and does nothing: `handle(now, input)` returns what to do. `now` is in milliseconds of a clock that
 * never goes back. `deadline()` says when to call `handle(now, { type: "time" })` next.
 *
 * Inputs: `start`, `opened`, `frame` (a parsed event), `lost` (code, reason), `token` (token, lifetime), `token_failed`
 * (reason, final), `subscribe` (key, target, options), `unsubscribe` (key), `ask` (id, frame, isSilent), `cancel` (id),
 * `time` (late), `check` (within), `online`, `pause` (reason), `resume`, `explained` (reason), `reconnect`, `fail` (reason),
 * `close`.
 *
 * What to do: `connect` (token), `send` (frame), `drop` the socket, `token` (reason), `state`, `ready` (key, position),
 * `tell` (key, event), `end` (key, error), `answer` (id, event), `fail` (id, error), `explain`.
 */
export class Machine {
  #phase = "new";
  /** When the phase ends by itself. */
  #until = Infinity;
  #readySince = 0;
  #failures = 0;
  #backAt;
  #heardAt = 0;
  #pingEvery = 0;
  /** When a connection that was asked for a sign of life counts as lost, and how long that was. */
  #deadAt = Infinity;
  #patience = 0;
  #limit = Infinity;
  /** Who this client is on this connection, and the topics of its own. */
  #welcome;
  #private = [];

  #token;
  #tokenReason = "first";
  #isAsking = false;
  #renewAt = Infinity;
  /** The request with a token that is not answered. */
  #renewal;
  #refusals = 0;
  /** Whether the token goes in a frame, because a handshake with one failed and does not say why. */
  #byFrame = false;
  #isExpired = false;
  /** Why no connection can be made, if the server has said so. */
  #why = "";

  #subscriptions = new Map();
  /** What `#hearing` has found. Forgotten whenever a subscription changes. */
  #heardBy = new Map();
  /** The `subscribe` requests without an answer: id → subscription. */
  #asked = new Map();
  #retryAt = Infinity;
  #replay = { key: "", left: 0 };
  /** Requests of the program, by id: those that wait, and those without an answer. */
  #waiting = new Map();
  #sent = new Map();
  #nextId = 1;
  #do = [];
  #now = 0;

  constructor({ hasToken = false, identity, first = 500, most = 20_000, random = Math.random } = {}) {
    this.config = { hasToken, identity, first, most, random };
  }

  handle(now, input) {
    this.#now = now;
    this.#do = [];
    this.#heardBy.clear();
    if (this.#phase !== "closed") this[INPUTS.get(input.type)](input);
    return this.#do;
  }

  /** The same for a message of the server, which comes often: it calls `tell(key, event)` at once. */
  hear(now, event, tell) {
    if (!HAS_FRAMES.has(this.#phase)) return;
    this.#heardAt = now;
    this.#deadAt = Infinity;
    const { topic } = event;
    let replayOf;
    if (this.#replay.left > 0 && hears(this.#subscriptions.get(this.#replay.key), topic)) {
      this.#replay.left -= 1;
      replayOf = this.#replay.key;
    }
    for (const { key, progress } of this.#hearing(topic)) {
      // What is replayed for another subscription may be older than this one.
      if (replayOf !== undefined && replayOf !== key && !progress.reached.has(topic)) continue;
      const step = progress.step(event);
      if (!step) continue;
      if (step.gap) tell(key, step.gap);
      tell(key, event);
    }
  }

  deadline() {
    if (this.#phase !== "ready") return this.#until;
    const ping = this.#pingEvery && this.#deadAt === Infinity ? this.#heardAt + this.#pingEvery : Infinity;
    return Math.min(ping, this.#deadAt, this.#renewAt, this.#retryAt);
  }

  on_start() {
    if (this.#phase === "new") this.#attempt();
  }

  on_opened() {
    if (this.#phase !== "connecting") return;
    this.#phase = "greeting";
    if (this.#token && this.#byFrame) this.#authenticate();
  }

  on_frame({ event }) {
    if (!HAS_FRAMES.has(this.#phase)) return;
    this.#heardAt = this.#now;
    this.#deadAt = Infinity;
    // An event that is newer than this client is left out.
    this[EVENTS.get(event.event)]?.(event);
  }

  on_lost({ code = 1006, reason = "" }) {
    if (["new", "waiting", "paused", "token"].includes(this.#phase)) return;
    const wasOpen = ["ready", "leaving"].includes(this.#phase);
    if (this.#phase === "connecting" && this.#token) this.#byFrame = true;
    if (this.#renewal) this.#token = this.#renewal.token;
    if (code === 4001 || this.#isExpired) this.#token = undefined;
    const isAboutToken = code === 4500 || code === 4501 || (code === 4001 && !wasOpen);
    const isTokenRefused = isAboutToken && this.config.hasToken;
    if (isTokenRefused) this.#refuseToken();
    reason ||= this.#why || CLOSE_REASONS[code] || (wasOpen ? "the connection was lost" : "no connection could be made");
    this.#disconnect();
    if (isTokenRefused && this.#refusals >= MAX_REFUSALS) return this.#close(code, reason);
    if (isFinal(code) && !isTokenRefused) return this.#close(code, reason);
    if (!wasOpen && this.#failures === 1) this.#do.push({ do: "explain" });
    const isAnnounced = this.#backAt !== undefined && this.#failures === 0;
    const pause = isAnnounced ? Math.max(0, this.#backAt - this.#now) : this.#pause();
    this.#failures += isAnnounced ? 0 : 1;
    // It is for one attempt: those after it wait for a random time.
    this.#backAt = undefined;
    this.#wait(this.#now + pause, code, reason);
  }

  on_token({ token, lifetime }) {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    this.#tokenReason = "expiring";
    const renewAt = this.#renewalTime(lifetime);
    if (this.#phase === "ready" && token === this.#token) {
      this.#askLater();
    } else if (this.#phase === "ready") {
      this.#authenticate(token, renewAt);
    } else {
      this.#token = token;
      this.#renewAt = renewAt;
      if (this.#phase === "token") this.#open();
    }
  }

  on_token_failed({ reason, final }) {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    if (final) return this.#close(undefined, reason);
    if (this.#phase === "ready") {
      this.#askLater();
    } else if (this.#phase === "token") {
      const pause = this.#pause();
      this.#failures += 1;
      this.#wait(this.#now + pause, undefined, `no token: ${reason}`);
    }
  }

  on_subscribe({ key, topic, pattern, last, recover, presence, slow }) {
    const subscription = { key, topic, pattern, presence, slow, last, stage: "new", progress: new Progress() };
    subscription.matches = pattern === undefined ? undefined : matcher(pattern);
    const positions = topic === undefined ? recover : recover && { [topic]: recover };
    for (const [of, { epoch, offset }] of Object.entries(positions ?? {})) subscription.progress.set(of, epoch, offset);
    this.#subscriptions.set(key, subscription);
    if (this.#phase === "ready") this.#begin(subscription);
  }

  on_unsubscribe({ key }) {
    const subscription = this.#subscriptions.get(key);
    if (!this.#subscriptions.delete(key) || isDirect(subscription) || this.#phase !== "ready") return;
    const { topic, pattern } = subscription;
    if ([...this.#subscriptions.values()].some((other) => isOf(other, topic, pattern))) return;
    if (subscription.stage !== "new" || [...this.#asked.values()].includes(subscription)) {
      this.#send({ action: "unsubscribe", topic, pattern });
    }
  }

  on_ask({ id, frame, isSilent = false }) {
    this.#waiting.set(id, { frame, isSilent });
    this.#sendCalls();
  }

  on_cancel({ id }) {
    this.#waiting.delete(id);
  }

  on_time({ late = 0 }) {
    if (this.#now >= this.#until) {
      if (this.#phase === "waiting") return this.#attempt();
      this.#do.push({ do: "drop" });
      return this.on_lost({ reason: "the server did not answer in time" });
    }
    if (this.#phase !== "ready") return;
    // The timer is late, so this page did not run: what the server sent may still wait to be read.
    if (late > LATE && this.#deadAt !== Infinity) this.#deadAt = this.#now + this.#patience;
    if (this.#now >= this.#deadAt) {
      this.#do.push({ do: "drop" });
      return this.on_lost({ reason: "the server is silent" });
    }
    if (late > ASLEEP) this.on_check({ within: QUICK });
    else if (this.#pingEvery && this.#deadAt === Infinity && this.#now >= this.#heardAt + this.#pingEvery) {
      this.on_check({ within: PATIENCE });
    }
    if (this.#now >= this.#renewAt) this.#askToken();
    if (this.#now >= this.#retryAt) {
      this.#retryAt = Infinity;
      const refused = [...this.#subscriptions.values()].filter(({ isDeferred }) => isDeferred);
      for (const subscription of refused) this.#ask(subscription);
      this.#sendCalls();
    }
  }

  on_check({ within = QUICK }) {
    if (this.#phase !== "ready") return;
    this.#send({ action: "ping" });
    this.#patience = within;
    this.#deadAt = Math.min(this.#deadAt, this.#now + within);
  }

  on_online() {
    if (this.#phase === "waiting") this.#attempt();
    else this.on_check({ within: QUICK });
  }

  on_pause({ reason }) {
    if (this.#phase === "paused") return;
    this.#do.push({ do: "drop" });
    this.#disconnect();
    this.#phase = "paused";
    this.#until = Infinity;
    this.#do.push({ do: "state", state: { name: "waiting", until: Infinity, reason } });
  }

  on_resume() {
    if (this.#phase === "paused") this.#attempt();
    else this.on_online();
  }

  on_reconnect() {
    if (["ready", "leaving"].includes(this.#phase)) {
      this.#do.push({ do: "drop" });
      this.#disconnect();
    }
    if (["waiting", "paused", "ready", "leaving"].includes(this.#phase)) this.#attempt();
  }

  on_explained({ reason }) {
    this.#why = reason;
    if (this.#phase === "waiting") this.#wait(this.#until, 1006, reason);
  }

  on_close() {
    this.#do.push({ do: "drop" });
    this.#close(1000, "closed by the program");
  }

  on_fail({ reason }) {
    this.#close(undefined, reason);
  }

  // ---- events of the server ----

  event_welcome({ client, user, ping, limits }) {
    if (this.#phase !== "greeting") return;
    this.#welcomed(client, user);
    this.#pingEvery = ping;
    this.#limit = limits?.message ?? Infinity;
    if (!this.#renewal) this.#ready();
  }

  #welcomed(client, user) {
    this.#welcome = { client, user };
    this.#private = user === undefined ? [client] : [client, `@${user}`];
  }

  event_closing({ code, reason, reconnect_in_ms }) {
    this.#resetFailures();
    this.#phase = "leaving";
    this.#until = this.#now + PATIENCE;
    this.#backAt = reconnect_in_ms === undefined ? undefined : this.#now + reconnect_in_ms;
  }

  event_subscribed(reply) {
    const subscription = this.#asked.get(reply.id);
    if (!this.#asked.delete(reply.id) || this.#subscriptions.get(subscription.key) !== subscription) return;
    const { key, topic, progress, stage, last } = subscription;
    const replayed = reply.replayed ?? 0;
    const begin = reply.epoch === undefined ? undefined : { epoch: reply.epoch, offset: reply.offset - replayed };
    const resumes = stage === "cut" || subscription.hasPast;
    const wasComplete = !progress.isIncomplete;
    subscription.stage = "live";
    subscription.isDeferred = false;
    this.#replay = { key, left: replayed };
    if (topic !== undefined) {
      const before = progress.reached.get(topic);
      const isCovered = begin && before?.epoch === begin.epoch && begin.offset <= before.offset && before.offset <= reply.offset;
      const recovered = Boolean(isCovered && wasComplete);
      if (!recovered) {
        progress.isIncomplete = false;
        progress.reached.delete(topic);
        if (begin) progress.set(topic, begin.epoch, begin.offset);
      }
      if (resumes) {
        this.#tell(key, { type: "resumed", recovered, replayed });
        const isRange = !recovered && begin && before?.epoch === begin.epoch && before.offset < begin.offset;
        const range = isRange ? { from: before.offset + 1, to: begin.offset } : {};
        if (!recovered) this.#tell(key, { type: "gap", topic, ...range, position: begin, reason: "not_recoverable" });
      }
    } else if (resumes) {
      const isAsked = progress.reached.size > 0 && reply.recovered !== undefined;
      this.#tell(key, { type: "resumed", recovered: isAsked && wasComplete && reply.recovered, replayed });
      if (!isAsked || !wasComplete) {
        progress.wasCut = progress.isIncomplete = false;
        this.#tell(key, { type: "gap", reason: "not_recoverable" });
      }
    }
    this.#do.push({ do: "ready", key, position: begin });
  }

  event_message(event) {
    this.hear(this.#now, event, (key, event) => this.#tell(key, event));
  }

  event_gap(event) {
    for (const { key, progress, presence } of this.#hearing(event.topic)) {
      if (event.reason === "missed_presence") {
        if (presence) this.#tell(key, { type: "gap", topic: event.topic, reason: event.reason });
        continue;
      }
      const gap = progress.leaveOut(event);
      if (gap) this.#tell(key, gap);
    }
  }

  event_join(event) {
    this.#member("joined", event);
  }

  event_leave(event) {
    this.#member("left", event);
  }

  event_unsubscribed({ id, topic, pattern, reason = "unsubscribed" }) {
    if (id !== undefined) return;
    const text = reason === "forbidden" ? "the token does not grant it any more" : "ended by the server";
    for (const subscription of [...this.#subscriptions.values()]) {
      if (subscription.stage === "live" && isOf(subscription, topic, pattern)) this.#end(subscription, reason, text);
    }
  }

  event_authenticated({ id, user }) {
    if (!this.#renewal || id !== this.#renewal.id) return;
    if (this.#welcome && user !== undefined) this.#welcomed(this.#welcome.client, user);
    ({ token: this.#token, renewAt: this.#renewAt } = this.#renewal);
    this.#renewal = undefined;
    this.#isExpired = false;
    this.#refusals = 0;
    if (this.#phase === "greeting" && this.#welcome) this.#ready();
    else if (this.#phase === "ready") this.#sendCalls();
  }

  event_error({ id, code, reason, retry = false }) {
    if (this.#renewal && id === this.#renewal.id) return this.#tokenRefused(code, reason, retry);
    if (code === "token_expired" && this.config.hasToken) {
      this.#isExpired = true;
      this.#askToken();
    }
    const subscription = this.#asked.get(id);
    if (this.#asked.delete(id)) {
      if (this.#subscriptions.get(subscription.key) !== subscription) return;
      const { progress } = subscription;
      if (code === "forbidden" && (progress.reached.size > 0 || subscription.last !== undefined)) {
        // Perhaps only the past is not granted: what is live then begins behind a gap.
        subscription.hasPast ||= progress.reached.size > 0;
        progress.reached.clear();
        subscription.last = undefined;
        this.#ask(subscription);
      } else if (retry || code === "token_expired") {
        subscription.isDeferred = true;
        this.#retryAt = Math.min(this.#retryAt, this.#now + RETRY * (1 + this.config.random()));
      } else {
        this.#end(subscription, code, reason);
      }
      return;
    }
    const call = this.#sent.get(id);
    if (!this.#sent.delete(id)) return;
    if (code === "token_expired" && this.config.hasToken) {
      this.#waiting = new Map([...this.#waiting, [id, call]].sort(([one], [other]) => one.slice(1) - other.slice(1)));
      return;
    }
    this.#do.push({ do: "fail", id, error: [code, reason, retry] });
    this.#sendCalls();
  }

  event_published(event) {
    const call = this.#sent.get(event.id);
    if (call?.isSilent && event.offset !== undefined && !event.duplicate) {
      for (const { progress } of this.#hearing(event.topic)) progress.skip(event.topic, event.offset);
    }
    this.#answer(event);
  }

  event_history(event) {
    this.#answer(event);
  }

  event_presence(event) {
    this.#answer(event);
  }

  // ---- steps ----

  #attempt() {
    if (this.config.hasToken && (!this.#token || this.#now >= this.#renewAt)) {
      this.#phase = "token";
      this.#until = Infinity;
      this.#askToken();
    } else {
      this.#open();
    }
  }

  #open() {
    this.#phase = "connecting";
    this.#until = this.#now + ATTEMPT;
    this.#do.push({ do: "state", state: { name: "connecting", attempt: this.#failures + 1 } });
    this.#do.push({ do: "connect", token: this.#byFrame ? undefined : this.#token });
  }

  #ready() {
    this.#phase = "ready";
    this.#until = Infinity;
    this.#readySince = this.#heardAt = this.#now;
    this.#refusals = 0;
    this.#byFrame = false;
    this.#why = "";
    this.#backAt = undefined;
    this.#do.push({ do: "state", state: { name: "connected", ...this.#welcome } });
    if (this.config.identity) this.#send({ action: "identify", ...this.config.identity });
    const all = [...this.#subscriptions.values()];
    // Topics before patterns: then no replay of a pattern is ahead of them.
    for (const subscription of all.filter(({ pattern }) => pattern === undefined)) this.#begin(subscription);
    for (const subscription of all.filter(({ pattern }) => pattern !== undefined)) this.#begin(subscription);
    this.#sendCalls();
  }

  /** A subscription begins on this connection, or goes on. */
  #begin(subscription) {
    if (!isDirect(subscription)) return this.#ask(subscription);
    const { key, stage } = subscription;
    subscription.stage = "live";
    if (stage !== "cut") return this.#do.push({ do: "ready", key });
    // What was sent to the client meanwhile is lost.
    this.#tell(key, { type: "resumed", recovered: false, replayed: 0 });
    this.#tell(key, { type: "gap", reason: "not_recoverable" });
  }

  /** Sends the `subscribe` of a subscription, from where it was. */
  #ask(subscription) {
    const { topic, pattern, presence, slow, last, progress } = subscription;
    subscription.hasPast ||= progress.reached.size > 0;
    subscription.isDeferred = false;
    for (;;) {
      const frame = { id: this.#nextId, action: "subscribe", topic, pattern, presence: presence || undefined, slow };
      const positions = [...progress.reached].map(([of, { epoch, offset }]) => [of, { epoch, offset }]);
      if (positions.length > 0) frame.recover = topic === undefined ? Object.fromEntries(positions) : positions[0][1];
      if (topic !== undefined && last !== undefined) frame[frame.recover ? "or_last" : "last"] = last;
      if (!isTooLong(JSON.stringify(frame), this.#limit) || !progress.shorten()) {
        this.#asked.set(this.#nextId++, subscription);
        return this.#do.push({ do: "send", frame });
      }
    }
  }

  #send(frame) {
    const id = this.#nextId++;
    this.#do.push({ do: "send", frame: { id, ...frame } });
    return id;
  }

  /** Sends what waits. At most `MAX_IN_FLIGHT` are without an answer, because the server remembers so many numbers. */
  #sendCalls() {
    if (this.#phase !== "ready" || this.#isExpired) return;
    for (const [id, call] of this.#waiting) {
      if (this.#sent.size >= MAX_IN_FLIGHT) return;
      this.#waiting.delete(id);
      if (isTooLong(JSON.stringify(call.frame), this.#limit - 32)) {
        const reason = `a request has at most ${this.#limit} bytes here`;
        this.#do.push({ do: "fail", id, error: ["message_too_large", reason] });
      } else {
        this.#sent.set(id, call);
        this.#do.push({ do: "send", frame: { id, ...call.frame } });
      }
    }
  }

  #answer(event) {
    if (!this.#sent.delete(event.id)) return;
    this.#do.push({ do: "answer", id: event.id, event });
    this.#sendCalls();
  }

  #askToken() {
    this.#renewAt = Infinity;
    if (!this.config.hasToken || this.#isAsking || this.#renewal) return;
    this.#isAsking = true;
    this.#do.push({ do: "token", reason: this.#tokenReason });
  }

  #askLater() {
    this.#renewAt = this.#now + ASK_AGAIN * (1 + this.config.random());
  }

  #authenticate(token = this.#token, renewAt = this.#renewAt) {
    this.#renewal = { token, renewAt, id: undefined };
    this.#renewal.id = this.#send({ action: "authenticate", token });
  }

  #tokenRefused(code, reason, retry) {
    this.#renewal = undefined;
    this.#why = reason;
    if (this.#phase !== "ready") return;
    if (!retry) this.#refuseToken(true);
    if (this.#refusals >= MAX_REFUSALS) {
      this.#do.push({ do: "drop" });
      return this.#close(4500, reason);
    }
    this.#askLater();
  }

  #refuseToken(isKept = false) {
    if (!isKept) this.#token = undefined;
    this.#tokenReason = "refused";
    this.#refusals += 1;
  }

  /** From 70 to 90 percent of the lifetime, so that not all clients ask together. */
  #renewalTime(lifetime = Infinity) {
    return this.#now + Math.max(1_000, lifetime * (0.7 + 0.2 * this.config.random()));
  }

  /** Everything of this connection ends. What is to go on is asked for again on the next one. */
  #disconnect() {
    this.#resetFailures();
    this.#renewal = this.#welcome = undefined;
    this.#isExpired = false;
    this.#deadAt = this.#retryAt = Infinity;
    this.#asked.clear();
    this.#replay = { key: "", left: 0 };
    this.#waiting = new Map([...this.#sent, ...this.#waiting]);
    this.#sent.clear();
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.stage !== "live") continue;
      subscription.stage = "cut";
      subscription.progress.cut();
    }
  }

  #resetFailures() {
    if (this.#phase === "ready" && this.#now >= this.#readySince + STABLE) this.#failures = 0;
  }

  #wait(until, code, reason) {
    this.#phase = "waiting";
    this.#until = until;
    this.#do.push({ do: "state", state: { name: "waiting", until, code, reason } });
  }

  /** A random pause, so that not all clients come back at once. */
  #pause() {
    const { first, most, random } = this.config;
    return random() * Math.min(most, first * 1.3 ** Math.min(this.#failures, 64));
  }

  #end(subscription, code, reason) {
    this.#subscriptions.delete(subscription.key);
    this.#do.push({ do: "end", key: subscription.key, error: [code, reason] });
  }

  #close(code, reason) {
    this.#phase = "closed";
    this.#until = Infinity;
    this.#do.push({ do: "state", state: { name: "closed", code, reason } });
    const error = code === 1000 ? undefined : ["closed", reason];
    for (const key of this.#subscriptions.keys()) this.#do.push({ do: "end", key, error });
    for (const id of [...this.#sent.keys(), ...this.#waiting.keys()]) {
      this.#do.push({ do: "fail", id, error: ["closed", reason] });
    }
    this.#subscriptions.clear();
    this.#sent.clear();
    this.#waiting.clear();
  }

  #member(type, event) {
    for (const { key, presence } of this.#hearing(event.topic)) {
      if (presence) this.#tell(key, { ...event, type, event: undefined });
    }
  }

  #tell(key, event) {
    this.#do.push({ do: "tell", key, event });
  }

  /** The live subscriptions that a topic reaches. */
  #hearing(topic) {
    let found = this.#heardBy.get(topic);
    if (found) return found;
    found = [...this.#subscriptions.values()].filter((subscription) => {
      if (subscription.stage !== "live") return false;
      return isDirect(subscription) ? this.#private.includes(topic) : hears(subscription, topic);
    });
    if (this.#heardBy.size > MAX_CALLS) this.#heardBy.clear();
    this.#heardBy.set(topic, found);
    return found;
  }
}

/** The methods for inputs, and for events of the server, by name. */
const [INPUTS, EVENTS] = ["on_", "event_"].map((prefix) => {
  const names = Object.getOwnPropertyNames(Machine.prototype).filter((name) => name.startsWith(prefix));
  return new Map(names.map((name) => [name.slice(prefix.length), name]));
});

/** Whether a subscription is to what is sent to this client alone. */
function isDirect({ topic, pattern }) {
  return topic === undefined && pattern === undefined;
}

function isOf(subscription, topic, pattern) {
  return subscription.topic === topic && subscription.pattern === pattern;
}

function hears(subscription, topic) {
  return subscription?.topic === topic || Boolean(subscription?.matches?.(topic));
}

/** Says whether a topic matches a pattern: `*` is one token, `>` at the end is one or more. Private topics match none. */
function matcher(pattern) {
  const tokens = pattern.split(".");
  const isOpen = tokens.at(-1) === ">";
  if (isOpen) tokens.pop();
  return (topic) => {
    if (topic.startsWith("@") || UUID.test(topic)) return false;
    const given = topic.split(".");
    if (isOpen ? given.length <= tokens.length : given.length !== tokens.length) return false;
    return tokens.every((token, at) => token === "*" || token === given[at]);
  };
}

function isTooLong(text, limit) {
  if (text.length * 3 <= limit) return false;
  return new TextEncoder().encode(text).length > limit;
}

function isFinal(code) {
  return (code >= 4500 && code < 5000) || [1002, 1003, 1007, 1008, 1009, 1010].includes(code);
}

const CLOSE_REASONS = { 4500: "the token is refused", 4501: "a token is needed", 4502: "disconnected by the operator" };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NO_GAP = {};
const HAS_FRAMES = new Set(["greeting", "ready", "leaving"]);
const MAX_TOPICS = 200;
const MAX_IN_FLIGHT = 256;
const MAX_REFUSALS = 3;
// In milliseconds.
const ATTEMPT = 10_000;
const PATIENCE = 10_000;
const QUICK = 3_000;
const LATE = 2_000;
const ASLEEP = 10_000;
const STABLE = 10_000;
const ASK_AGAIN = 2_000;
const RETRY = 1_000;

// ---- what the program reads ----

/** An async iterator of messages, or of all events (`events()`); or listeners (`on`). */
class Subscription {
  #topic;
  #queue = [];
  #head = 0;
  #bound;
  #decode;
  #listeners = new Map();
  /** What those wait for who have asked for an event before there is one. */
  #asleep;
  #wake;
  #ended;
  #isRead = false;
  #hasListener = false;
  #handled = new Map();
  #last;
  #inHand;
  #leave;
  #ready;
  #warn;

  constructor({ topic, queue, decode, leave, warn, handled }) {
    [this.#topic, this.#bound, this.#decode, this.#leave, this.#warn] = [topic, queue, decode, leave, warn];
    for (const [topic, position] of Object.entries(handled ?? {})) this.#handled.set(topic, position);
    this.ready = new Promise((resolve, reject) => (this.#ready = { resolve, reject }));
    this.ready.catch(() => {});
  }

  get position() {
    return [...this.#handled.values()].at(-1);
  }

  get positions() {
    return Object.fromEntries(this.#handled);
  }

  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    this.#hasListener ||= type === "message";
    if (type === "message") {
      for (const event of this.#rest().splice(0)) this.#emit(event);
    }
    if (type === "ended" && this.#ended) queueMicrotask(() => listener(this.#ended.error));
    return () => {
      listeners.delete(listener);
      if (type === "message") this.#hasListener = listeners.size > 0;
    };
  }

  events() {
    return this.#iterate(false);
  }

  [Symbol.asyncIterator]() {
    return this.#iterate(true);
  }

  /** By hand, because a generator takes several times as long for each message. */
  #iterate(onlyMessages) {
    if (this.#isRead) throw new TypeError("this subscription is read already; subscribe once more to read it twice");
    this.#isRead = true;
    let gaps;
    const next = () => {
      for (;;) {
        const event = this.#take();
        if (event === undefined) {
          if (this.#ended?.error) return Promise.reject(this.#ended.error);
          if (this.#ended) return Promise.resolve({ done: true, value: undefined });
          this.#asleep ??= new Promise((wake) => (this.#wake = wake));
          return this.#asleep.then(next);
        }
        if (!onlyMessages || event.type === "message") {
          if (gaps) event.gaps = gaps;
          gaps = undefined;
          return Promise.resolve({ done: false, value: event });
        }
        if (event.type === "gap" || event.type === "error") {
          if (event.type === "gap") (gaps ??= []).push(event);
          this.#tellUnheard(event);
        }
      }
    };
    const stop = async (value) => {
      this.#isRead = false;
      this.unsubscribe();
      return { done: true, value };
    };
    return { next, return: stop, [Symbol.asyncIterator]: returnThis, [Symbol.asyncDispose ?? ""]: stop };
  }

  #take() {
    this.#settle();
    if (this.#head === this.#queue.length) return undefined;
    this.#inHand = this.#queue[this.#head];
    this.#queue[this.#head++] = undefined;
    // Not by `shift`, which moves a long queue for each event.
    if (this.#head * 2 > this.#queue.length) this.#rest();
    return this.#inHand;
  }

  /** Everything that waits. The queue begins anew without what was taken. */
  #rest() {
    const rest = this.#head < this.#queue.length ? this.#queue.slice(this.#head) : [];
    [this.#queue, this.#head] = [rest, 0];
    return rest;
  }

  async unsubscribe() {
    this.end();
    this.#leave(this);
  }

  /** The server has taken it, and it begins behind this position. */
  accept(position) {
    if (position && this.#topic !== undefined && this.#handled.size === 0) this.#handled.set(this.#topic, position);
    this.#ready.resolve({ position });
  }

  /** It is over: because the server says so, or, without an error, because the program does. */
  end(error) {
    if (this.#ended) return;
    this.#ended = { error };
    if (!error) [this.#queue, this.#head] = [[], 0];
    this.#ready.reject(error ?? new HubcastError("closed", "unsubscribed before the server took it"));
    callEach(this.#listeners.get("ended"), error);
    this.#awake();
  }

  push(event) {
    if (this.#ended) return;
    if (event.event === "message") event = this.#read(event);
    if (!this.#isRead && this.#hasListener) return this.#emit(event);
    this.#queue.push(event);
    if (this.#queue.length - this.#head > this.#bound) this.#shed();
    this.#awake();
  }

  /** Once for all that comes before the program runs: to resolve a promise again costs, although it has no effect. */
  #awake() {
    if (!this.#asleep) return;
    this.#asleep = undefined;
    this.#wake();
  }

  #read({ topic, epoch, offset, message, user, time }) {
    const position = epoch === undefined ? undefined : { epoch, offset };
    try {
      const value = this.#decode ? this.#decode(message, topic) : message;
      return { type: "message", topic, value, position, user, time };
    } catch (error) {
      return { type: "error", topic, position, error };
    }
  }

  #emit(event) {
    callEach(this.#listeners.get(event.type), event);
    if (event.type === "gap" || event.type === "error") this.#tellUnheard(event, true);
    this.#settle(event);
  }

  /** Who asks for the next event has handled the one before. */
  #settle(event = this.#inHand) {
    this.#inHand = undefined;
    if (!event?.position) return;
    if (event.topic !== this.#last) this.#handled.delete((this.#last = event.topic));
    this.#handled.set(event.topic, event.position);
    if (this.#handled.size > MAX_TOPICS) this.#handled.delete(this.#handled.keys().next().value);
  }

  /** What no listener hears is written to the console. */
  #tellUnheard(event, isEmitted = false) {
    const listeners = this.#listeners.get(event.type);
    if (!listeners?.size) this.#warn(event);
    else if (!isEmitted) callEach(listeners, event);
  }

  /** The queue is full: its older half becomes one gap for each topic. */
  #shed() {
    const lost = new Map();
    const queue = this.#rest();
    for (const event of queue.splice(0, Math.ceil(queue.length / 2))) {
      const { topic, position, from, to } = event;
      const gap = lost.get(topic) ?? { type: "gap", topic, from: from ?? position?.offset, reason: "unread" };
      gap.to = position?.offset ?? to ?? gap.to;
      if (position) gap.position = position;
      lost.set(topic, gap);
    }
    queue.unshift(...lost.values());
  }
}

// ---- the client ----

class Client {
  #machine;
  #options;
  #url;
  #socket;
  #timer;
  #planned = Infinity;
  #outgoing = [];
  #state = { name: "connecting", attempt: 1 };
  #listeners = new Set();
  /** The subscriptions: key → { name of the target, slow, presence, reader }. */
  #readers = new Map();
  #nextKey = 1;
  #inputs = [];
  #calls = new Map();
  #nextCall = 1;
  #producer = secret();
  #sequence = 0;
  #hiddenAt;
  #hiding;
  #stored = {};
  #savedAt = 0;
  #onPage = [];

  constructor(url, options = {}) {
    this.#options = { pauseHidden: 300_000, queue: 1_000, ...options };
    const { token, info, backoff } = this.#options;
    // One member over all connections: the secret stays the same.
    const identity = info === undefined ? undefined : { secret: secret(), info };
    this.#machine = new Machine({ ...backoff, identity, hasToken: token !== undefined });
    try {
      this.#url = socketUrl(url);
      this.#options.WebSocket ??= globalThis.WebSocket;
      if (!this.#options.WebSocket) throw new Error(NO_WEBSOCKET);
    } catch (error) {
      queueMicrotask(() => this.#handle({ type: "fail", reason: error.message }));
      return;
    }
    this.#load();
    this.#watchPage();
    // After the program had the time to add its listeners and subscriptions.
    queueMicrotask(() => this.#handle({ type: "start" }));
  }

  get state() {
    return this.#state;
  }

  on(type, listener) {
    if (type !== "state") throw new TypeError(`a client has no event ${type}; there is state`);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async connected(signal) {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#state.name === "connected") return;
      if (this.#state.name === "closed") throw new HubcastError("closed", this.#state.reason);
      await new Promise((resolve) => {
        const stop = this.on("state", () => (stop(), resolve()));
        signal?.addEventListener("abort", () => (stop(), resolve()), { once: true });
      });
    }
  }

  subscribe(target, options = {}) {
    const isTopic = typeof target === "string";
    if (!isTopic && typeof target?.pattern !== "string") throw new TypeError("subscribe to a text, or to { pattern }");
    const name = isTopic ? `t:${target}` : `p:${target.pattern}`;
    return this.#read(name, { ...options, topic: isTopic ? target : undefined, pattern: target.pattern });
  }

  direct(options = {}) {
    return this.#read("direct", options);
  }

  publish(topic, value, { key, echo, signal } = {}) {
    const frame = { action: "publish", topic, message: value, echo };
    if (key === undefined) Object.assign(frame, { producer: this.#producer, sequence: ++this.#sequence });
    else frame.key = key;
    return this.#ask(frame, signal, echo === false).then(({ offset, receivers }) => ({ offset, receivers }));
  }

  async history(topic, { since, limit, signal } = {}) {
    const { epoch, offset, messages } = await this.#ask({ action: "history", topic, since, limit }, signal);
    const position = epoch === undefined ? undefined : { epoch, offset };
    return {
      position,
      messages: messages.map(({ offset, message, user, time }) => {
        return { topic, value: message, position: epoch === undefined ? undefined : { epoch, offset }, user, time };
      }),
    };
  }

  async presence(topic, { signal } = {}) {
    const { count, clients } = await this.#ask({ action: "presence", topic }, signal);
    return { count, clients };
  }

  reconnect() {
    this.#handle({ type: "reconnect" });
  }

  async close() {
    this.#save();
    this.#handle({ type: "close" });
  }

  #read(name, { topic, pattern, last, recover, presence = false, slow, decode, signal, queue = this.#options.queue }) {
    for (const other of this.#readers.values()) {
      if (other.name === name && (other.slow !== slow || other.presence !== presence)) {
        throw new TypeError(`${topic ?? pattern} is subscribed to with other options for slow or presence already`);
      }
    }
    const stored = this.#stored[name];
    if (recover === undefined && stored) recover = topic === undefined ? stored : stored[topic];
    const handled = topic === undefined ? recover : recover && { [topic]: recover };
    const key = this.#nextKey++;
    const abort = () => reader.unsubscribe();
    const leave = () => {
      signal?.removeEventListener("abort", abort);
      if (!this.#readers.delete(key)) return;
      this.#handle({ type: "unsubscribe", key });
    };
    const warn = (event) => this.#log(event.type, event);
    const reader = new Subscription({ topic, queue, decode, leave, warn, handled });
    if (this.#state.name === "closed") {
      queueMicrotask(() => reader.end(new HubcastError("closed", this.#state.reason)));
      return reader;
    }
    this.#readers.set(key, { name, slow, presence, reader });
    this.#handle({ type: "subscribe", key, topic, pattern, last, recover, presence, slow });
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    return reader;
  }

  #ask(frame, signal, isSilent = false) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      if (this.#state.name === "closed") throw new HubcastError("closed", this.#state.reason);
      if (this.#calls.size >= MAX_CALLS) throw new HubcastError("queue_full", `${MAX_CALLS} requests wait already`, true);
      // Now, because the program may change the value later.
      const copy = JSON.parse(JSON.stringify(frame));
      if (frame.action === "publish" && copy.message === undefined) throw new TypeError(NO_JSON);
      const id = `c${this.#nextCall++}`;
      const abort = () => {
        this.#calls.delete(id);
        this.#handle({ type: "cancel", id });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => signal?.removeEventListener("abort", abort);
      this.#calls.set(id, { resolve, reject, done });
      this.#handle({ type: "ask", id, frame: copy, isSilent });
    });
  }

  /** An input that comes while another one is carried out, from a listener, has to wait for its turn. */
  #handle(input) {
    this.#inputs.push(input);
    if (this.#inputs.length > 1) return;
    for (; this.#inputs.length > 0; this.#inputs.shift()) {
      for (const step of this.#machine.handle(now(), this.#inputs[0])) {
        if (step.do === "tell") this.#tell(step.key, step.event);
        else this.#carryOut(step);
      }
    }
    this.#plan();
  }

  #tell = (key, event) => this.#readers.get(key)?.reader.push(event);

  #carryOut(step) {
    const reader = this.#readers.get(step.key)?.reader;
    switch (step.do) {
      case "connect":
        return this.#open(step.token);
      case "send":
        this.#outgoing.push(step.frame);
        return this.#flush();
      case "drop":
        return this.#drop();
      case "token":
        return void this.#getToken(step.reason);
      case "state":
        return this.#enter(step.state);
      case "explain":
        return void this.#explain();
      case "ready":
        return reader?.accept(step.position);
      case "end":
        reader?.end(step.error && new HubcastError(...step.error));
        return this.#readers.delete(step.key);
      default: {
        const call = this.#calls.get(step.id);
        this.#calls.delete(step.id);
        call?.done();
        if (step.do === "answer") call?.resolve(step.event);
        else call?.reject(new HubcastError(...step.error));
      }
    }
  }

  #open(token) {
    const { WebSocket } = this.#options;
    let socket;
    const lost = (code, reason) => {
      if (this.#socket !== socket) return;
      this.#drop();
      this.#handle({ type: "lost", code, reason });
    };
    try {
      socket = new WebSocket(this.#url.href, token ? ["hubcast.v1", `hubcast.token.${token}`] : ["hubcast.v1"]);
    } catch (error) {
      return void setTimeout(() => this.#handle({ type: "lost", code: 1006, reason: error.message }));
    }
    this.#socket = socket;
    socket.onopen = () => this.#socket === socket && this.#handle({ type: "opened" });
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return;
      let event;
      try {
        event = JSON.parse(data);
      } catch {
        // Shows later, as a gap in the offsets.
        return;
      }
      if (event?.event !== "message") return event?.event && this.#handle({ type: "frame", event });
      this.#machine.hear(now(), event, this.#tell);
      if (this.#options.resume !== undefined) this.#saveSoon();
    };
    socket.onclose = ({ code, reason }) => lost(code, reason);
    // Some runtimes end with an error alone. The listener stays, because an error without one ends a Node process.
    socket.onerror = () => setTimeout(lost, 1_000, 1006, "");
  }

  /** Forgets the socket, whose `close` can come minutes later. */
  #drop() {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#outgoing = [];
    try {
      socket?.close(1000);
    } catch {
      // It was not open yet.
    }
  }

  #flush() {
    while (this.#outgoing.length > 0 && this.#socket) {
      if (this.#socket.bufferedAmount > MAX_BUFFERED) return void setTimeout(() => this.#flush(), 20);
      this.#socket.send(JSON.stringify(this.#outgoing.shift()));
    }
  }

  async #getToken(reason) {
    const { token } = this.#options;
    const patience = new AbortController();
    const late = new HubcastError("timeout", "the token function took longer than 10 s");
    const timer = setTimeout(() => patience.abort(late), 10_000);
    const isOver = new Promise((_, reject) => patience.signal.addEventListener("abort", () => reject(late)));
    try {
      const given = typeof token === "function" ? token({ reason, signal: patience.signal }) : token;
      const text = await Promise.race([given, isOver]);
      if (typeof text !== "string" || !text) throw new TypeError("the token function gave no text");
      if (reason === "refused" && typeof token !== "function") throw new NotAllowed("the token is refused");
      this.#handle({ type: "token", token: text, lifetime: lifetimeOf(text) });
    } catch (error) {
      const text = String(error?.message ?? error);
      this.#handle({ type: "token_failed", reason: text, final: error instanceof NotAllowed });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A browser does not say why a socket does not open. A plain request does. */
  async #explain() {
    try {
      const url = new URL(this.#url);
      url.protocol = url.protocol.replace("ws", "http");
      const answer = await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(3_000) });
      const text = (await answer.text()).slice(0, 200).trim();
      if (answer.status >= 400 && answer.status !== 426) {
        this.#handle({ type: "explained", reason: `HTTP ${answer.status}: ${text}` });
      }
    } catch {
      // Nothing answers there, or another origin may not read it.
    }
  }

  #enter(state) {
    this.#state = state.until === undefined ? state : { ...state, until: Date.now() + (state.until - now()) };
    this.#log("state", this.#state);
    if (state.name === "closed") {
      clearTimeout(this.#timer);
      this.#leavePage();
    }
    callEach(this.#listeners, this.#state);
  }

  /** Sets the timer. One that would fire too early stays: setting it anew for each message would cost more. */
  #plan() {
    const at = this.#machine.deadline();
    if (at >= this.#planned) return;
    clearTimeout(this.#timer);
    this.#planned = at;
    this.#timer = setTimeout(() => {
      const late = now() - this.#planned;
      this.#planned = Infinity;
      this.#handle({ type: "time", late });
    }, Math.min(MAX_TIMEOUT, Math.max(0, at - now())));
  }

  #log(event, fields) {
    if (this.#options.log) this.#options.log(event, fields);
    else if (event === "gap" || event === "error") console.warn(`hubcast: ${event}`, fields);
  }

  // ---- the page ----

  #watchPage() {
    const listen = (target, type, react) => {
      if (typeof target?.addEventListener !== "function") return;
      target.addEventListener(type, react);
      this.#onPage.push(() => target.removeEventListener(type, react));
    };
    const page = globalThis.document;
    if (!page) return;
    const pause = (reason) => this.#handle({ type: "pause", reason });
    listen(page, "visibilitychange", () => {
      clearTimeout(this.#hiding);
      if (page.visibilityState === "hidden") {
        this.#save();
        this.#hiddenAt = now();
        const { pauseHidden } = this.#options;
        if (pauseHidden < MAX_TIMEOUT) this.#hiding = setTimeout(pause, pauseHidden, "the page is hidden");
      } else {
        const wasLong = this.#hiddenAt !== undefined && now() - this.#hiddenAt > 5_000;
        this.#hiddenAt = undefined;
        if (wasLong) this.#handle({ type: "resume" });
      }
    });
    listen(page, "freeze", () => pause("the page is frozen"));
    listen(page, "resume", () => this.#handle({ type: "resume" }));
    listen(globalThis, "pagehide", ({ persisted }) => {
      this.#save();
      if (persisted) pause("the page is kept for going back");
    });
    listen(globalThis, "pageshow", ({ persisted }) => persisted && this.#handle({ type: "resume" }));
    listen(globalThis, "offline", () => this.#handle({ type: "check", within: 10_000 }));
    listen(globalThis, "online", () => this.#handle({ type: "online" }));
  }

  #leavePage() {
    clearTimeout(this.#hiding);
    for (const stop of this.#onPage.splice(0)) stop();
  }

  #load() {
    try {
      const entry = JSON.parse(sessionStorage.getItem(this.#entry()) ?? "null");
      if (entry?.v === 1 && Date.now() - entry.saved < 900_000) this.#stored = entry.positions;
    } catch {
      // There is no storage, or it may not be read: the page begins live.
    }
  }

  #saveSoon() {
    if (now() - this.#savedAt > 1_000) this.#save();
  }

  /** Keeps what was handled: a reload repeats what was being handled. */
  #save() {
    if (this.#options.resume === undefined) return;
    this.#savedAt = now();
    const positions = {};
    for (const { name, reader } of this.#readers.values()) {
      const of = (positions[name] ??= Object.create(null));
      for (const [topic, position] of Object.entries(reader.positions)) {
        // Of several readers, the one that is furthest behind counts.
        const known = of[topic];
        if (!known || known.epoch !== position.epoch || known.offset > position.offset) of[topic] = position;
      }
    }
    try {
      sessionStorage.setItem(this.#entry(), JSON.stringify({ v: 1, saved: Date.now(), positions }));
    } catch (error) {
      this.#log("storage", { reason: error.message });
    }
  }

  #entry() {
    return `hubcast:${this.#options.resume}`;
  }
}

function socketUrl(given) {
  const page = globalThis.location?.href;
  if (given === undefined && !page) throw new TypeError("connect(url): without a page, an address is needed");
  const url = new URL(given ?? "/socket", page);
  url.protocol = url.protocol.replace("http", "ws");
  if (url.pathname === "/") url.pathname = "/socket";
  url.hash = "";
  return url;
}

function lifetimeOf(token) {
  try {
    const { exp, iat } = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    const lifetime = (exp - (iat ?? Date.now() / 1_000)) * 1_000;
    // A clock here that is wrong must not ask for a token again and again: the server says when it is over.
    return lifetime > 0 ? lifetime : undefined;
  } catch {
    return undefined;
  }
}

/** An error of a listener stops nothing here, and is not lost. */
function callEach(listeners, value) {
  for (const listener of listeners ?? []) {
    try {
      listener(value);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** 144 random bits as text. */
function secret() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_");
}

if (Symbol.asyncDispose) {
  Subscription.prototype[Symbol.asyncDispose] = Subscription.prototype.unsubscribe;
  Client.prototype[Symbol.asyncDispose] = Client.prototype.close;
}

function returnThis() {
  return this;
}

function now() {
  return performance.now();
}

const MAX_CALLS = 1_000;
const MAX_BUFFERED = 256 << 10;
/** Longer timers fire at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;
const NO_JSON = "the value is no JSON; publish null, or a text";
const NO_WEBSOCKET = "no WebSocket here; in Node 20: npm i ws, connect(url, { WebSocket })";
