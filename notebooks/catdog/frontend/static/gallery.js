// The photos on the page: as cards or as a table, sorted, filtered and counted.

import { isHalted } from "./batch.js";
import { fill } from "./browsers.js";
import { say } from "./say.js";
import { unwatch, watch } from "./thumbnails.js";

const BARS_ON_A_CARD = 5; // of many classes, the rest is shown where the photo is opened
const WORDS = {
  waiting: "Waiting…", unsent: "Not sent yet", code: "Waiting for the access code…", sending: "Looking…",
  notSure: "Not sure", unfamiliar: "unlike the photos it learned from", failed: "failed", wrong: "wrong answers",
};
const NOT_SURE = "?not sure"; // no class can be called so: its name would be a folder's
const FAILED = "?failed";
const WRONG = "?wrong";

export const photos = [];
/** Set by the page: what is to be done when a photo is opened, removed or tried again, and what really is in it. */
export const callbacks = { open() {}, remove() {}, retry() {}, truth: () => "" };

const byId = (id) => document.getElementById(id);
const list = byId("results");
const stale = new Set(); // photos whose card shows something old
let number = 0;
let scheduled = false;

export function add(added) {
  for (const photo of added) {
    photo.number = ++number;
    photo.card = makeCard(photo);
    photos.push(photo);
  }
}

export function remove(photo) {
  const place = photos.indexOf(photo);
  photos.splice(place, 1);
  dismiss(photo);
  refresh();
  const next = photos[Math.min(place, photos.length - 1)];
  (next ? next.card.querySelector(".remove") : byId("photos")).focus();
}

export function clear() {
  for (const photo of photos.splice(0)) dismiss(photo);
  refresh();
}

function dismiss(photo) {
  unwatch(photo.card);
  photo.card.remove();
  photo.row?.remove();
}

/** Show what has changed, together with whatever else changes before the next frame. */
export function refresh(photo) {
  if (photo) stale.add(photo);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(show);
}

/** Show something that concerns every photo. */
export function refreshAll() {
  photos.forEach(refresh);
}

function show() {
  scheduled = false;
  for (const photo of stale) {
    showCard(photo);
    if (photo.row) showRow(photo);
  }
  stale.clear();
  showFilters();
  const table = byId("as-table").getAttribute("aria-pressed") === "true";
  byId("table").hidden = !table;
  list.hidden = table;
  if (table) arrange(byId("table").querySelector("tbody"), shown().map(rowOf));
  else arrange(list, shown().map(({ card }) => card));
}

function rowOf(photo) {
  if (!photo.row) {
    photo.row = makeRow(photo);
    showRow(photo);
  }
  return photo.row;
}

/** Moving an element takes the focus from it, so only where one is out of place. */
function arrange(parent, children) {
  if (children.length === parent.children.length && children.every((child, i) => child === parent.children[i])) return;
  const focused = document.activeElement;
  fill(parent, ...children);
  if (parent.contains(focused)) focused.focus();
}

/** The photos that the filters let through, in the order that is set. */
export function shown() {
  const [low, high] = byId("confidence").value.split("-").map(Number);
  const wanted = byId("show").value;
  const everything = low === 0 && high === 1;
  const fitting = photos.filter(
    (photo) => (!wanted || groups(photo).includes(wanted)) &&
      (everything || (confidence(photo) >= low && (confidence(photo) < high || high === 1)))
  );
  return fitting.sort((a, b) => ORDERS[byId("sort").value](a, b) || a.number - b.number);
}

const inOrder = new Intl.Collator(undefined, { numeric: true }).compare; // 9 before 10
const ORDERS = {
  number: () => 0,
  name: (a, b) => inOrder(a.path, b.path),
  label: (a, b) => inOrder(answerTo(a), answerTo(b)),
  doubt: (a, b) => confidence(a, 2) - confidence(b, 2),
  confidence: (a, b) => confidence(b) - confidence(a),
};

/** How sure the model is of a photo's class, 0 to 1, or `missing` without an answer. */
export function confidence({ answer }, missing = -1) {
  return answer ? answer.probabilities[answer.label] : missing;
}

/** The class, or that it is not sure; "" without an answer. */
export function answerTo({ answer }) {
  if (!answer) return "";
  return answer.confident === false ? WORDS.notSure : answer.label;
}

export function isWrong(photo) {
  const truth = callbacks.truth(photo);
  return Boolean(photo.answer && truth && truth !== photo.answer.label);
}

