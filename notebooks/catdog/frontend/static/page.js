// The page: puts its parts together. What it says is in page.html, how it looks in page.css.

import { isInAnApp } from "./browsers.js";
import * as access from "./access.js";
import * as gallery from "./gallery.js";
import * as batch from "./batch.js";
import * as detail from "./detail.js";
import * as fieldTest from "./fieldtest.js";
import * as fileInput from "./file_input.js";
import * as progress from "./progress.js";
import { canvasIsTruthful } from "./resize.js";
import { saveCsv, saveJson } from "./save.js";
import { say } from "./say.js";
import { ask, code } from "./service.js";
import * as store from "./store.js";
import * as trouble from "./trouble.js";
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
let model = ""; // "<name>/<version>" of the one that the page speaks of

start();

function start() {
  Object.assign(batch.callbacks, { changed: photoChanged, halted: showTrouble, paused: progress.setBusy, connect });
  const retry = (photo) => batch.enqueue([photo]);
  Object.assign(gallery.callbacks, { open: detail.open, remove, retry, truth: fieldTest.truth });
  fileInput.listen(byId("drop"), ["photos", "camera", "folder", "archive"].map(byId), () => note({ code: "reading", text: "Reading…" }), take);
  detail.start(setTruth);
  access.start(batch.tryAgain);
  onClick("again", () => batch.tryAgain());
  onClick("cancel", cancel);
  onClick("go-on", () => batch.goOn());
  onClick("retry-all", () => batch.enqueue(gallery.photos.filter(gallery.mayRetry)));
  onClick("clear", clear);
  onClick("undo", undo);
  onClick("as-table", toggleTable);
  onClick("csv", saveCsv);
  onClick("json", saveJson);
  for (const id of ["show", "confidence", "sort"]) byId(id).addEventListener("change", () => gallery.refresh());
  byId("originals").addEventListener("change", () => (batch.settings.originals = byId("originals").checked));
  byId("tools").open = matchMedia("(min-width: 50rem)").matches; // on a phone, answers come first
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

async function take({ photos, labels, notes }) {
  await restored;
  gallery.add(photos);
  batch.enqueue(photos);
  photos.forEach(store.keep);
  if (photos.length) notes.push(...(await noteOnCanvas()));
  for (const file of labels) notes.push(await fieldTest.readLabels(file));
  note(...notes);
  if (labels.length) gallery.refreshAll();
  if (labels.length) gallery.photos.forEach(store.keep);
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
  const photos = await store.restore();
  if (!photos.length) return;
  showAgain(photos);
  const those = photos.length > 1 ? `${photos.length} photos are` : "One photo is";
  const text = `${those} still here from before. Clear removes them from this device.`;
  note({ code: "restored", photos: photos.length, text });
}

function showAgain(photos) {
  gallery.add(photos);
  photos.forEach(gallery.refresh);
  batch.enqueue(photos.filter((photo) => !hasEnded(photo)));
  showTools();
}

function hasEnded({ state }) {
  return state === "done" || state === "failed";
}

function photoChanged(photo) {
  if (photo) gallery.refresh(photo);
  if (photo && hasEnded(photo)) store.keep(photo);
  if (photo?.answer && photo.answer.model !== model) noticeModel();
  showTools();
}

/** What counts all photos: soon, but not for each of five hundred. */
function showTools() {
  scheduled ??= setTimeout(() => {
    scheduled = null;
    byId("tools").hidden = gallery.photos.length === 0;
    progress.show();
    fieldTest.show(detail.open);
    detail.refresh();
    gallery.refresh();
  }, COUNTED_EVERY);
}

/** Ask the service for its model. Throws ServiceError. */
async function connect() {
  const asked = code;
  const card = await ask("model");
  if (asked !== code) return; // another code is being tried by now
  model = `${card.name}/${card.version}`;
  say(byId("model"), describe(card), { model, classes: card.classes.join(", ") });
  fieldTest.setClasses(card.classes);
  access.accepted();
  gallery.refreshAll();
}

const BY = { test: "test photos right", "cross-validation": "photos right, by cross-validation" };

function describe(card) {
  const by = card.judged_by ?? (card.metrics?.["cross-validation"] ? "cross-validation" : "test");
  const judged = card.metrics?.[by];
  const accuracy = judged?.photos ? ` ${gallery.percent(judged.accuracy)} of ${judged.photos} ${BY[by]}.` : "";
  const date = card.created && new Date(card.created).toLocaleDateString(undefined, { dateStyle: "medium" });
  const warning = (card.synthetic ?? card.drawings) ? " Trained on drawings only: it knows nothing of real photos." : "";
  const name = `Model ${card.name}${date ? ` of ${date}` : ""}, version ${card.version}.`;
  return `It can tell: ${card.classes.join(", ")}. ${name}${accuracy}${warning}`;
}

/** Ask once, however many photos another model has answered. */
async function noticeModel() {
  if (asking) return;
  asking = true;
  const before = model;
  await connect().catch(() => {}); // the next photo will tell what is wrong
  asking = false;
  if (!before || model === before) return;
  const text = `The model has changed: from now on ${model} answers. Each photo, when opened, says which model answered it.`;
  note({ code: "model-changed", model, text });
}

/** `reason` is null when it goes on. */
function showTrouble(reason) {
  trouble.show(reason);
  if (reason && !model) say(byId("model"), "");
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
  cleared = [...gallery.photos];
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
  const again = (photo) => ({ ...photo, removed: false, row: null, state: hasEnded(photo) ? photo.state : "" });
  const photos = cleared.map(again);
  endUndo();
  showAgain(photos);
  photos.forEach(store.keep);
  progress.show(); // or Clear is still hidden
  byId("clear").focus();
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
