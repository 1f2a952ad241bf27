"use strict";

const PHOTOS_PER_REQUEST = 8;
const BYTES_PER_REQUEST = 24e6;

const backend = document.documentElement.dataset.backend;
const byId = (id) => document.getElementById(id);
const waiting = []; // {file, card}, in the order in which they were chosen
let failed = []; // what "Try again" would send once more
let working = false;

start();

function start() {
  byId("photos").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // or choosing the same photo again would do nothing
  });
  byId("again").addEventListener("click", () => queue(failed.splice(0)));
  byId("clear").addEventListener("click", clear);
  listenForDrops(byId("drop"));
  showModel();
}

function listenForDrops(zone) {
  // On the whole page, because the browser leaves it for a photo that is dropped beside the zone.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", () => zone.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    add([...event.dataTransfer.files]);
  });
}

async function showModel() {
  if (!backend) {
    byId("model").textContent = "No service is known yet. Run the backend notebook, then load this page again.";
    return;
  }
  try {
    const card = await ask("model");
    byId("model").textContent = describe(card);
  } catch (problem) {
    byId("model").textContent = problem.message;
  }
}

function describe(card) {
  const test = card.metrics?.test;
  const accuracy = test?.photos ? ` ${percent(test.accuracy)} of ${test.photos} test photos right.` : "";
  const warning = card.drawings ? " Trained on drawings only: it knows nothing of real photos." : "";
  return `It can tell: ${card.classes.join(", ")}. Model ${card.name}, ${card.version}.${accuracy}${warning}`;
}

function add(files) {
  queue(files.map((file) => ({ file, card: makeCard(file) })));
}

function queue(photos) {
  for (const photo of photos) showState(photo.card, "waiting", "Waiting…");
  waiting.push(...photos);
  showButtons();
  work();
}

async function work() {
  if (working) return;
  working = true;
  while (waiting.length) await classify(nextChunk());
  working = false;
  showProgress();
}

function nextChunk() {
  const chunk = [];
  let bytes = 0;
  while (waiting.length && chunk.length < PHOTOS_PER_REQUEST) {
    bytes += waiting[0].file.size;
    if (chunk.length && bytes > BYTES_PER_REQUEST) break;
    chunk.push(waiting.shift());
  }
  return chunk;
}

async function classify(photos) {
  for (const { card } of photos) showState(card, "sending", "Looking…");
  showProgress();
  const form = new FormData();
  for (const { file } of photos) form.append("images", file, file.name);
  try {
    const answer = await ask("predict", { method: "POST", body: form });
    photos.forEach(({ card }, i) => showPrediction(card, answer.predictions[i]));
  } catch (problem) {
    for (const { card } of photos) showState(card, "failed", problem.message);
    failed.push(...photos.filter(({ card }) => card.isConnected)); // "Clear" may have come in between
  }
  showButtons();
}

/** Ask the service; what goes wrong is thrown as an Error whose message can be shown to the tester. */
async function ask(path, options = {}) {
  if (!backend) throw new Error("No service is known yet. Run the backend notebook, then load this page again.");
  const url = new URL(path, new URL(backend.replace(/\/*$/, "/"), location.href));
  const elsewhere = url.origin !== location.origin;
  // Without this header a free ngrok address answers browsers with a warning page of its own.
  const headers = elsewhere ? { "ngrok-skip-browser-warning": "1" } : {};
  let response;
  try {
    response = await fetch(url, { headers, ...options });
  } catch {
    throw new Error("The service cannot be reached. Is the backend notebook still running?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? `The service answered with an error (${response.status}).`);
  if (!body) throw new Error("Something answers at the service's address, but it is not the service.");
  return body;
}

function makeCard(file) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  card.querySelector(".filename").textContent = file.name;
  showThumbnail(card.querySelector("img"), file);
  byId("results").append(card);
  return card;
}

function showThumbnail(image, file) {
  const url = URL.createObjectURL(file);
  image.onload = () => URL.revokeObjectURL(url);
  image.onerror = () => {
    URL.revokeObjectURL(url);
    image.hidden = true; // not every browser shows every format; the service may read it all the same
  };
  image.src = url;
}

function showPrediction(card, prediction) {
  if (prediction.error) {
    showState(card, "failed", prediction.error.detail);
    return;
  }
  showState(card, "done", prediction.label);
  const sorted = Object.entries(prediction.probabilities).sort(([, a], [, b]) => b - a);
  card.querySelector(".classes").replaceChildren(...sorted.map(([label, p]) => makeClass(label, p)));
}

function makeClass(label, probability) {
  const row = byId("class").content.firstElementChild.cloneNode(true);
  row.querySelector("dt").textContent = label;
  row.querySelector(".fill").style.width = `${100 * probability}%`;
  row.querySelector(".percent").textContent = percent(probability);
  return row;
}

function showState(card, state, text) {
  card.dataset.state = state;
  card.querySelector(".label").textContent = text;
}

function showProgress() {
  const cards = [...byId("results").children];
  const count = (state) => cards.filter((card) => card.dataset.state === state).length;
  const [done, refused] = [count("done"), count("failed")];
  const words = [`${done} of ${cards.length} photos done`];
  if (refused) words.push(`${refused} without an answer`);
  byId("status").textContent = cards.length ? words.join(", ") + (working ? "…" : ".") : "";
}

function showButtons() {
  byId("again").hidden = failed.length === 0;
  byId("clear").hidden = byId("results").children.length === 0;
}

function clear() {
  waiting.length = 0;
  failed = [];
  byId("results").replaceChildren();
  showProgress();
  showButtons();
  byId("photos").focus();
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
