// The model inside this browser: it answers what the service would, in the service's words.

import { ServiceError } from "./service.js";
import { say } from "./say.js";
import * as corrections from "./kept_corrections.js";
import { makeAvailableOffline, trusted } from "./offline.js";
import { number, problem, t } from "./words.js";

const MODEL = new URL("../model/", import.meta.url);
const CHECKED = `checked ${MODEL.pathname}`;
const STATUS = { "photo-empty": 400, "photo-pixels": 413, "photo-format": 415 }; // of the service; others are 422

const byId = (id) => document.getElementById(id);
const asked = new Map(); // number → {done, failed}
let worker = null;
let last = 0;
let card = null; // a promise

/** As `ask` of service.js. Throws ServiceError. */
export async function answer(path, { body, signal } = {}) {
  const ANSWERS = { model, predict, explain, corrections: correct };
  return ANSWERS[path](body, signal);
}

/** The model's card, once the model is there. */
async function model() {
  try {
    const [found] = await Promise.all([readCard(), load()]);
    await corrections.start();
    makeAvailableOffline();
    return found;
  } catch ({ code, message }) {
    throw new ServiceError(code ?? "model-missing", problem(code ?? "model-missing", message), "lost");
  } finally {
    byId("loading").hidden = true;
  }
}

/** This browser is checked once for each model. */
async function load() {
  const checked = await inWorker("load", { checked: stored() });
  try {
    localStorage.setItem(CHECKED, checked);
  } catch {
    // Where nothing may be stored, it is checked at each start.
  }
}

function stored() {
  try {
    return localStorage.getItem(CHECKED);
  } catch {
    return null;
  }
}

function readCard() {
  card ??= fetch(new URL("card.json", MODEL)).then((response) => response.json()).catch((error) => {
    card = null;
    throw error;
  });
  return card;
}

async function predict(form, signal) {
  const predictions = [];
  for (const photo of form.getAll("images")) {
    const found = await outcome(photo);
    if (signal?.aborted) throw new ServiceError("cancelled", t("cancelled"), "cancelled");
    predictions.push({ filename: photo.name, ...found });
  }
  const { name, version } = await readCard();
  return { model: `${name}/${version}`, corrections: true, predictions };
}

/** The answer to a photo, or the problem that the service would have with it. */
async function outcome(photo) {
  try {
    return await inWorker("predict", { file: photo });
  } catch (error) {
    if (!error.isPhotos) throw asServiceError(error);
    return { error: { type: `/docs#${error.code}`, status: STATUS[error.code] ?? 422, detail: error.message } };
  }
}

async function explain(form) {
  try {
    return await inWorker("explain", { file: form.get("images"), label: form.get("label") ?? "" });
  } catch (error) {
    throw asServiceError(error);
  }
}

async function correct(form) {
  const label = form.get("label");
  try {
    const { answer: said, png } = await inWorker("correct", { file: form.get("images") });
    const { name, version } = await readCard();
    await corrections.keep(png, label, { model: `${name}/${version}`, ...said });
  } catch (error) {
    throw asServiceError(error);
  }
  return { label: label ?? "none of these" };
}

function asServiceError({ code = "internal", message, isPhotos }) {
  return new ServiceError(code, problem(code, message), "refused", { status: isPhotos ? (STATUS[code] ?? 422) : 500 });
}

function inWorker(kind, about = {}) {
  worker ??= startWorker();
  return new Promise((done, failed) => {
    last += 1;
    asked.set(last, { done, failed });
    worker.postMessage({ id: last, kind, ...about });
  });
}

function startWorker() {
  const started = new Worker(trusted(new URL("network_worker.js", import.meta.url)), { type: "module" });
  started.addEventListener("message", ({ data }) => ("id" in data ? settle(data) : showProgress(data)));
  started.addEventListener("error", () => stop(started)); // such as for want of memory
  return started;
}

function settle({ id, found, error }) {
  const { done, failed } = asked.get(id);
  asked.delete(id);
  if (error) failed(Object.assign(new Error(error.detail), error));
  else done(found);
}

/** The next question starts another one. */
function stop(broken) {
  broken.terminate();
  worker = null;
  for (const { failed } of asked.values()) failed(Object.assign(new Error("The worker has stopped."), { code: "model-stopped" }));
  asked.clear();
}

function showProgress({ come, all }) {
  byId("loading").hidden = false;
  Object.assign(byId("loading").querySelector("progress"), { max: all, value: come });
  const [done, whole] = [come, all].map((bytes) => number(bytes / 1e6, { maximumFractionDigits: 1, minimumFractionDigits: 1 }));
  say(byId("loading").querySelector("p"), t("loading-model", { done, all: whole }), { bytes: come, all });
}
