// "Wrong? It is a …": a tester's word about one photo goes to the author, where the service keeps corrections.

import { act } from "./album.js";
import { ask } from "./service.js";
import { small } from "./shrink.js";

const NONE = ""; // of the classes

const byId = (id) => document.getElementById(id);
let photo = null;

export function start() {
  byId("correct").addEventListener("click", () => send(act.truth(photo)));
  byId("neither").addEventListener("click", () => send(NONE));
}

/** Show what can be said, or was, about the photo that is open. */
export function show(opened) {
  photo = opened;
  const truth = act.truth(photo);
  byId("correction").hidden = !photo.answer?.corrections;
  byId("correct").textContent = truth ? `Send: it is ${truth}` : "Choose above what it really is";
  byId("correct").disabled = !truth || photo.isSending;
  byId("neither").disabled = Boolean(photo.isSending);
  byId("correction-words").textContent = photo.correction ?? "";
}

async function send(label) {
  const asked = photo;
  tell(asked, "Sending…", true);
  try {
    const form = new FormData();
    form.append("images", await small(asked), "photo");
    if (label) form.append("label", label);
    const { kept } = await ask("corrections", { method: "POST", body: form });
    tell(asked, `Sent: ${kept}. Thank you.`);
  } catch (trouble) {
    tell(asked, trouble.message);
  }
}

function tell(asked, words, isSending = false) {
  Object.assign(asked, { correction: words, isSending });
  if (asked === photo) show(asked);
}
