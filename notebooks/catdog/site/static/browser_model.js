// The model inside this browser: it answers what the service would, in the service's words.

import * as corrections from "./kept_corrections.js";
import { makeAvailableOffline, trusted } from "./offline.js";
import { say } from "./say.js";
import { ServiceError } from "./service.js";
import { number, problem, t } from "./words.js";

const MODEL = new URL("../model/", import.meta.url);
const CHECKED = `checked ${MODEL.pathname}`;
const STATUS = { "photo-empty": 400, "photo-pixels": 413, "photo-format": 415 }; // of the service; others are 422
const KIND = { "model-stopped": "broken-off", "model-missing": "lost" }; // of a ServiceError; others are "refused"
const LASTING = ["answers-differ", "canvas-changed", "browser-too-old"]; // another try does not help
const START_SECONDS = 120; // without a byte, or a word that the model is there

const byId = (id) => document.getElementById(id);
const asked = new Map(); // number → {resolve, reject}
let worker = null;
let last = 0;
let patience = null; // a timer
let threads; // fewer where the model did not start with all
let obstacle = null; // why this browser cannot answer, whatever is tried

/** As `ask` of service.js. Throws ServiceError. */
export async function answer(path, { body, signal } = {}) {
  const answers = { model, predict, explain, corrections: correct };
  return untilAborted(answers[path](body, signal), signal);
}

function untilAborted(promise, signal) {
  if (!signal) return promise;
  const cancelled = () => new ServiceError("cancelled", t("cancelled"), "cancelled");
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(cancelled()));
    promise.then(resolve, reject);
  });
}

/** The model's card, once the model is there. */
async function model() {
  if (obstacle) throw obstacle;
  try {
    const card = await readCard();
    await load(card);
    await corrections.start();
    makeAvailableOffline();
    return card;
  } catch (error) {
    throw startError(error);
  }
}

/** Before any photo, it is the browser or the connection that is to blame. */
function startError({ code = "model-missing", message }) {
  const name = code === "internal" ? "browser-too-old" : code;
  const words = name === "browser-too-old" ? document.documentElement.dataset.tooOld : problem(name, message);
  const error = new ServiceError(name, words, LASTING.includes(name) ? "hopeless" : "lost");
  if (error.kind === "hopeless") obstacle = error;
  return error;
}

/** This browser is checked once for each model, unless its files may be of two versions: only the service worker knows. */
async function load(card) {
  const isOneVersion = Boolean(navigator.serviceWorker?.controller);
  const start = () => inWorker("load", { checked: isOneVersion ? stored() : null, threads });
  const { id, checked } = await start().catch((error) => {
    if (error.code !== "model-stopped" || threads === 1) throw error;
    threads = 1; // some phones stop where several are wanted
    return start();
  });
  if (id !== `${card.name}/${card.version}`) {
    stop();
    throw Object.assign(new Error("The site holds files of two versions."), { code: "model-missing" });
  }
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

async function readCard() {
  try {
    const response = await fetch(new URL("card.json", MODEL));
    if (!response.ok) throw new Error(`card.json: ${response.status}`);
    return await response.json();
  } catch (error) {
    throw Object.assign(new Error(error.message), { code: "model-missing" });
  }
}

async function predict(form) {
  const predictions = [];
  for (const photo of form.getAll("images")) predictions.push({ filename: photo.name, ...(await outcome(photo)) });
  return { model: await modelId(), corrections: true, predictions };
}

async function modelId() {
  return (await inWorker("load")).id;
}

/** The answer to a photo, or the problem that the service would have with it. */
async function outcome(photo) {
  try {
    return await inWorker("predict", { file: photo });
  } catch (error) {
    if (!error.isPhotos) throw asServiceError(error);
    return { error: { type: `/docs#${error.code}`, status: statusOf(error), detail: error.message } };
  }
}

async function explain(form) {
  return inWorker("explain", { file: form.get("images"), label: form.get("label") ?? "" }).catch(throwServiceError);
}

async function correct(form) {
  const label = form.get("label");
  const keep = async () => {
    const { answer: said, png } = await inWorker("correct", { file: form.get("images") });
    await corrections.keep(png, label, { model: await modelId(), ...said });
  };
  await keep().catch(throwServiceError);
  return { label: label ?? "none of these" };
}

function throwServiceError(error) {
  throw asServiceError(error);
}

function asServiceError({ code = "internal", message, isPhotos }) {
  return new ServiceError(code, problem(code, message), KIND[code] ?? "refused", { status: isPhotos ? statusOf({ code }) : 500 });
}

function statusOf({ code }) {
  return STATUS[code] ?? 422;
}

function inWorker(request, about = {}) {
  worker ??= startWorker();
  return new Promise((resolve, reject) => {
    last += 1;
    asked.set(last, { resolve, reject });
    worker.postMessage({ id: last, request, ...about });
  });
}

function startWorker() {
  const started = new Worker(trusted(new URL("network_worker.js", import.meta.url)), { type: "module" });
  started.addEventListener("message", ({ data }) => ("id" in data ? settle(data) : showProgress(data)));
  started.addEventListener("error", () => started === worker && stop()); // as for want of memory
  waitFor(START_SECONDS);
  return started;
}

function waitFor(seconds) {
  clearTimeout(patience);
  patience = setTimeout(stop, 1000 * seconds);
}

function settle({ id, result, error }) {
  const one = asked.get(id);
  if (!one) return; // the worker was stopped meanwhile
  asked.delete(id);
  clearTimeout(patience);
  byId("loading").hidden = true;
  if (!error) return one.resolve(result);
  one.reject(Object.assign(new Error(error.detail), error));
  if (!error.isPhotos && error.code !== "label-unknown") stop(); // it may be broken for good
}

/** The next question starts another one. */
function stop() {
  clearTimeout(patience);
  byId("loading").hidden = true;
  worker?.terminate();
  worker = null;
  const error = Object.assign(new Error("The model has stopped."), { code: "model-stopped" });
  for (const { reject } of asked.values()) reject(error);
  asked.clear();
}

function showProgress({ received, all }) {
  waitFor(START_SECONDS);
  byId("loading").hidden = false;
  Object.assign(byId("loading").querySelector("progress"), { max: all, value: received });
  const inMegabytes = (bytes) => number(bytes / 1e6, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
  const words = t("loading-model", { done: inMegabytes(received), all: inMegabytes(all) });
  say(byId("loading").querySelector("p"), words, { bytes: received, all });
}
