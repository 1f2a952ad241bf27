// What is in the way of sending, in words, and when it is tried again.

import * as access from "./access.js";
import { nextTry } from "./batch.js";
import { photos } from "./photos.js";
import { say } from "./say.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);
let ticking = null;

/** `reason` is null when it goes on. */
export function show(reason) {
  if (reason?.kind === "code") access.askFor(reason);
  else if (reason && access.isWanted()) access.tell(reason.code, reason.message);
  const shown = reason && reason.message && !access.isWanted();
  byId("trouble").hidden = !shown;
  say(byId("trouble").querySelector("p"), shown ? reason.message : "", shown ? { code: reason.code } : {});
  byId("open").hidden = !reason?.open;
  byId("open").href = reason?.open ?? "";
  byId("go-on").hidden = reason?.kind !== "cancelled";
  const isHopeless = reason?.kind === "hopeless";
  byId("again").hidden = byId("trying").hidden = isHopeless;
  clearInterval(ticking);
  if (!shown || isHopeless) return;
  ticking = setInterval(countDown, 1000);
  countDown();
}

/** Apart from the alert, or a screen reader would read it out each second. */
function countDown() {
  const unsent = photos.filter(({ state }) => state === "waiting").length;
  const seconds = Math.max(0, Math.ceil((nextTry() - Date.now()) / 1000));
  const again = seconds ? t("trying-again", { seconds }) : t("trying-now");
  const words = unsent ? `${t("photos-kept", { count: unsent })} ${again}` : again;
  say(byId("trying"), words, { photos: unsent, seconds });
}
