// A Vue composable: the last messages of a topic, which may be a ref, and whether something is missing before them.
//
//     const client = connect("/socket");                 // once, for the application
//     const { messages, isLive } = useTopic(client, () => props.room, { last: 20 });

import { onScopeDispose, ref, shallowRef, toValue, watchEffect } from "vue";

export function useTopic(client, topic, { last = 0, keep = 100 } = {}) {
  const messages = shallowRef([]);
  const isLive = ref(client.state.name === "connected");

  onScopeDispose(client.on("state", ({ name }) => (isLive.value = name === "connected")));

  watchEffect((onCleanup) => {
    messages.value = [];
    const subscription = client.subscribe(toValue(topic), { last });
    const add = (item) => (messages.value = [...messages.value, item].slice(-keep));
    subscription.on("message", ({ value, position }) => add({ value, position }));
    subscription.on("gap", (gap) => add({ gap }));
    onCleanup(() => subscription.unsubscribe());
  });

  return { messages, isLive, publish: (message) => client.publish(toValue(topic), message) };
}
