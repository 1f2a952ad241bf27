// The site on the device: service_worker.js keeps all of its files, and a new version takes over when the page is opened.

import { say } from "./say.js";
import { t } from "./words.js";

const policy = self.trustedTypes?.createPolicy("site", { createScriptURL: String }); // for two scripts of the site's own
const SITE = new URL("../", import.meta.url);
let isAsked = false;

/** The address of a script of ours, as Trusted Types require it. */
export function trusted(url) {
  return policy ? policy.createScriptURL(url.href) : url;
}

/** Once the model is there, which service_worker.js then does not fetch again. */
export async function makeAvailableOffline() {
  const place = navigator.serviceWorker;
  if (!place || isAsked) return;
  isAsked = true;
  try {
    const registration = await place.register(trusted(new URL("service_worker.js", SITE)), { updateViaCache: "none" });
    if (!registration.active) await installed(registration.installing ?? registration.waiting);
    say(document.getElementById("offline"), t("works-offline"), { offline: true });
  } catch {
    isAsked = false; // no room, or a file that is missing: the page works without
  }
}

function installed(worker) {
  return new Promise((resolve, reject) => {
    const look = () => (worker.state === "activated" ? resolve() : worker.state === "redundant" && reject());
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Let a newer version that is already fetched take over, before anything of this one is used. Reloads the page if it does. */
export async function takeNewVersion() {
  const registration = await navigator.serviceWorker?.getRegistration(SITE.href).catch(() => null);
  registration?.update().catch(() => {}); // at once: browsers look later, and only where a page stays open
  if (!registration?.waiting) return;
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  registration.waiting.postMessage("take-over");
}