function groups(photo) {
  const { answer, state } = photo;
  if (state === "failed") return [FAILED];
  if (!answer) return [];
  return [answer.confident === false ? NOT_SURE : answer.label, ...(isWrong(photo) ? [WRONG] : [])];
}

function showFilters() {
  const counts = new Map();
  for (const photo of photos) for (const group of groups(photo)) counts.set(group, (counts.get(group) ?? 0) + 1);
  const words = { [NOT_SURE]: WORDS.notSure.toLowerCase(), [FAILED]: WORDS.failed, [WRONG]: WORDS.wrong };
  const found = [...counts].sort(([a], [b]) => (a in words) - (b in words) || a.localeCompare(b));
  const sentence = found.map(([group, count]) => `${words[group] ?? group}: ${count}`).join(" · ");
  say(byId("totals"), sentence, { counts: JSON.stringify(Object.fromEntries(found)) });
  offer(byId("show"), [["", "all"], ...found.map(([group]) => [group, words[group] ?? group])]);
}

/** Let a <select> offer [value, words] pairs, and keep what is chosen. */
export function offer(select, choices) {
  const now = [...select.options].map((option) => option.value).join();
  if (now === choices.map(([value]) => value).join()) return;
  const chosen = select.value;
  fill(select, ...choices.map(([value, words]) => new Option(words, value)));
  select.value = choices.some(([value]) => value === chosen) ? chosen : choices[0][0];
}

function makeCard(photo) {
  const card = document.importNode(byId("card").content.firstElementChild, true); // a template's own loads no pictures
  const part = (name) => card.querySelector(name);
  part(".filename").textContent = photo.name;
  part(".filename").title = photo.path;
  part(".open").addEventListener("click", () => callbacks.open(photo));
  part(".retry").addEventListener("click", () => callbacks.retry(photo));
  part(".remove").addEventListener("click", () => callbacks.remove(photo));
  part(".remove").setAttribute("aria-label", `Remove ${photo.name}`);
  card.photo = photo;
  watch(card);
  return card;
}

function showCard(photo) {
  const { card } = photo;
  Object.assign(card.dataset, facts(photo));
  card.querySelector(".label").textContent = words(photo);
  card.querySelector(".retry").hidden = !mayRetry(photo);
  showBars(card.querySelector(".classes"), photo.answer, BARS_ON_A_CARD);
}

/** A photo's state and answer as they stand in data- attributes. */
export function facts(photo) {
  const { state, code, answer } = photo;
  return {
    state, code: isHeldUp(photo) ? "code-missing" : (code ?? ""), label: answer?.label ?? "",
    sure: answer?.confident !== false, familiar: answer?.in_distribution !== false,
    wrong: isWrong(photo), truth: callbacks.truth(photo),
  };
}

/** It has no answer, and may have one when it is sent again. */
export function mayRetry({ state, retryable }) {
  return state === "failed" && Boolean(retryable);
}

/** It waits for the access code. */
function isHeldUp({ state }) {
  return state === "waiting" && !byId("access").hidden;
}

/** A photo's state or answer in words. */
export function words(photo) {
  if (photo.state === "failed") return photo.why;
  if (isHeldUp(photo)) return WORDS.code;
  if (photo.state === "waiting" && isHalted()) return WORDS.unsent;
  if (!photo.answer) return WORDS[photo.state];
  const really = isWrong(photo) ? ` (really ${callbacks.truth(photo)})` : "";
  const why = photo.answer.in_distribution === false ? WORDS.unfamiliar : `perhaps ${photo.answer.label}`;
  const perhaps = photo.answer.confident === false ? ` – ${why}` : "";
  return answerTo(photo) + perhaps + really;
}

export function showBars(place, answer, most = Infinity) {
  const sorted = Object.entries(answer?.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  fill(place, ...sorted.slice(0, most).map(([label, p]) => makeBar(label, p)));
}

function makeBar(label, probability) {
  const row = byId("class").content.firstElementChild.cloneNode(true);
  row.querySelector("dt").textContent = label;
  row.querySelector(".fill").style.width = `${100 * probability}%`;
  row.querySelector(".percent").textContent = percent(probability);
  return row;
}

function makeRow(photo) {
  const row = byId("row").content.firstElementChild.cloneNode(true);
  row.querySelector(".open").textContent = photo.path;
  row.querySelector(".open").addEventListener("click", () => callbacks.open(photo));
  return row;
}

function showRow(photo) {
  const cell = (name) => photo.row.querySelector(name);
  say(cell(".label"), words(photo), facts(photo));
  cell(".percent").textContent = photo.answer ? percent(confidence(photo)) : "";
  cell(".truth").textContent = callbacks.truth(photo);
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
