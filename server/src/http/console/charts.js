/** Charts on a canvas, and the series of numbers behind them: one number a second, the last five minutes. */

import { el } from "./dom.js";

/** The last numbers of something. A second without one is `NaN`, and a hole in the line. */
export class Series {
  #points = new Float64Array(POINTS).fill(NaN);
  #at = 0;

  push(value) {
    this.#points[this.#at % POINTS] = value;
    this.#at += 1;
  }

  /** The number of so many seconds ago. */
  ago(seconds) {
    return seconds < this.#at ? this.#points[(this.#at - 1 - seconds) % POINTS] : NaN;
  }

  /** How many seconds a chart shows: one minute at first, then all five. */
  get span() {
    return this.#at > MINUTE ? POINTS : MINUTE;
  }

  get summary() {
    const known = [...this.#points].filter((point) => !Number.isNaN(point));
    if (known.length === 0) return { now: NaN, mean: NaN, least: NaN, most: NaN };
    const mean = known.reduce((sum, point) => sum + point, 0) / known.length;
    return { now: this.ago(0), mean, least: Math.min(...known), most: Math.max(...known) };
  }
}

/** A chart of one series, with its last number in large. Nothing moves between two numbers, so no one has to ask for calm. */
export class Chart {
  series = new Series();
  #canvas = el("canvas", { "aria-hidden": "true" });
  #now = el("p", { className: "now" });
  #also = el("p", { className: "also" });
  #pointed;

  /** `base`: 1024 for bytes, whose round numbers are others. */
  constructor({ title, unit = "", format, base = 1 }) {
    Object.assign(this, { title, unit, format, base });
    this.element = el("section", { className: "chart" }, el("h3", {}, title), this.#now, this.#also, this.#canvas);
    this.#canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.#canvas.addEventListener("pointerleave", () => ((this.#pointed = undefined), ask(this)));
    new ResizeObserver(() => ask(this)).observe(this.#canvas);
    all.add(this);
  }

  push(value, also = "") {
    this.series.push(value);
    this.also = also;
    ask(this);
  }

  #point({ offsetX }) {
    this.#pointed = Math.round((1 - offsetX / this.#canvas.clientWidth) * (this.series.span - 1));
    ask(this);
  }

  drawNow() {
    const seconds = this.#pointed ?? 0;
    const small = el("small", {}, this.#pointed > 0 ? `${this.unit} ${seconds} s ago` : this.unit);
    this.#now.replaceChildren(this.format(this.series.ago(seconds)), small);
    this.#also.textContent = this.also ?? "";
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0) return;
    const scale = window.devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * scale)) this.#canvas.width = Math.round(width * scale);
    if (this.#canvas.height !== Math.round(height * scale)) this.#canvas.height = Math.round(height * scale);
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.#paint(pen, width, height);
  }

  #paint(pen, width, height) {
    const style = getComputedStyle(this.#canvas);
    // A probe resolves what depends on light and dark.
    const ink = (name) => ((this.#canvas.style.color = `var(${name})`), style.color);
    const [line, soft, accent] = [ink("--line"), ink("--soft"), ink("--accent")];
    const most = this.series.summary.most;
    const top = nice(Number.isNaN(most) ? 1 : most, this.base);
    const { span } = this.series;
    const bottom = height - 16;
    const [x, y] = [(ago) => width - 1 - (ago / (span - 1)) * (width - 2), (value) => bottom - (value / top) * (bottom - 8)];
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.strokeStyle = line;
    for (const value of [0, top / 2, top]) {
      pen.beginPath();
      pen.moveTo(0, Math.round(y(value)) + 0.5);
      pen.lineTo(width, Math.round(y(value)) + 0.5);
      pen.stroke();
    }
    pen.fillStyle = soft;
    pen.textBaseline = "bottom";
    pen.fillText(span === MINUTE ? "1 min ago" : "5 min ago", 0, height);
    pen.textAlign = "right";
    pen.fillText("now", width, height);
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.fillText(this.format(top), 2, y(top) + 2);
    for (const run of this.#runs(x, y)) {
      pen.beginPath();
      for (const [at, [left, up]] of run.entries()) at === 0 ? pen.moveTo(left, up) : pen.lineTo(left, up);
      pen.strokeStyle = accent;
      pen.lineWidth = 1.75;
      pen.lineJoin = "round";
      pen.stroke();
      pen.lineTo(run.at(-1)[0], bottom);
      pen.lineTo(run[0][0], bottom);
      pen.globalAlpha = 0.12;
      pen.fillStyle = accent;
      pen.fill();
      pen.globalAlpha = 1;
    }
    const marked = this.#pointed ?? 0;
    const value = this.series.ago(marked);
    if (Number.isNaN(value)) return;
    pen.fillStyle = accent;
    pen.beginPath();
    pen.arc(Math.min(width - 4, x(marked)), y(value), 3, 0, 7);
    pen.fill();
  }

  /** The parts of the line without a hole. */
  #runs(x, y) {
    const runs = [];
    let run = [];
    for (let ago = this.series.span - 1; ago >= -1; ago -= 1) {
      const value = ago < 0 ? NaN : this.series.ago(ago);
      if (!Number.isNaN(value)) run.push([x(ago), y(value)]);
      else if (run.length > 0) runs.push(run), (run = []);
    }
    return runs;
  }
}

/** All charts that have changed are drawn in one frame. */
function ask(chart) {
  if (waiting.size === 0) {
    requestAnimationFrame(() => {
      const now = [...waiting];
      waiting.clear();
      for (const one of now) one.drawNow();
    });
  }
  waiting.add(chart);
}

/** A round number that is not smaller. */
function nice(value, base) {
  if (base > 1 && value >= base) return base * nice(value / base, base);
  const unit = 10 ** Math.floor(Math.log10(value || 1));
  return unit * ([1, 2, 4, 5, 10].find((step) => step * unit >= value) ?? 10);
}

/** Light and dark have other colours. */
function drawAll() {
  for (const chart of all) if (chart.element.isConnected) ask(chart);
}

const POINTS = 300;
const MINUTE = 60;
const waiting = new Set();
const all = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
window.addEventListener("themechange", drawAll);
