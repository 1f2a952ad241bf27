// The page: puts its parts together. What it says is in page.html, how it looks in page.css.

import * as access from "./access.js";
import * as gallery from "./gallery.js";
import * as batch from "./batch.js";
import * as detail from "./detail.js";
import * as fieldTest from "./fieldtest.js";
import * as fileInput from "./file_input.js";
import * as filters from "./filters.js";
import { describe } from "./model.js";
import { photos } from "./photos.js";
import * as progress from "./progress.js";
import { saveCsv, saveJson } from "./save.js";
import { say } from "./say.js";
import { ask, code } from "./service.js";
import { model, readLabels, setModel } from "./truth.js";

const byId = (id) => document.getElementById(id);
const COUNTED_EVERY = 100; // milliseconds
let scheduled = null;
let asking = false;

start();

function start() {
  Object.assign(batch.callbacks, { changed: photoChanged, halted: showTrouble, paused: progress.setBusy, connect });
  const retry = (photo) => batch.enqueue([photo]);
  Object.assign(gallery.callbacks, { open: detail.open, remove, retry });
  fileInput.listen(byId("drop"), ["photos", "camera", "folder", "archive"].map(byId), () => note({ code: "reading", text: "Reading…" }), take);
  detail.start(setTruth);
  access.start(batch.tryAgain);
  onClick("again", () => batch.tryAgain());
  onClick("cancel", cancel);
  onClick("go-on", () => batch.goOn());
  onClick("retry-all", () => batch.enqueue(photos.filter(({ state }) => state === "failed")));
  onClick("ask-again", askAgain);
  onClick("clear", clear);
  onClick("as-table", toggleTable);
  onClick("csv", saveCsv);
  onClick("json", saveJson);
  filters.start(() => gallery.refresh());
  byId("originals").addEventListener("change", () => (batch.settings.originals = byId("originals").checked));
  const wide = matchMedia("(min-width: 50rem)").matches;
  for (const id of ["tools", "mistakes"]) byId(id).open = wide; // on a phone, answers come first
  window.addEventListener("beforeunload", askBeforeLeaving);
  batch.listenForReturn();
  batch.tryAgain();
}

function onClick(id, action) {
  byId(id).addEventListener("click", action);
}

function askBeforeLeaving(event) {
  if (batch.isWorking()) event.preventDefault();
}

/** `notes` are {code, text, …}: what is said, and what it is about. */
function note(...notes) {
  const about = notes.map(({ text, ...rest }) => rest);
  const data = Object.assign({}, ...about, { code: about.map(({ code }) => code).join(" ") });
  say(byId("notice"), notes.map(({ text }) => text).join(" "), data);
}

async function take({ photos: added, labels, notes }) {
  gallery.add(added);
  batch.enqueue(added);
  for (const file of labels) notes.push(await readLabels(file, photos));
  note(...notes);
  if (labels.length) gallery.refreshAll();
  showTools();
}

function photoChanged(photo) {
  if (photo) gallery.refresh(photo);
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
  if (reason?.kind === "code") access.askFor(reason);
  else if (reason && access.isWanted()) access.tell(reason.code, reason.message);
  const shown = reason && reason.message && !access.isWanted();
  byId("trouble").hidden = !shown;
  say(byId("trouble").querySelector("p"), shown ? reason.message : "", shown ? { code: reason.code } : {});
  byId("open").hidden = !reason?.open;
  byId("open").href = reason?.open ?? "";
  byId("go-on").hidden = reason?.kind !== "cancelled";
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
  gallery.remove(photo);
  showTools();
}

function clear() {
  for (const photo of photos) batch.forget(photo);
  gallery.clear();
  note();
  showTools();
  byId("photos").focus();
}

function askAgain() {
  byId("status").focus();
  batch.enqueue(fieldTest.outdated());
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
