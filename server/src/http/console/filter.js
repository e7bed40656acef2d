/** What a filter lets through. */

/**
 * Reads a filter; returns `undefined` if it lets everything through. Its words must all fit: a word is a text in the topic
 * or the message, `topic:` takes a pattern, `kind:` a kind of row, and `.path>10` compares a member of the JSON.
 */
export function parseFilter(text) {
  const words = text.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  const tests = words.map(test);
  return (row) => tests.every((fits) => fits(row));
}

function test(word) {
  if (word.startsWith("topic:")) return ofTopic(word.slice(6));
  if (word.startsWith("kind:")) return (row) => row.kind === word.slice(5);
  const member = /^\.([^=<>]+)(?:(=|<|>)(.*))?$/.exec(word);
  if (member) return ofMember(member[1].split("."), member[2], member[3]);
  const wanted = word.toLowerCase();
  return (row) => row.text.toLowerCase().includes(wanted) || row.topic.toLowerCase().includes(wanted);
}

function ofTopic(pattern) {
  const parts = pattern.split(".");
  const isOpen = parts.at(-1) === ">";
  if (isOpen) parts.pop();
  return ({ topic }) => {
    const given = topic.split(".");
    if (isOpen ? given.length <= parts.length : given.length !== parts.length) return false;
    return parts.every((part, at) => part === "*" || part === given[at]);
  };
}

function ofMember(path, comparison, wanted) {
  return ({ value }) => {
    for (const name of path) {
      if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) return false;
      value = value[name];
    }
    if (comparison === undefined) return true;
    if (comparison === "=") return String(value) === wanted;
    return comparison === ">" ? value > Number(wanted) : value < Number(wanted);
  };
}
