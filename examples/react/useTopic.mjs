// A React hook: the last messages of a topic, and whether something is missing before them.
//
//     const client = connect("/socket");                 // once, outside of components
//     const { messages, isLive } = useTopic(client, "chat.lobby", { last: 20 });

import { useEffect, useState } from "react";

export function useTopic(client, topic, { last = 0, keep = 100 } = {}) {
  const [messages, setMessages] = useState([]);
  const [isLive, setLive] = useState(client.state.name === "connected");

  useEffect(() => client.on("state", ({ name }) => setLive(name === "connected")), [client]);

  useEffect(() => {
    setMessages([]);
    const subscription = client.subscribe(topic, { last });
    const add = (item) => setMessages((before) => [...before, item].slice(-keep));
    subscription.on("message", ({ value, position }) => add({ value, position }));
    subscription.on("gap", (gap) => add({ gap }));
    return () => {
      subscription.unsubscribe();
    };
  }, [client, topic, last, keep]);

  return { messages, isLive, publish: (message) => client.publish(topic, message) };
}
