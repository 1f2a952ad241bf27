"use strict";

const PHOTOS_PER_REQUEST = 8;
const BYTES_PER_REQUEST = 24e6;

const byId = (id) => document.getElementById(id);
const waiting = []; // {file, card}, in the order in which they were chosen
let failed = []; // what "Try again" would send once more
let working = false;
let modelUnknown = false; // after trouble, until the service has told it

start();

function start() {
  byId("photos").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // or choosing the same photo again would do nothing
  });
  byId("again").addEventListener("click", () => queue(failed.splice(0)));
  byId("access").addEventListener("submit", enterCode);
  window.addEventListener("hashchange", followLink);
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
  const asked = code;
  try {
    const card = await ask("model");
    if (asked !== code) return; // another code is being tried by now
    modelUnknown = false;
    byId("model").textContent = describe(card);
    showOpen();
    keepCode();
    closeAccess();
  } catch (trouble) {
    if (asked !== code) return;
    showNoModel(trouble);
  }
  showButtons();
}

function showNoModel(trouble) {
  modelUnknown = Boolean(address) && !trouble.refusal; // else trying again would not help
  if (trouble.refusal) return askForCode(trouble);
  byId(accessWanted() ? "refusal" : "model").textContent = trouble.message;
  showOpen(trouble.open);
}

function accessWanted() {
  return !byId("access").hidden;
}

/** However many requests were refused, once. */
function askForCode(trouble) {
  const wrong = trouble.refusal === "wrong" || code !== "";
  byId("model").textContent = "";
  byId("refusal").textContent = wrong ? trouble.message : "";
  byId("code").setAttribute("aria-invalid", wrong);
  if (accessWanted()) return;
  byId("access").hidden = false;
  byId("code").focus();
  showWaiting(waiting);
}

function enterCode(event) {
  event.preventDefault();
  byId("code").focus();
  useCode(byId("code").value);
  // Something in between, or the same refusal would not be read out twice.
  byId("refusal").textContent = code ? "Asking the service…" : "A code is made of letters and digits.";
  if (code) showModel();
}

function followLink() {
  if (!codeIn(location.hash)) return;
  useCode(location.hash);
  showModel();
}

function closeAccess() {
  if (!accessWanted()) return;
  if (byId("access").contains(document.activeElement)) byId("photos").focus();
  byId("access").hidden = true;
  byId("code").value = "";
  showWaiting(waiting);
  work();
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
  showWaiting(photos);
  waiting.push(...photos);
  if (modelUnknown) showModel();
  showButtons();
  work();
}

function showWaiting(photos) {
  const words = accessWanted() ? "Waiting for the access code…" : "Waiting…";
  for (const { card } of photos) showState(card, "waiting", words);
}

async function work() {
  if (working) return;
  working = true;
  while (waiting.length && !accessWanted()) await classify(nextChunk());
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
  const asked = code;
  for (const { card } of photos) showState(card, "sending", "Looking…");
  showProgress();
  const form = new FormData();
  for (const { file } of photos) form.append("images", file, file.name);
  try {
    const answer = await ask("predict", { method: "POST", body: form });
    photos.forEach(({ card }, i) => showPrediction(card, answer.predictions[i]));
    showOpen();
  } catch (trouble) {
    const kept = photos.filter(({ card }) => card.isConnected); // "Clear" may have come in between
    if (trouble.refusal) {
      waiting.unshift(...kept);
      if (asked === code) askForCode(trouble); // else another code is there by now, and they go once more
      showWaiting(kept);
    } else {
      for (const { card } of kept) showState(card, "failed", trouble.message);
      failed.push(...kept);
      showOpen(trouble.open);
    }
  }
  showButtons();
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

/** The link to what stands in the service's way, where the tester has to look at it. */
function showOpen(url = "") {
  byId("open").hidden = !url;
  byId("open").href = url;
}

function showButtons() {
  byId("again").hidden = failed.length === 0 && !modelUnknown;
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
