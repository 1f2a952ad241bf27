// From the first photo on: what is shown of the photos and their answers, and what can be done with them.

import * as batch from "./batch.js";
import * as detail from "./detail.js";
import * as fieldTest from "./fieldtest.js";
import * as filters from "./filters.js";
import * as gallery from "./gallery.js";
import { mayRetry, photos } from "./photos.js";
import * as progress from "./progress.js";
import { saveCsv, saveJson } from "./save.js";
import { say } from "./say.js";
import * as store from "./store.js";
import { model, readLabels } from "./truth.js";
import * as wakeLock from "./wake_lock.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);
const COUNTED_EVERY = 100; // milliseconds
const UNDO_FOR = 10_000; // milliseconds
let note = () => {};
let scheduled = null;
let asking = false;
let cleared = []; // photos, while that can be undone
let forgetting = null; // a timer, until it cannot

/** `tell(…notes)` says something to the tester: {code, text, …} each. */
export function start(tell) {
  note = tell;
  Object.assign(batch.callbacks, { changed: photoChanged, paused: progress.setBusy });
  const retry = (photo) => batch.enqueue([photo]);
  Object.assign(gallery.callbacks, { open: detail.open, remove, retry });
  store.callbacks.written = showTools;
  detail.start(setTruth);
  filters.start(() => gallery.refresh());
  onClick("cancel", cancel);
  onClick("go-on", () => batch.goOn());
  onClick("retry-all", () => batch.enqueue(photos.filter(mayRetry)));
  onClick("ask-again", askAgain);
  onClick("clear", clear);
  onClick("undo", undo);
  onClick("as-table", toggleTable);
  onClick("csv", () => saveCsv().then(noteSaved));
  onClick("json", () => saveJson().then(noteSaved));
  const wide = matchMedia("(min-width: 50rem)").matches;
  for (const id of ["tools", "mistakes"]) byId(id).open = wide; // on a phone, answers come first
  wakeLock.start();
}

function onClick(id, action) {
  byId(id).addEventListener("click", action);
}

export function add(added) {
  gallery.add(added);
  batch.enqueue(added);
  added.forEach(store.keep);
  showTools();
}

/** Read CSV files of labels; returns what is to be said about them. */
export async function readTables(files) {
  const notes = [];
  const lost = () => ({ code: "not-loaded", text: t("not-loaded") });
  for (const file of files) notes.push(await readLabels(file, photos).catch(lost));
  if (!files.length) return notes;
  gallery.refreshAll();
  photos.forEach(store.keep);
  showTools();
  return notes;
}

/** Photos that were here before, perhaps with answers. */
export function showAgain(again) {
  gallery.add(again);
  again.forEach(gallery.refresh);
  batch.enqueue(again.filter((photo) => !hasEnded(photo)));
  showTools();
}

/** The model, or the way to it, is another one. */
export function showModel() {
  gallery.refreshAll();
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
    showCount();
    progress.show();
    filters.show();
    if (!asking) fieldTest.show(detail.open); // whose it is will be clear in a moment
    detail.refresh();
    gallery.refresh();
  }, COUNTED_EVERY);
}

/** What a first photo needs room for, and a second one makes sense of. */
function showCount() {
  const count = photos.length;
  document.body.dataset.photos = Math.min(count, 2);
  document.querySelector('label[for="photos"]').textContent = t(count ? "add-photos" : "choose-photos");
  byId("tools").hidden = count === 0;
}

/** Ask once, however many photos another model has answered. */
async function noticeModel() {
  if (asking) return;
  asking = true;
  const before = model.id;
  await batch.callbacks.connect().catch(() => {}); // the next photo will tell what is wrong
  asking = false;
  if (!before || model.id === before) return;
  note({ code: "model-changed", model: model.id, text: t("model-changed", { model: model.id }) });
}

/** `name` is that of a file, or "" where the tester sees what has become of it. */
function noteSaved(name) {
  if (name) note({ code: "saved", file: name, text: t("saved", { name }) });
}

function cancel() {
  batch.cancel();
  byId("go-on").focus();
}

function remove(photo) {
  forget([photo]);
  gallery.remove(photo);
  showTools();
}

function clear() {
  forget([...photos]);
  gallery.clear();
  note();
  showTools();
  byId("photos").focus();
}

/** At once also from the device; what can be undone is in this tab alone. */
function forget(these) {
  cleared.push(...these);
  these.forEach(batch.forget);
  store.forget(these);
  say(byId("cleared").querySelector("p"), t("cleared", { count: cleared.length }), { photos: cleared.length });
  byId("cleared").hidden = false;
  forgetLater();
}

function forgetLater() {
  clearTimeout(forgetting);
  const isWanted = () => byId("undo").matches(":focus") || byId("detail").hasAttribute("open"); // which covers it
  forgetting = setTimeout(() => (isWanted() ? forgetLater() : endUndo()), UNDO_FOR);
}

function endUndo() {
  clearTimeout(forgetting);
  byId("cleared").hidden = true;
  cleared = [];
}

function undo() {
  // Copies, since requests that are under way take the cleared ones for removed.
  const copy = (photo) => ({
    ...photo, removed: false, row: null, isSending: false, state: hasEnded(photo) ? photo.state : "",
    correction: photo.isSending ? null : photo.correction,
  });
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
