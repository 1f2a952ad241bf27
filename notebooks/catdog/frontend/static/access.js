// The form for the access code, where the service asks for one.

import { say } from "./say.js";
import { code, codeIn, keepCode, useCode } from "./service.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);

/** `connect` is called with each new code. */
export function start(connect) {
  byId("access").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("code").focus();
    useCode(byId("code").value);
    // Something in between, or the same refusal would not be read out twice.
    if (code) tell("asking", t("asking"));
    else tell("code-characters", t("code-characters"));
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
export function askFor({ code: reason, message, refusal }) {
  const wrong = refusal === "wrong" || code !== "";
  if (wrong) tell(reason, message);
  else say(byId("refusal"), "");
  byId("code").setAttribute("aria-invalid", wrong);
  if (isWanted()) return;
  byId("access").hidden = false;
  byId("code").focus();
}

/** What else goes wrong while a code is checked is said beside it. */
export function tell(reason, message) {
  say(byId("refusal"), message, { code: reason });
}

export function accepted() {
  keepCode();
  if (!isWanted()) return;
  if (byId("access").contains(document.activeElement)) byId("photos").focus();
  byId("access").hidden = true;
  byId("code").value = "";
}
