// Sending: a few photos a request, a few requests at a time; nothing is lost, nothing that was answered is sent again.

import { ask, isHere, slugOf, worthAnotherTry } from "./service.js";
import { bytesOf } from "./browsers.js";
import { needsPicture, seen } from "./resize.js";
import { keepPicture } from "./thumbnails.js";
import { problem, t } from "./words.js";

const WORKERS = 3; // requests at a time
const PHOTOS_PER_REQUEST = isHere ? { fewest: 1, most: 1 } : { fewest: 4, most: 16 }; // few until answers come, and after trouble
const BYTES_PER_REQUEST = 16e6; // below what the service takes at once
const ATTEMPTS = 3;
const PROBE_AFTER = [2, 4, 8, 15, 30, 60]; // seconds, while the link is lost
const HIDDEN_PAUSE = 15; // seconds until a hidden page sends again what broke off

const waiting = []; // photos, in the order in which they came
const underway = new Map(); // photo → AbortController of its request
let photosPerRequest = PHOTOS_PER_REQUEST.fewest;
let workers = 0;
let trouble = null; // why nothing is sent, if so
let pause = null; // a promise, while the service is busy
let returning = null; // a timer, while the link is lost
let returns = 0; // when it ends, in milliseconds since 1970
let lastHidden = 0; // the same, of when nobody looked at the page

/** Set by the page. `changed(photo)`: its state or answer is another one; `halted(trouble)`: null when it goes on. */
export const callbacks = { changed() {}, halted() {}, paused() {}, connect: async () => {} };
export const settings = { originals: false };

/**
 * Photos have `number`, `name`, `size` and `open`; here they get `state`, and `answer`, or `code` and `why` there is
 * none and whether another try may help (`retryable`).
 */
export function enqueue(photos) {
  const idle = photos.filter(({ state }) => state !== "waiting" && state !== "sending");
  for (const photo of idle) Object.assign(photo, { answer: null, heatmaps: null, code: "", why: "", attempts: 0, alone: false });
  putBack(idle);
  if (trouble?.kind === "cancelled") goOn();
  else work();
}

/** Forget a photo, wherever it is. */
export function forget(photo) {
  photo.removed = true;
  const place = waiting.indexOf(photo);
  if (place >= 0) waiting.splice(place, 1);
  const request = underway.get(photo);
  underway.delete(photo);
  if (request && ![...underway.values()].includes(request)) request.abort();
}

export function cancel() {
  halt({ kind: "cancelled", message: "" });
  for (const request of new Set(underway.values())) request.abort();
}

/** Send nothing any more, because of `reason`, until `goOn`; where that may pass, see now and then whether it has. */
export function halt(reason, times = 0) {
  trouble = reason;
  clearTimeout(returning);
  if (mayPass(reason)) probeLater(times, reason.seconds || undefined);
  callbacks.halted(reason);
}

function mayPass(reason) {
  return reason !== null && !["cancelled", "code", "hopeless"].includes(reason.kind);
}

export function goOn() {
  clearTimeout(returning);
  trouble = null;
  callbacks.halted(null);
  work();
}

/** Nothing is sent, because of trouble or because the tester has cancelled. */
export function isHalted() {
  return trouble !== null;
}

/** When the link is tried again, in milliseconds since 1970; 0 while it is being tried. */
export function nextTry() {
  return returns;
}

export function isWorking() {
  return underway.size > 0 || (waiting.length > 0 && !trouble);
}

/** See whether the link is back; if it is, go on. */
export async function tryAgain(times = 0) {
  clearTimeout(returning);
  returns = 0;
  try {
    await callbacks.connect();
    if (trouble) goOn();
  } catch (again) {
    halt(again, times + 1);
  }
}

function probeLater(times, seconds = PROBE_AFTER[Math.min(times, PROBE_AFTER.length - 1)]) {
  // A tab that nobody looks at does not use up the link's requests.
  returns = Date.now() + 1000 * seconds;
  returning = setTimeout(() => (document.hidden ? probeLater(times) : tryAgain(times)), 1000 * seconds);
}

export function listenForReturn() {
  const now = () => mayPass(trouble) && !document.hidden && tryAgain();
  window.addEventListener("online", now);
  document.addEventListener("visibilitychange", now); // back from the link's own page, for one
  document.addEventListener("visibilitychange", () => (lastHidden = Date.now()));
}

function work() {
  while (workers < WORKERS && waiting.length && !trouble && !pause) worker();
}

