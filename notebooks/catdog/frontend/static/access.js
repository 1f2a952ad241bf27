// The form for the access code, where the service asks for one.

import { code, codeIn, keepCode, useCode } from "./service.js";

const byId = (id) => document.getElementById(id);

/** `connect` is called with each new code. */
export function start(connect) {
  byId("access").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("code").focus();
    useCode(byId("code").value);
    // Something in between, or the same refusal would not be read out twice.
    byId("refusal").textContent = code ? "Asking the service…" : "A code is made of letters and digits.";
    if (code) connect();
  });
  window.addEventListener("hashchange", () => {
    if (!codeIn(location.hash)) return;
    useCode(location.hash);
    connect();
  });
}

export function isWanted() {
  return !byId("access").hidden;
}

/** However many requests were refused, once. */
export function askFor({ message, refusal }) {
  const wrong = refusal === "wrong" || code !== "";
  byId("refusal").textContent = wrong ? message : "";
  byId("code").setAttribute("aria-invalid", wrong);
  if (isWanted()) return;
  byId("access").hidden = false;
  byId("code").focus();
}

/** What else goes wrong while a code is checked is said beside it. */
export function say(message) {
  byId("refusal").textContent = message;
}

export function accepted() {
  keepCode();
  if (!isWanted()) return;
  if (byId("access").contains(document.activeElement)) byId("photos").focus();
  byId("access").hidden = true;
  byId("code").value = "";
}
