// Read by the type checker alone: the declarations fit how the client is used.

import { connect, HubcastError, NotAllowed, type Position, type State } from "../hubcast.js";

interface Price {
  symbol: string;
  cents: number;
}

export async function prices(): Promise<Position | undefined> {
  const client = connect("wss://hub.example/socket", {
    token: async ({ reason, signal }) => {
      const answer = await fetch(`/token?because=${reason}`, { signal });
      if (answer.status === 403) throw new NotAllowed();
      return answer.text();
    },
  });
  const stop = client.on("state", (state: State) => {
    if (state.name === "waiting") console.log(state.until - Date.now(), state.reason);
  });
  const prices = client.subscribe<Price>("prices", { last: 1, decode: (json) => json as Price });
  prices.on("gap", ({ from, to }) => console.log(from, to));
  prices.on("ended", (error) => console.log(error?.code));
  for await (const { value, gaps, position } of prices) {
    console.log(value.cents.toFixed(), gaps?.[0]?.reason, position?.offset);
    break;
  }
  const { offset, receivers } = await client.publish("prices", { symbol: "A" }, { key: "once" });
  console.log(offset?.toFixed(), receivers.toFixed());
  for await (const event of client.subscribe({ pattern: "room.>" }).events()) {
    if (event.type === "joined") console.log(event.user);
    // @ts-expect-error: a gap has no value
    if (event.type === "gap") console.log(event.value);
  }
  const { clients } = await client.presence("room.7").catch((error: HubcastError) => {
    throw new Error(error.code);
  });
  console.log(clients[0]?.client);
  stop();
  await client.close();
  return prices.position;
}
