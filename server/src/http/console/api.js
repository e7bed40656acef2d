/** The HTTP API, asked with the key that the user has typed. */

export class ApiError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export class Api {
  /** Without a key nothing is asked: it would be refused, and count as a wrong key. */
  key = "";

  get(path, parameters = {}) {
    const known = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
    return this.#ask(`/api/${path}?${new URLSearchParams(known)}`, {});
  }

  post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.#ask(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  async #ask(address, request) {
    const headers = { ...request.headers, Authorization: `Bearer ${this.key}` };
    const answer = await fetch(address, { ...request, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new ApiError(answer.status, body.error?.reason ?? `the server answers ${answer.status}`);
    return body;
  }
}

/** How long one answer may take, in milliseconds. */
const PATIENCE = 10_000;
