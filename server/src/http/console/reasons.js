/** What to do about a refusal, or about a connection that was closed. The server says why; this says what next. */

export function adviceFor(code) {
  return ADVICE[code];
}

export function adviceForClose(code) {
  return CLOSES[code];
}

const ADVICE = {
  forbidden: "No rule and no grant covers this. hubcast explain names the rule that decides; the token needs a grant for the topic.",
  unauthenticated: "Show a token first: open Access.",
  token_invalid: "The token is refused; the reason names the check that failed. hubcast token looks at it.",
  token_expired: "The token's time is over. Open Access, and give a new one.",
  limit_exceeded: "A limit of the connection or of its user is reached: leave a subscription, or raise max_subscriptions or users.",
  rate_limited: "Too many requests in a second. Wait, or raise requests_per_second.",
  message_too_large: "The topic takes only smaller messages: see its rule in topics, or max_message.",
  invalid_topic: "The name is longer than max_topic allows.",
  invalid_pattern: "A * stands for one whole part, and a > for all the rest, at the end only.",
  no_history: "The topic keeps no history. A rule with history in topics changes that.",
  no_presence: "The topic keeps no presence. A rule with presence in topics changes that.",
  unavailable: "Something that the server needs does not answer. It may work in a moment.",
};

const CLOSES = {
  4000: "The page did not answer a ping in time.",
  4001: "The token's time is over. Open Access, and give a new one.",
  4002: "This page read too slowly, so the server let go of it. It comes back and resumes.",
  4003: "Too many requests in a second.",
  4500: "The token is refused. Open Access, and give another one.",
  4501: "A token is needed here. Open Access, and give one.",
  4502: "An operator has disconnected this client.",
};
