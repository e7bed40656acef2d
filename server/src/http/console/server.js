/** The charts of the server, and the same as a table. */

import { Chart } from "./charts.js";
import { $, bytes, count, duration, el, millis, rate, visible } from "./dom.js";

export class ServerView {
  #open = [];
  #keyed = [];
  #before;
  /** The charts on the page. */
  #shown = [];

  constructor() {
    this.connections = add(this.#keyed, { title: "Connections", format: count });
    this.publications = add(this.#keyed, { title: "Publications", unit: "/s", format: rate });
    this.deliveries = add(this.#keyed, { title: "Deliveries", unit: "/s", format: rate });
    this.waiting = add(this.#keyed, { title: "Waiting for slow clients", format: bytes, base: 1024 });
    this.memory = add(this.#keyed, { title: "Memory", format: bytes, base: 1024 });
    this.refusals = add(this.#keyed, { title: "Refusals", unit: "/s", format: rate });
    this.trip = add(this.#open, { title: "Round trip", format: millis });
    this.heard = add(this.#open, { title: "Heard by this page", unit: "/s", format: rate });
    this.showKeyed(false);
  }

  /** What needs a key is there only with one. */
  showKeyed(isShown) {
    this.#before = undefined;
    this.#shown = isShown ? [...this.#keyed, ...this.#open] : this.#open;
    $("charts").replaceChildren(...this.#shown.map(({ element }) => element));
    if (!isShown) $("facts").textContent = "";
  }

  /** An answer of `/api/stats`; `undefined` for a second without one. */
  stats(now) {
    const before = this.#before;
    this.#before = now && { ...now, at: performance.now() };
    if (!now) return this.#keyed.forEach((chart) => chart.push(NaN));
    const seconds = before && (performance.now() - before.at) / 1000;
    // A counter that went back belongs to a server that was started anew.
    const aSecond = (name) => (before && now[name] >= before[name] ? (now[name] - before[name]) / seconds : NaN);
    this.connections.push(now.sessions, `${count(now.channels)} topics in use`);
    this.publications.push(aSecond("publications"), `${count(now.publications)} in all`);
    this.deliveries.push(aSecond("deliveries"), `${count(now.deliveries)} in all`);
    this.waiting.push(now.waiting_bytes, now.waiting_bytes > 0 ? "see who, in Clients" : "nobody is slow");
    this.refusals.push(aSecond("refusals"), `${count(now.refusals)} in all`);
    this.memory.push(now.memory_bytes ?? NaN, `${bytes(now.history_bytes)} of it in ${count(now.histories)} histories`);
    const workers = now.workers === 1 ? "1 worker" : `${count(now.workers)} workers`;
    $("facts").textContent = visible(`${now.server} · up ${duration(now.uptime_seconds)} · ${workers}`);
  }

  /** The table is for those who cannot see a chart, so it is not read out with each second. */
  table() {
    if (!$("numbers").closest("details").open) return;
    const rows = this.#shown.map((chart) => {
      const { now, mean, least, most } = chart.series.summary;
      return el("tr", {}, el("th", { scope: "row" }, chart.title), ...[now, mean, least, most].map((one) => el("td", {}, `${chart.format(one)}${chart.unit}`)));
    });
    $("numbers").replaceChildren(...rows);
  }
}

function add(list, options) {
  const chart = new Chart(options);
  list.push(chart);
  return chart;
}