async function worker() {
  workers += 1;
  while (waiting.length && !trouble) {
    if (pause) await pause;
    else await send(nextChunk());
  }
  workers -= 1;
}

function nextChunk() {
  const chunk = [];
  let bytes = 0;
  while (waiting.length && chunk.length < photosPerRequest) {
    const { size, alone } = waiting[0];
    bytes += settings.originals ? size : Math.min(size, 1e6);
    if (chunk.length && (alone || chunk[0].alone || bytes > BYTES_PER_REQUEST)) break;
    chunk.push(waiting.shift());
  }
  return chunk;
}

async function send(chunk) {
  const request = new AbortController();
  const began = Date.now();
  for (const photo of chunk) {
    underway.set(photo, request);
    setState(photo, "sending");
  }
  const { form, photos } = await packed(chunk);
  try {
    if (!photos.length) return;
    const { model, corrections, predictions } = await ask("predict", { method: "POST", body: form, signal: request.signal });
    photos.forEach((photo, i) => applyResult(photo, { model, corrections }, predictions[i]));
    photosPerRequest = Math.min(2 * photosPerRequest, PHOTOS_PER_REQUEST.most);
  } catch (reason) {
    const interrupted = document.hidden || lastHidden >= began;
    afterTrouble(photos.filter((photo) => !photo.removed), reason, interrupted);
  } finally {
    for (const photo of chunk) if (underway.get(photo) === request) underway.delete(photo);
    callbacks.changed(null);
  }
}

async function packed(chunk) {
  const form = new FormData();
  const photos = [];
  for (const photo of chunk) {
    try {
      let file = await (settings.originals ? photo.open() : seen(photo));
      if (photo.attempts) file = new Blob([await bytesOf(file)], { type: file.type }); // one that is gone looks like a broken connection
      form.append("images", file, photo.name);
      if (needsPicture(photo, file)) form.set("thumbnails", "1");
      photos.push(photo);
    } catch (error) {
      fail(photo, "file-unreadable", error.name === "Error" ? error.message : t("file-unreadable"), false);
    }
  }
  return { form, photos };
}

function applyResult(photo, said, { error, thumbnail, ...answer }) {
  if (error) return fail(photo, slugOf(error), problem(slugOf(error), error.detail), worthAnotherTry(error.status, slugOf(error)));
  keepPicture(photo, thumbnail);
  photo.answer = { ...answer, ...said };
  setState(photo, "done");
}

/** `interrupted`: the page was hidden meanwhile, and a phone stops the requests of a hidden page. */
function afterTrouble(photos, reason, interrupted) {
  photosPerRequest = PHOTOS_PER_REQUEST.fewest;
  if (interrupted && reason.code === "connection-broken") {
    putBack(photos);
    return waitUntilSeen();
  }
  if (reason.kind === "refused" || reason.kind === "broken-off") return retryAlone(photos, reason);
  putBack(photos);
  if (reason.kind === "busy") waitFor(reason);
  else if (reason.kind !== "cancelled" && !trouble) halt(reason);
}

/** One photo may be to blame: those that were sent together are sent once more, each alone. */
function retryAlone(photos, { kind, code, message, status }) {
  for (const photo of photos) {
    photo.attempts += 1;
    const hopeless = photos.length === 1 && (kind === "refused" || photo.attempts >= ATTEMPTS);
    if (hopeless) fail(photo, code, message, worthAnotherTry(status, code));
    else putBack([Object.assign(photo, { alone: true })]);
  }
}

function putBack(photos) {
  for (const photo of photos) setState(photo, "waiting");
  waiting.push(...photos);
  waiting.sort((a, b) => a.number - b.number);
}

function waitFor({ message, code, seconds }) {
  callbacks.paused({ message, code, seconds });
  pause ??= new Promise((done) => setTimeout(done, 1000 * seconds)).then(resume);
}

/** Or for a while: on a computer, a hidden page goes on sending. */
function waitUntilSeen() {
  if (!document.hidden) return;
  const seen = new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
  const later = new Promise((done) => setTimeout(done, 1000 * HIDDEN_PAUSE));
  pause ??= Promise.race([seen, later]).then(resume);
}

function resume() {
  pause = null;
  callbacks.paused({});
  work();
}

function fail(photo, code, why, retryable) {
  Object.assign(photo, { code, why, retryable });
  setState(photo, "failed");
}

function setState(photo, state) {
  photo.state = state;
  callbacks.changed(photo);
}
