/** What the user may do: a token, an API key, and the dialect to speak. Kept in memory, or in this tab if it is asked for. */

import { $ } from "./dom.js";

export class Access {
  token = "";
  key = "";
  dialect = "typed";
  #dialog = $("access");

  constructor({ onChange }) {
    this.#restore();
    $("open-access").addEventListener("click", () => this.open());
    $("access-cancel").addEventListener("click", () => this.#dialog.close());
    $("access-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const before = { ...this };
      this.token = $("token").value.trim();
      this.key = $("key").value.trim();
      this.dialect = document.querySelector("[name=dialect]:checked").value;
      this.#store($("remember").checked);
      this.#dialog.close();
      onChange({
        isOtherClient: before.token !== this.token || before.dialect !== this.dialect,
        isOtherKey: before.key !== this.key,
      });
    });
  }

  open(field = "token") {
    $("token").value = this.token;
    $("key").value = this.key;
    document.querySelector(`[name=dialect][value=${this.dialect}]`).checked = true;
    this.#dialog.showModal();
    $(field).focus();
  }

  // A sandboxed page has no storage: asking for it throws.
  #restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
      if (!kept) return;
      Object.assign(this, { token: String(kept.token), key: String(kept.key) });
      if (kept.dialect === "plain") this.dialect = "plain";
      $("remember").checked = true;
    } catch {}
  }

  #store(isAsked) {
    const { token, key, dialect } = this;
    try {
      if (isAsked) sessionStorage.setItem(NAME, JSON.stringify({ token, key, dialect }));
      else sessionStorage.removeItem(NAME);
    } catch {}
  }
}

const NAME = "hubcast-console-access";
