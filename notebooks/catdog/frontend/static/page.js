// The first screen: which model answers, and where photos come in. What shows their answers follows with the first one.

import * as access from "./access.js";
import * as batch from "./batch.js";
import { isInAnApp } from "./browsers.js";
import * as fileInput from "./file_input.js";
import { describe } from "./model.js";
import { canvasIsTruthful } from "./resize.js";
import { say } from "./say.js";
import { ask, code } from "./service.js";
import * as store from "./store.js";
import * as trouble from "./trouble.js";
import { model, setModel } from "./truth.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);
const RESTORED_WITHIN = 3_000; // milliseconds
let answers = null; // the module
let loading = null; // a promise of it
let restored = null; // a promise: photos of before come before new ones
let canvasIsTold = false;
let hasExamples = false;
let isForReload = false; // photos are stored that cannot be shown

start();

function start() {
  Object.assign(batch.callbacks, { halted: showTrouble, connect });
  fileInput.listen(byId("drop"), ["photos", "camera", "folder", "archive"].map(byId), () => note({ code: "reading", text: t("reading") }), take);
  access.start(batch.tryAgain);
  byId("again").addEventListener("click", () => batch.tryAgain());
  byId("originals").addEventListener("change", () => (batch.settings.originals = byId("originals").checked));
  byId("sorted").addEventListener("click", showOptions);
  byId("drop").addEventListener("click", () => withAnswers().catch(() => {})); // while somebody looks for a photo
  window.addEventListener("beforeunload", askBeforeLeaving);
  byId("in-app").hidden = !isInAnApp();
  canvasIsTruthful().then((truthful) => truthful || sendOriginals());
  batch.listenForReturn();
  const longEnough = new Promise((done) => setTimeout(done, RESTORED_WITHIN)); // some versions of Safari never answer
  restored = Promise.race([restore(), longEnough]);
  batch.tryAgain();
  if (byId("model").dataset.code === "too-old") say(byId("model"), t("looking")); // it was only late
  document.documentElement.dataset.started = ""; // old.js looks for this mark
}

function showOptions() {
  byId("options").open = true;
  byId("archive").focus();
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

/** Most people who open the page only look: what they do not need yet is not sent to them. */
function withAnswers() {
  const again = (error) => {
    loading = null;
    throw error;
  };
  loading ??= import("./answers.js").then((module) => (module.start(note), (answers = module))).catch(again);
  return loading;
}

async function take({ photos: added, labels, notes }) {
  await restored;
  if (!added.length && !labels.length) return note(...notes);
  const loaded = await withAnswers().catch(() => null);
  if (!loaded) return keepForReload(added);
  loaded.add(added);
  if (added.length) notes.push(...(await noteOnCanvas()));
  notes.push(...(await loaded.readTables(labels)));
  note(...notes);
}

/** The link was lost before the rest of the page had come. Some browsers do not ask for a script twice: the page has to
 * be loaded again, and then shows what is stored. */
async function keepForReload(added) {
  isForReload = await store.keepAll(added);
  const key = isForReload ? "loads-later" : "not-loaded";
  note({ code: "not-loaded", stored: isForReload, text: t(key) });
  batch.tryAgain();
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
  const loaded = await withAnswers().catch(() => null);
  if (!loaded) return note({ code: "not-loaded", stored: true, text: t("not-loaded") });
  loaded.showAgain(again);
  note({ code: "restored", photos: again.length, text: t("restored", { count: again.length }) });
}

/** Ask the service for its model. Throws ServiceError. */
async function connect() {
  const asked = code;
  const card = await ask("model");
  if (asked !== code) return; // another code is being tried by now
  if (isForReload) return location.reload();
  setModel({ id: `${card.name}/${card.version}`, classes: card.classes });
  describe(card);
  access.accepted();
  answers?.showModel();
  if (card.examples) showExamples();
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
