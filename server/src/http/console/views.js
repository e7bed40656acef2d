/** The tabs, and light and dark. */

import { $ } from "./dom.js";

export class Views {
  #tabs = [...document.querySelectorAll("[role=tab]")];
  #onChange;

  constructor({ onChange }) {
    this.#onChange = onChange;
    for (const tab of this.#tabs) {
      tab.addEventListener("click", () => this.show(tab.dataset.view));
      tab.addEventListener("keydown", (event) => this.#key(event, tab));
    }
    theme();
  }

  get current() {
    return document.body.dataset.view;
  }

  show(view) {
    document.body.dataset.view = view;
    for (const tab of this.#tabs) {
      const isCurrent = tab.dataset.view === view;
      tab.setAttribute("aria-selected", isCurrent);
      tab.tabIndex = isCurrent ? 0 : -1;
    }
    // On a telephone the form that publishes has a tab of its own; it is a part of the live view.
    const section = view === "publish" ? "live" : view;
    for (const one of document.querySelectorAll(".view")) one.hidden = one.id !== section;
    this.#onChange(view);
  }

  #key(event, tab) {
    const seen = this.#tabs.filter((one) => one.offsetParent !== null);
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = seen.indexOf(tab) + step;
    const next = seen[Number.isFinite(at) ? (at + seen.length) % seen.length : at < 0 ? 0 : seen.length - 1];
    next.focus();
    this.show(next.dataset.view);
  }
}

function theme() {
  const order = ["system", "light", "dark"];
  let at = Math.max(0, order.indexOf(stored()));
  const apply = () => {
    if (order[at] === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = order[at];
    $("theme").setAttribute("aria-label", `Colours: ${order[at] === "system" ? "as the system" : order[at]}`);
    $("theme").title = $("theme").getAttribute("aria-label");
    window.dispatchEvent(new Event("themechange"));
  };
  $("theme").addEventListener("click", () => {
    at = (at + 1) % order.length;
    try {
      localStorage.setItem(NAME, order[at]);
    } catch {}
    apply();
  });
  apply();
}

function stored() {
  try {
    return localStorage.getItem(NAME) ?? "system";
  } catch {
    return "system";
  }
}

const NAME = "hubcast-console-theme";
