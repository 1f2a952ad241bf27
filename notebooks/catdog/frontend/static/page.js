// The first screen: which model answers, and where photos come in. What shows their answers follows with the first one.

import * as access from "./access.js";
import * as batch from "./batch.js";
import { isInAnApp } from "./browsers.js";
import * as fileInput from "./file_input.js";
import { describe } from "./model.js";
import { canvasIsTruthful } from "./resize.js";
import { say } from "./say.js";
import { ServiceError, ask, code, isHere } from "./service.js";
import * as store from "./store.js";
import * as trouble from "./trouble.js";
import { model, setModel } from "./truth.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);
const STORE_ANSWERS_WITHIN = 3_000; // milliseconds
let answers = null; // the module
let loading = null; // a promise of it
let restored = null; // a promise: photos of before come before new ones
let canvasIsTold = false;
let hasExamples = false;
const unshown = []; // photos that came, or were stored, while the rest of the page did not
const unread = []; // CSV files that came likewise; a reload would lose them
let mayReload = false; // all of that is stored
let taking = 0; // how many times photos are being taken in

start();

function start() {
  Object.assign(batch.callbacks, { halted: showTrouble, connect });
  fileInput.listen(byId("drop"), ["photos", "camera", "folder", "archive"].map(byId), () => note({ code: "reading", text: t("reading") }), take);
  access.start(batch.tryAgain);
  byId("again").addEventListener("click", () => batch.tryAgain());
  byId("originals").addEventListener("change", () => (batch.settings.originals = byId("originals").checked));
  byId("sorted").addEventListener("click", showOptions);
  byId("drop").addEventListener("click", () => withAnswers()); // while somebody looks for a photo
  window.addEventListener("beforeunload", askBeforeLeaving);
  byId("in-app").hidden = !isInAnApp();
  canvasIsTruthful().then((truthful) => truthful || sendOriginals());
  if (isHere) import("./offline.js").then(({ takeNewVersion }) => takeNewVersion());
  batch.listenForReturn();
  restored = Promise.race([restore(), longEnough()]);
  batch.tryAgain();
  if (byId("model").dataset.code === "too-old") say(byId("model"), t("looking")); // it was only late
  document.documentElement.dataset.started = ""; // old.js looks for this mark
}

function showOptions() {
  byId("options").open = true;
  byId("archive").focus();
}

function askBeforeLeaving(event) {
  if (!batch.isWorking() && !taking) return;
  event.preventDefault();
  event.returnValue = true; // for Chrome before 119
}

/** `notes` are {code, text, …}: what is said, and what it is about. */
function note(...notes) {
  const about = notes.map(({ text, ...rest }) => rest);
  const data = Object.assign({}, ...about, { code: about.map(({ code }) => code).join(" ") });
  say(byId("notice"), notes.map(({ text }) => text).join(" "), data);
}

/** Most people who open the page only look: what they do not need yet is not sent to them. Null where it does not come. */
function withAnswers() {
  loading ??= import("./answers.js").then(startAnswers).catch(() => (loading = null));
  return loading;
}

function startAnswers(module) {
  module.start(note);
  answers = module;
  if (isMissing()) showMissing();
  return answers;
}

function isMissing() {
  return unshown.length > 0 || unread.length > 0;
}

function showMissing() {
  note(); // that it is not there
  answers.showAgain(unshown.splice(0));
  if (unread.length) answers.readTables(unread.splice(0)).then((notes) => note(...notes));
  mayReload = false;
  if (batch.isHalted()) batch.tryAgain(); // because of this, perhaps
}

async function take({ photos: added, labels, notes }) {
  taking += 1;
  try {
    await restored;
    if (added.length || labels.length) notes.push(...(await show(added, labels)));
    note(...notes);
  } finally {
    taking -= 1;
  }
  if (!taking && isMissing()) batch.tryAgain();
}

/** Returns what is to be said. */
async function show(added, labels) {
  const loaded = await withAnswers();
  if (!loaded) return showLater(added, labels);
  loaded.add(added);
  return [...(added.length ? await noteOnCanvas() : []), ...(await loaded.readTables(labels))];
}

/** The link was lost before the rest of the page had come. Some browsers do not ask for a script twice: the page has to
 * be loaded again, and then shows what is stored. */
async function showLater(added, labels) {
  unshown.push(...added);
  unread.push(...labels);
  const stored = await Promise.race([store.keepAll(unshown), longEnough()]);
  mayReload = Boolean(stored) && unshown.length > 0 && !unread.length;
  const again = unread.map(({ name }) => ({ code: "not-loaded", text: t("choose-later", { name }) }));
  return [{ code: "not-loaded", stored: mayReload, text: t(mayReload ? "loads-later" : "not-loaded") }, ...again];
}

/** Now that the link is there again. Throws ServiceError, so that it is tried again; the notice has told why. */
async function showUnshown() {
  if (taking || !isMissing() || (await withAnswers())) return; // which shows them
  if (taking) return; // in the end, that looks here again
  if (mayReload) return location.reload();
  throw new ServiceError("not-loaded", "", "lost");
}

/** Some versions of Safari never answer what is stored. */
function longEnough() {
  return new Promise((done) => setTimeout(done, STORE_ANSWERS_WITHIN));
}

function sendOriginals() {
  Object.assign(byId("originals"), { checked: true, disabled: true });
  batch.settings.originals = true;
}

/** Once. */
async function noteOnCanvas() {
  if (canvasIsTold || (await canvasIsTruthful())) return [];
  canvasIsTold = true;
  return [{ code: "canvas-changed", text: t("canvas-changed") }];
}

/** Show again what was here before the page was loaded again, and send what has no answer. */
async function restore() {
  const again = await store.restore();
  if (!again.length) return;
  const loaded = await withAnswers();
  if (!loaded) return restoreLater(again);
  loaded.showAgain(again);
  note({ code: "restored", photos: again.length, text: t("restored", { count: again.length }) });
}

function restoreLater(again) {
  unshown.push(...again);
  note({ code: "not-loaded", stored: true, text: t("not-loaded") });
  batch.tryAgain();
}

/** Ask the service for its model. Throws ServiceError. */
async function connect() {
  const asked = code;
  const card = await ask("model");
  if (asked !== code) return; // another code is being tried by now
  setModel({ id: `${card.name}/${card.version}`, classes: card.classes });
  describe(card);
  access.accepted();
  answers?.showModel();
  if (card.examples) showExamples();
  await showUnshown();
}

/** They only help: the page does as well without. */
async function showExamples() {
  if (hasExamples) return;
  hasExamples = true;
  try {
    await (await import("./examples.js")).show((photo) => take({ photos: [photo], labels: [], notes: [] }));
  } catch {
    hasExamples = false;
  }
}

/** `reason` is null when it goes on. */
function showTrouble(reason) {
  trouble.show(reason);
  if (reason && !model.id) say(byId("model"), "");
  answers?.showModel();
}
