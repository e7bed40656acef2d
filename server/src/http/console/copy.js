/** What publishes a message again: for a shell, and for a program. What is copied is safe to paste. */

export const FORMS = [
  ["curl", (topic, value) => {
    const body = `-d ${shell(json({ topic, message: value }))}`;
    return `curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\\n  ${body} \\\n  ${location.origin}/api/publish`;
  }],
  ["hubcast", (topic, value) => {
    const words = typeof value === "string" && value !== "-" ? [topic, value] : ["--json", topic, json(value)];
    const dashes = words.slice(-2).some((word) => word.startsWith("-")) ? ["--"] : [];
    const options = words.length > 2 ? [words[0]] : [];
    const parts = ["hubcast", "pub", "-s", shell(socket()), ...options, ...dashes, ...words.slice(-2).map(shell)];
    return parts.join(" ");
  }],
  ["JavaScript", (topic, value) =>
    `import { connect } from "${location.origin}/hubcast.js";\n\nconst client = connect(${json(socket())});\n` +
    `await client.publish(${json(topic)}, ${json(value)});`],
];

/** The command that says why something is refused. */
export function explain(action, target) {
  return `hubcast explain --config hubcast.toml --token "$TOKEN" ${action} ${shell(target)}`;
}

function socket() {
  return `${location.origin.replace(/^http/, "ws")}/socket`;
}

/** JSON with each character that cannot be seen as its number. */
function json(value) {
  return JSON.stringify(value).replace(HIDDEN, (unit) => `\\u${hex(unit)}`);
}

/** A word of a shell. A character that cannot be seen could type the rest of the line, so it is written by its number. */
export function shell(word) {
  if (/^[\w.,:\/@%+=-]+$/.test(word)) return word;
  if (word.search(HIDDEN) < 0) return `'${word.replaceAll("'", "'\\''")}'`;
  return `$'${word.replace(/[\\']/g, "\\$&").replace(HIDDEN, (unit) => `\\u${hex(unit)}`)}'`;
}

function hex(unit) {
  return unit.charCodeAt(0).toString(16).padStart(4, "0");
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
