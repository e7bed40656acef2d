// Publishes by HTTP: HUBCAST_KEY=hc_… node publish.mjs
// It needs Node 18 or newer, and no package.

const { HUBCAST_API = "http://127.0.0.1:8080/api", HUBCAST_KEY } = process.env;

/** Publishes. The key makes it safe to try again: the same key takes effect once. */
export async function publish(topic, message, key = crypto.randomUUID()) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`${HUBCAST_API}/publish`, {
      method: "POST",
      headers: { Authorization: `Bearer ${HUBCAST_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify({ topic, message, key }),
      signal: AbortSignal.timeout(5_000),
    }).catch((error) => error);
    if (answer.ok) return answer.json();
    // What is wrong with the request stays wrong; a server that is away or busy may come back.
    const isFinal = answer.status >= 400 && answer.status < 500 && answer.status !== 429;
    if (isFinal || attempt === 5) throw new Error(answer.status ? (await answer.json()).error.reason : answer.message);
    await new Promise((wake) => setTimeout(wake, Math.random() * 200 * 2 ** attempt));
  }
}

console.log(await publish("orders.eu.created", { order: 17, total: 129.9 }, "order-17-created"));
