// The page: puts its parts together. What it says is in page.html, how it looks in page.css.

import { isInAnApp } from "./browsers.js";
import * as access from "./access.js";
import * as gallery from "./gallery.js";
import * as batch from "./batch.js";
import * as detail from "./detail.js";
import * as fieldTest from "./fieldtest.js";
import * as fileInput from "./file_input.js";
import * as filters from "./filters.js";
import { describe } from "./model.js";
import { mayRetry, photos } from "./photos.js";
import * as progress from "./progress.js";
import { canvasIsTruthful } from "./resize.js";
import { saveCsv, saveJson } from "./save.js";
import { say } from "./say.js";
import { ask, code } from "./service.js";
import * as store from "./store.js";
import * as trouble from "./trouble.js";
import { model, readLabels, setModel } from "./truth.js";
import * as wakeLock from "./wake_lock.js";

const byId = (id) => document.getElementById(id);
const COUNTED_EVERY = 100; // milliseconds
const UNDO_FOR = 10_000; // milliseconds
const RESTORED_WITHIN = 3_000; // milliseconds
let scheduled = null;
let asking = false;
let canvasIsTold = false;
let cleared = []; // photos, while that can be undone
let forgetting = null; // a timer, until it cannot
let restored = null; // a promise: photos of before come before new ones

start();

function start() {
  Object.assign(batch.callbacks, { changed: photoChanged, halted: showTrouble, paused: progress.setBusy, connect });
  const retry = (photo) => batch.enqueue([photo]);
  Object.assign(gallery.callbacks, { open: detail.open, remove, retry });
  store.callbacks.written = showTools;
  fileInput.listen(byId("drop"), ["photos", "camera", "folder", "archive"].map(byId), () => note({ code: "reading", text: "Reading…" }), take);
  detail.start(setTruth);
  access.start(batch.tryAgain);
  onClick("again", () => batch.tryAgain());
  onClick("cancel", cancel);
  onClick("go-on", () => batch.goOn());
  onClick("retry-all", () => batch.enqueue(photos.filter(mayRetry)));
  onClick("ask-again", askAgain);
  onClick("clear", clear);
  onClick("undo", undo);
  onClick("as-table", toggleTable);
  onClick("csv", saveCsv);
  onClick("json", saveJson);
  filters.start(() => gallery.refresh());
  byId("originals").addEventListener("change", () => (batch.settings.originals = byId("originals").checked));
  const wide = matchMedia("(min-width: 50rem)").matches;
  for (const id of ["tools", "mistakes"]) byId(id).open = wide; // on a phone, answers come first
  window.addEventListener("beforeunload", askBeforeLeaving);
  byId("in-app").hidden = !isInAnApp();
  canvasIsTruthful().then((truthful) => truthful || sendOriginals());
  batch.listenForReturn();
  wakeLock.start();
  const longEnough = new Promise((done) => setTimeout(done, RESTORED_WITHIN)); // some versions of Safari never answer
  restored = Promise.race([restore(), longEnough]);
  batch.tryAgain();
  if (byId("model").dataset.code === "too-old") say(byId("model"), "Looking for the model…"); // it was only late
  document.documentElement.dataset.started = ""; // old.js looks for this mark
}

function onClick(id, action) {
  byId(id).addEventListener("click", action);
}

function askBeforeLeaving(event) {
  if (!batch.isWorking()) return;
  event.preventDefault();
  event.returnValue = true; // for Chrome before 119
}

/** `notes` are {code, text, …}: what is said, and what it is about. */
function note(...notes) {
  const about = notes.map(({ text, ...rest }) => rest);
  const data = Object.assign({}, ...about, { code: about.map(({ code }) => code).join(" ") });
  say(byId("notice"), notes.map(({ text }) => text).join(" "), data);
}

async function take({ photos: added, labels, notes }) {
  await restored;
  gallery.add(added);
  batch.enqueue(added);
  added.forEach(store.keep);
  if (added.length) notes.push(...(await noteOnCanvas()));
  for (const file of labels) notes.push(await readLabels(file, photos));
  note(...notes);
  if (labels.length) gallery.refreshAll();
  if (labels.length) photos.forEach(store.keep);
  showTools();
}

function sendOriginals() {
  Object.assign(byId("originals"), { checked: true, disabled: true });
  batch.settings.originals = true;
}

