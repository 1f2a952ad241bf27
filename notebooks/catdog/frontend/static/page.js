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

const byId = (id) => document.getElementById(id);
const COUNTED_EVERY = 100; // milliseconds
let scheduled = null;
let asking = false;
let canvasIsTold = false;
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
  gallery.add(photos);
  batch.enqueue(photos);
  if (photos.length) notes.push(...(await noteOnCanvas()));
  for (const file of labels) notes.push(await fieldTest.readLabels(file));
  note(...notes);
  if (labels.length) gallery.refreshAll();
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

function photoChanged(photo) {
  if (photo) gallery.refresh(photo);
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
  if (reason?.kind === "code") access.askFor(reason);
  else if (reason && access.isWanted()) access.tell(reason.code, reason.message);
  const shown = reason && reason.message && !access.isWanted();
  byId("trouble").hidden = !shown;
  say(byId("trouble").querySelector("p"), shown ? reason.message : "", shown ? { code: reason.code } : {});
  byId("open").hidden = !reason?.open;
  byId("open").href = reason?.open ?? "";
  byId("go-on").hidden = reason?.kind !== "cancelled";
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
  gallery.remove(photo);
  showTools();
}

function clear() {
  for (const photo of gallery.photos) batch.forget(photo);
  gallery.clear();
  note();
  showTools();
  byId("photos").focus();
}

function setTruth(photo, label) {
  photo.truth = label;
  gallery.refresh(photo);
  showTools();
}

function toggleTable() {
  const pressed = byId("as-table").getAttribute("aria-pressed") === "true";
  byId("as-table").setAttribute("aria-pressed", !pressed);
  gallery.refresh();
}
