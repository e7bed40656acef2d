// The client in a runtime that has no test runner of Node: subscribes, publishes, is cut, and hears everything.
import { connect } from "../hubcast.js";

const url = process.argv.at(-1);
const [reader, writer] = [connect(url), connect(url)];
const numbers = reader.subscribe("smoke");
await numbers.ready;
const heard = [];
const reading = (async () => {
  for await (const { value, gaps } of numbers) {
    if (gaps) throw new Error(`a gap: ${gaps[0].reason}`);
    heard.push(value);
    if (value === 99) break;
  }
})();
for (let number = 0; number < 100; number++) {
  if (number % 20 === 10) reader.reconnect();
  await writer.publish("smoke", number);
}
await reading;
await Promise.all([reader.close(), writer.close()]);
if (heard.join() !== Array.from({ length: 100 }, (_, at) => at).join()) throw new Error(`heard ${heard}`);
console.log("smoke: 100 messages, once and in order");
