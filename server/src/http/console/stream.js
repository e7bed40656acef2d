/**
 * The live stream: 10,000 rows as data, and as many elements as fit on the screen. The newest row stands first. While the
 * stream is paused, or scrolled, what is on the screen stays, and a button says how many rows came since.
 */

import { $, clock, count, el, textOf, visible } from "./dom.js";
import { parseFilter } from "./filter.js";

export class Stream {
  /** Rows in the order in which they came. `#rows[n % KEPT]` is the row with the number `n`. */
  #rows = new Array(KEPT);
  #next = 0;
  #first = 0;
  /** The numbers of the rows that fit the filter, or `undefined` if there is none. Those before `#fittingFrom` are gone. */
  #fitting;
  #filter;
  /** While it is paused: the number of the first row that is not shown. */
  #end;
  #isPaused = false;
  #selected;
  #pool = [];
  #isAsked = false;
  #drawnAt = 0;
  #box = $("stream");
  #space = $("space");
  #rowHeight = 0;
  #onPick;

  constructor({ onPick }) {
    this.#onPick = onPick;
    this.#box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#box.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.select(Number(row.dataset.number), true);
    });
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => ((this.#rowHeight = 0), this.draw())).observe(this.#box);
    $("more").addEventListener("click", () => this.resume());
    $("pause").addEventListener("click", () => (this.#isPaused ? this.resume() : this.pause()));
    $("clear").addEventListener("click", () => this.clear());
    $("filter").addEventListener("input", () => this.setFilter($("filter").value));
  }

  get length() {
    return this.#next - this.#first;
  }

  /** Adds a row: `kind`, `topic`, `value` or `text`, and what else there is to know. */
  add(row) {
    row.time = Date.now();
    row.topic ??= "";
    row.number = this.#next;
    if (row.text === undefined) Object.defineProperty(row, "text", LAZY_TEXT);
    this.#rows[this.#next % KEPT] = row;
    this.#next += 1;
    if (this.length > KEPT) this.#first = this.#next - KEPT;
    if (this.#filter?.(row)) this.#fitting.push(row.number);
    if (this.#fitting?.length > 2 * KEPT) this.#fitting = this.#fitting.filter((number) => number >= this.#first);
    this.draw();
  }

  pause() {
    this.#isPaused = true;
    this.#end ??= this.#next;
    this.draw();
  }

  resume() {
    this.#isPaused = false;
    this.#end = undefined;
    this.#selected = undefined;
    this.#box.scrollTop = 0;
    this.draw();
  }

  clear() {
    this.#first = this.#next;
    this.#selected = undefined;
    if (this.#fitting) this.#fitting = [];
    this.resume();
  }

  /** Nobody looks at a row any more: goes on, if it is not paused. */
  release() {
    this.#selected = undefined;
    if (!this.#isPaused && this.#box.scrollTop <= 4) this.#end = undefined;
    this.draw();
  }

  setFilter(text) {
    this.#filter = parseFilter(text);
    this.#fitting = this.#filter && [];
    for (let number = this.#first; this.#filter && number < this.#next; number += 1) {
      if (this.#filter(this.row(number))) this.#fitting.push(number);
    }
    this.#box.scrollTop = 0;
    if (!this.#isPaused) this.#end = undefined;
    this.draw();
  }

  row(number) {
    return number >= this.#first && number < this.#next ? this.#rows[number % KEPT] : undefined;
  }

  /** All messages that are kept, as JSON Lines. */
  *lines() {
    for (let number = this.#first; number < this.#next; number += 1) {
      const { kind, time, topic, value, text, position, user } = this.row(number);
      const shown = kind === "message" ? { message: value } : { text };
      yield `${JSON.stringify({ kind, received: new Date(time).toISOString(), topic, ...position, user, ...shown })}\n`;
    }
  }

  select(number, isPicked = false) {
    const row = this.row(number);
    if (!row) return;
    this.#selected = number;
    this.#end ??= this.#next;
    this.draw();
    if (isPicked) this.#onPick(row);
  }

  /** Draws with the next frame of the screen, at most 12 times a second: people cannot read faster. */
  draw() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const wait = DRAW_EVERY - (performance.now() - this.#drawnAt);
    const ask = () => requestAnimationFrame(() => this.#drawNow());
    if (wait > 0) setTimeout(ask, wait);
    else ask();
  }

  /** The numbers on the screen: how many there are, and the one at a place. The newest has place 0. */
  #shown() {
    const end = this.#end ?? this.#next;
    if (!this.#fitting) return { total: Math.max(0, end - this.#first), at: (place) => end - 1 - place };
    const [from, to] = [bound(this.#fitting, this.#first), bound(this.#fitting, end)];
    return { total: to - from, at: (place) => this.#fitting[to - 1 - place] };
  }

  #drawNow() {
    this.#isAsked = false;
    this.#drawnAt = performance.now();
    if (this.#box.offsetParent === null) return;
    this.#rowHeight ||= parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    const { total, at } = this.#shown();
    const height = this.#rowHeight;
    this.#space.style.height = `${total * height}px`;
    const from = Math.max(0, Math.floor(this.#box.scrollTop / height) - OVER);
    const to = Math.min(total, from + Math.ceil(this.#box.clientHeight / height) + 2 * OVER, from + MOST_ELEMENTS);
    for (let place = from; place < to; place += 1) {
      const element = (this.#pool[place - from] ??= this.#element());
      fill(element, this.row(at(place)), place, total, this.#selected);
      element.style.transform = `translateY(${place * height}px)`;
    }
    for (const element of this.#pool.slice(to - from)) element.hidden = true;
    const active = this.#pool.find((element) => !element.hidden && Number(element.dataset.number) === this.#selected);
    if (active) this.#box.setAttribute("aria-activedescendant", active.id);
    else this.#box.removeAttribute("aria-activedescendant");
    this.#drawAround(total);
  }

  #drawAround(total) {
    const behind = this.#end === undefined ? 0 : this.#next - Math.max(this.#end, this.#first);
    set($("more"), "hidden", behind === 0);
    set($("more"), "textContent", `${count(behind)} more`);
    set($("pause"), "textContent", this.#isPaused ? "Resume" : "Pause");
    $("pause").setAttribute("aria-pressed", this.#isPaused);
    const kept = `${count(this.length)} kept`;
    set($("tally"), "textContent", this.#filter ? `${count(total)} fit · ${kept}` : this.length > 0 ? kept : "");
    set($("empty"), "hidden", total > 0);
    const isFiltered = Boolean(this.#filter) && this.length > 0;
    $("empty").dataset.filtered = isFiltered;
    set($("empty-title"), "textContent", isFiltered ? "Nothing fits the filter" : "Nothing yet");
  }

  #element() {
    const element = el("div", { className: "row", role: "option", id: `row-${this.#pool.length}` });
    for (const name of ["time", "topic", "text", "offset"]) element.append(el("span", { className: name }));
    this.#space.append(element);
    return element;
  }

  #scrolled() {
    if (!this.#isPaused) {
      if (this.#box.scrollTop > 4) this.#end ??= this.#next;
      else if (this.#selected === undefined) this.#end = undefined;
    }
    this.draw();
  }

  #key(event) {
    const { total, at } = this.#shown();
    const page = Math.max(1, Math.floor(this.#box.clientHeight / this.#rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.#selected !== undefined) return this.select(this.#selected, true);
    if (event.key === "Escape") return this.resume();
    const step = steps[event.key];
    if (step === undefined || total === 0) return;
    event.preventDefault();
    let place = -1;
    for (let near = 0; near < total && this.#selected !== undefined; near += 1) {
      if (at(near) === this.#selected) { place = near; break; }
    }
    place = Math.min(total - 1, Math.max(0, place < 0 ? 0 : place + step));
    this.select(at(place));
    const [top, height] = [place * this.#rowHeight, this.#box.clientHeight];
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    if (top + this.#rowHeight > this.#box.scrollTop + height) this.#box.scrollTop = top + this.#rowHeight - height;
  }
}

function fill(element, row, place, total, selected) {
  const [time, topic, text, offset] = element.children;
  element.hidden = false;
  if (element.dataset.number !== String(row.number)) {
    element.dataset.number = row.number;
    element.dataset.kind = row.kind;
    time.textContent = clock(row.time);
    topic.textContent = visible(row.topic.slice(0, 200));
    text.textContent = visible(row.text.slice(0, MOST_SHOWN));
    offset.textContent = row.position?.offset ?? "";
  }
  element.setAttribute("aria-selected", row.number === selected);
  element.setAttribute("aria-posinset", place + 1);
  element.setAttribute("aria-setsize", total);
}

function set(element, name, value) {
  if (element[name] !== value) element[name] = value;
}

/** How many of these ascending numbers are smaller. */
function bound(numbers, limit) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The text of a message is made when somebody looks at it. */
const LAZY_TEXT = {
  configurable: true,
  get() {
    const text = textOf(this.value);
    Object.defineProperty(this, "text", { value: text });
    return text;
  },
};

const KEPT = 10_000;
const OVER = 4;
const MOST_ELEMENTS = 64;
const MOST_SHOWN = 400;
const DRAW_EVERY = 80;
