// "Wrong? It is a …": a tester's word about one photo goes to the author, where the service keeps corrections.

import { say } from "./say.js";
import { ask, codeOf } from "./service.js";
import { keep } from "./store.js";
import { small } from "./resize.js";
import { truth } from "./truth.js";

const NONE = ""; // of the classes

const byId = (id) => document.getElementById(id);
let photo = null;

export function start() {
  byId("correct").addEventListener("click", () => truth(photo) && send(truth(photo)));
  byId("neither").addEventListener("click", () => send(NONE));
}

/** Show what can be said, or was, about the photo that is open. */
export function show(opened) {
  photo = opened;
  const label = truth(photo);
  byId("correction").hidden = !photo.answer?.corrections;
  byId("correct").textContent = label ? `Send: it is ${label}` : "Choose above what it really is";
  // A button that is disabled loses the focus, and the keyboard with it.
  byId("correct").setAttribute("aria-disabled", !label || Boolean(photo.isSending));
  byId("neither").setAttribute("aria-disabled", Boolean(photo.isSending));
  const { words, ...data } = photo.correction ?? { words: "" };
  say(byId("correction-words"), words, data);
}

async function send(label) {
  const asked = photo;
  if (asked.isSending) return;
  tell(asked, { words: "Sending…", code: "sending" }, true);
  try {
    const form = new FormData();
    form.append("images", await small(asked), "photo");
    if (label) form.append("label", label);
    const taken = await ask("corrections", { method: "POST", body: form });
    tell(asked, { words: `Sent: ${taken.label}. Thank you.`, code: "sent", label: label || "none" });
  } catch (trouble) {
    tell(asked, { words: trouble.message, code: codeOf(trouble) });
  }
}

function tell(asked, correction, isSending = false) {
  Object.assign(asked, { correction, isSending });
  if (correction.code === "sent") keep(asked);
  if (asked === photo) show(asked);
}