/** Once. */
async function noteOnCanvas() {
  if (canvasIsTold || (await canvasIsTruthful())) return [];
  canvasIsTold = true;
  const text = "For privacy, this browser changes what a page draws: photos are sent as they are, in full size.";
  return [{ code: "canvas-changed", text }];
}

/** Show again what was here before the page was loaded again, and send what has no answer. */
async function restore() {
  const again = await store.restore();
  if (!again.length) return;
  showAgain(again);
  const those = again.length > 1 ? `${again.length} photos are` : "One photo is";
  const text = `${those} still here from before. Clear removes them from this device.`;
  note({ code: "restored", photos: again.length, text });
}

function showAgain(again) {
  gallery.add(again);
  again.forEach(gallery.refresh);
  batch.enqueue(again.filter((photo) => !hasEnded(photo)));
  showTools();
}

function hasEnded({ state }) {
  return state === "done" || state === "failed";
}

function photoChanged(photo) {
  if (photo) gallery.refresh(photo);
  if (photo && hasEnded(photo)) store.keep(photo);
  if (photo?.answer && photo.answer.model !== model.id) noticeModel();
  showTools();
}

/** What counts all photos: soon, but not for each of five hundred. */
function showTools() {
  scheduled ??= setTimeout(() => {
    scheduled = null;
    byId("tools").hidden = photos.length === 0;
    progress.show();
    filters.show();
    if (!asking) fieldTest.show(detail.open); // whose it is will be clear in a moment
    detail.refresh();
    gallery.refresh();
  }, COUNTED_EVERY);
}

/** Ask the service for its model. Throws ServiceError. */
async function connect() {
  const asked = code;
  const card = await ask("model");
  if (asked !== code) return; // another code is being tried by now
  setModel({ id: `${card.name}/${card.version}`, classes: card.classes });
  describe(card);
  access.accepted();
  gallery.refreshAll();
  showTools();
}

/** Ask once, however many photos another model has answered. */
async function noticeModel() {
  if (asking) return;
  asking = true;
  const before = model.id;
  await connect().catch(() => {}); // the next photo will tell what is wrong
  asking = false;
  if (!before || model.id === before) return;
  const text =
    `The model has changed: from now on ${model.id} answers. ` +
    "Each photo, when opened, says which model answered it.";
  note({ code: "model-changed", model: model.id, text });
}

/** `reason` is null when it goes on. */
function showTrouble(reason) {
  trouble.show(reason);
  if (reason && !model.id) say(byId("model"), "");
  gallery.refreshAll();
  showTools();
}

function cancel() {
  batch.cancel();
  byId("go-on").focus();
}

function remove(photo) {
  batch.forget(photo);
  store.forget([photo]);
  gallery.remove(photo);
  showTools();
}

/** At once also from the device; what can be undone is in this tab alone. */
function clear() {
  cleared = [...photos];
  for (const photo of cleared) batch.forget(photo);
  store.forget(cleared);
  gallery.clear();
  note();
  const those = cleared.length > 1 ? `${cleared.length} photos were` : "One photo was";
  const words = `${those} cleared from this page and this device.`;
  say(byId("cleared").querySelector("p"), words, { photos: cleared.length });
  byId("cleared").hidden = false;
  forgetLater();
  showTools();
  byId("photos").focus();
}

function forgetLater() {
  clearTimeout(forgetting);
  forgetting = setTimeout(() => (byId("undo").matches(":focus") ? forgetLater() : endUndo()), UNDO_FOR);
}

function endUndo() {
  clearTimeout(forgetting);
  byId("cleared").hidden = true;
  cleared = [];
}

function undo() {
  // Copies, since requests that are under way take the cleared ones for removed.
  const copy = (photo) => ({ ...photo, removed: false, row: null, state: hasEnded(photo) ? photo.state : "" });
  const again = cleared.map(copy);
  endUndo();
  showAgain(again);
  again.forEach(store.keep);
  progress.show(); // or Clear is still hidden
  byId("clear").focus();
}

function askAgain() {
  byId("status").focus();
  batch.enqueue(fieldTest.outdated());
}

function setTruth(photo, label) {
  photo.truth = label;
  store.keep(photo);
  gallery.refresh(photo);
  showTools();
}

function toggleTable() {
  const pressed = byId("as-table").getAttribute("aria-pressed") === "true";
  byId("as-table").setAttribute("aria-pressed", !pressed);
  gallery.refresh();
}
