/** Elements and texts. All that comes from outside becomes text, never markup. */

/** An element. Properties are set, `data` and `aria` names become attributes, and children are texts or elements. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function $(id) {
  return document.getElementById(id);
}

/** A list of terms and what they are. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== "");
  return el("dl", {}, ...shown.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A text in which each character that cannot be seen, or that turns the direction of others, is shown by its number. */
export function visible(text, keepsLines = false) {
  return text.replace(HIDDEN, (character) => {
    if (keepsLines && (character === "\n" || character === "\t")) return character;
    return NAMES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

export function textOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

export function count(number) {
  return Number.isFinite(number) ? Math.round(number).toLocaleString("en") : "–";
}

export function rate(number) {
  return number > 0 && number < 9.95 ? number.toFixed(1) : count(number);
}

export function bytes(number) {
  if (!Number.isFinite(number)) return "–";
  const unit = number < 1024 ? 0 : number < 1024 ** 2 ? 1 : number < 1024 ** 3 ? 2 : 3;
  const scaled = number / 1024 ** unit;
  return `${unit > 0 && scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

export function millis(number) {
  if (!Number.isFinite(number)) return "–";
  return number > 0 && number < 10 ? `${number.toFixed(1)} ms` : number < 10_000 ? `${count(number)} ms` : `${(number / 1000).toFixed(1)} s`;
}

export function duration(seconds) {
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

export function clock(time) {
  const date = new Date(time);
  const [h, m, s] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${h}:${m}:${s}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;
const NAMES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
