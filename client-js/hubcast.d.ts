/**
 * A client. It returns at once and connects by itself; `connect` throws nothing.
 *
 * @param url `ws`, `wss`, `http` or `https`, or relative to the page. Default: `/socket` of the page's host.
 */
export function connect(url?: string | URL, options?: Options): Client;

export interface Options {
  /**
   * The token, or a function that gives one: first, when the one before is expiring, and when it was refused. It has 10 s;
   * then `signal` is aborted. What it throws is tried again, except for {@link NotAllowed}.
   */
  token?: string | ((ask: { reason: "first" | "expiring" | "refused"; signal: AbortSignal }) => string | Promise<string>);
  /**
   * What presence shows of this client if it has no token, such as `{ name: "Ada" }`: any JSON of at most 1,024 bytes, else it
   * is left out. Nobody verifies it. With it, presence shows one member, however often the connection breaks.
   */
  info?: unknown;
  /** Keeps positions over a reload of the page under this name, for 15 minutes, in `sessionStorage`. */
  resume?: string;
  /** Milliseconds for which a page is hidden until its client disconnects. Default 300,000; `Infinity`: never. */
  pauseHidden?: number;
  /** Events that wait to be read in one subscription. Default 1,000; then the older half becomes gaps. */
  queue?: number;
  /** Bounds of the random pauses between attempts, in milliseconds. Default 500, which grows to 20,000. */
  backoff?: { first?: number; most?: number };
  /** The WebSocket to use. Node 20 has none: `import { WebSocket } from "ws"`. */
  WebSocket?: unknown;
  /** Hears of everything, for debugging. Without it, gaps and errors that no listener hears go to `console.warn`. */
  log?: (event: string, fields: object) => void;
}

export type State =
  | { name: "connecting"; attempt: number }
  | { name: "connected"; client: string; user?: string }
  /** `until`: when the next attempt is, as `Date.now()`; `Infinity` while the page is hidden or frozen. */
  | { name: "waiting"; until: number; code?: number; reason: string }
  /** For good. */
  | { name: "closed"; code?: number; reason: string };

/** A place in the history of a topic. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface Message<T> {
  type: "message";
  topic: string;
  value: T;
  /** Only on topics with history. */
  position?: Position;
  /** Who published it, and when (milliseconds since 1970), on topics with `author = true`. */
  user?: string;
  time?: number;
  /** What is missing before this message. In the default stream only; in `events()` each is an event of its own. */
  gaps?: Gap[];
}

/** Something is missing. */
export interface Gap {
  type: "gap";
  /** Absent: any topic of the pattern may have missed something. */
  topic?: string;
  /** The first and the last offset that is missing, where they are known. */
  from?: number;
  to?: number;
  /** From where the subscription goes on. */
  position?: Position;
  /** `unread`: this program did not read for so long that the queue was full. */
  reason: "slow_consumer" | "not_recoverable" | "missed_presence" | "missing" | "unread";
}

/** Somebody joined or left. A member has a `user`, or an `anonymous` id, or neither. */
export interface Member {
  client: string;
  user?: string;
  anonymous?: string;
  info?: unknown;
  /** Nobody has verified the `info`. */
  unverified?: true;
}

export type Event<T> =
  | Message<T>
  | Gap
  /** The connection was lost and the subscription goes on. `recovered`: nothing is missing. */
  | { type: "resumed"; recovered: boolean; replayed: number }
  | ({ type: "joined" | "left"; topic: string } & Member)
  /** `decode` threw. */
  | { type: "error"; topic: string; position?: Position; error: unknown };

export interface SubscribeOptions<T> {
  /** Begin with the last n publications of the topic. */
  last?: number;
  /** Begin after this position; for a pattern, after that of each topic. */
  recover?: Position | Record<string, Position>;
  /** Joins and leaves come too. */
  presence?: boolean;
  /** What the server does when this connection cannot keep up. Default `disconnect`: it resumes. */
  slow?: "disconnect" | "drop" | "latest";
  /** Checks and converts what was published, such as `schema.parse`. */
  decode?: (json: unknown, topic: string) => T;
  /** Events that wait to be read, in place of the client's `queue`. */
  queue?: number;
  /** Unsubscribes. */
  signal?: AbortSignal;
}

/**
 * What a program reads of one topic or pattern. `for await` gives the messages, and ends the subscription when the loop is
 * left. It throws a {@link HubcastError} when the server ends the subscription.
 */
export interface Subscription<T> extends AsyncIterable<Message<T>> {
  /** Settles when the server has taken the subscription; rejects with a {@link HubcastError} if it is refused. */
  readonly ready: Promise<{ position?: Position }>;
  /** Behind the last message that the program has handled: it has asked for the next one, or its listener has returned. */
  readonly position?: Position;
  /** The same for each topic of a pattern. */
  readonly positions: Record<string, Position>;
  events(): AsyncGenerator<Event<T>, void, void>;
  /** Returns a function that removes the listener. */
  on<K extends Event<T>["type"]>(type: K, listener: (event: Extract<Event<T>, { type: K }>) => void): () => void;
  on(type: "ended", listener: (error: HubcastError | undefined) => void): () => void;
  unsubscribe(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Client {
  readonly state: State;
  on(type: "state", listener: (state: State) => void): () => void;
  /** Resolves when connected; rejects when the client is closed for good, or by the signal. */
  connected(signal?: AbortSignal): Promise<void>;
  /** Of several subscriptions to one topic each has its own past. `slow` and `presence` must be the same, else it throws. */
  subscribe<T = unknown>(target: string | { pattern: string }, options?: SubscribeOptions<T>): Subscription<T>;
  /** What is sent to this client's id, and to `@user`. */
  direct<T = unknown>(options?: Pick<SubscribeOptions<T>, "decode" | "queue" | "signal">): Subscription<T>;
  /**
   * Takes effect once, however often the connection breaks. At most 1,000 requests wait; one more is `queue_full`.
   * `signal` gives up waiting; the publication may still take effect.
   */
  publish(
    topic: string,
    value: unknown,
    options?: { key?: string; echo?: boolean; signal?: AbortSignal },
  ): Promise<{ offset?: number; receivers: number }>;
  history<T = unknown>(
    topic: string,
    options?: { since?: Position; limit?: number; signal?: AbortSignal },
  ): Promise<{ position?: Position; messages: Omit<Message<T>, "type">[] }>;
  presence(topic: string, options?: { signal?: AbortSignal }): Promise<{ count: number; clients: Member[] }>;
  /** Connects now, whatever it waits for. */
  reconnect(): void;
  /** For good. What waits fails with `closed`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the server or the client refuses. `code` is one of the protocol's, or `closed`, `queue_full`, `timeout`. */
export class HubcastError extends Error {
  constructor(code: string, reason: string, retry?: boolean);
  readonly code: string;
  /** The same may succeed later. */
  readonly retry: boolean;
}

/** Thrown by a `token` function: this user may not connect. The client is closed for good. */
export class NotAllowed extends Error {
  constructor(reason?: string);
}
