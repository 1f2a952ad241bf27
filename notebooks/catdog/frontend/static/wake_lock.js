// While photos are sent, the screen stays on: a phone that locks itself stops the requests.

let wanted = false;
let asking = false;
let lock = null;

export function start() {
  document.addEventListener("visibilitychange", ask); // a hidden page loses the lock
}

export function keepAwake(want) {
  wanted = want;
  if (want) ask();
  else release();
}

async function ask() {
  if (!wanted || asking || document.hidden || (lock && !lock.released)) return;
  asking = true;
  lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null; // refused where the battery is low
  asking = false;
  if (!wanted) release();
}

function release() {
  lock?.release().catch(() => {});
  lock = null;
}
