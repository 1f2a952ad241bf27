// The photos on the page as cards, or as a table.

import { fill } from "./browsers.js";
import { arrange, shown, sayNone } from "./filters.js";
import { chance, confidence, exactChance, facts, mayRetry, photos, topOf, truthInWords, words, wordsInShort } from "./photos.js";
import { say } from "./say.js";
import * as tally from "./tally.js";
import { unwatch, watch } from "./thumbnails.js";
import { truth } from "./truth.js";
import { t } from "./words.js";

const CARDS_A_FRAME = 100; // more would be felt

/** What is to be done when a photo is opened, removed or tried again: set by the page. */
export const callbacks = { open() {}, remove() {}, retry() {} };

const byId = (id) => document.getElementById(id);
const list = byId("results");
const stale = new Set(); // photos whose card shows something old
let number = 0;
let scheduled = false;

export function add(added) {
  for (const photo of added) {
    photo.number ??= ++number;
    photo.card = makeCard(photo);
    photos.push(photo);
  }
  photos.sort((a, b) => a.number - b.number); // what was removed comes back to its place
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
  tally.drop(photo);
  stale.delete(photo);
  unwatch(photo.card);
  photo.card.remove();
  photo.row?.remove();
}

/** Show what has changed, together with whatever else changes before the next frame. */
export function refresh(photo) {
  if (photo) {
    stale.add(photo);
    tally.touch(photo);
  }
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
  for (const photo of [...stale].slice(0, CARDS_A_FRAME)) {
    stale.delete(photo);
    showCard(photo);
    if (photo.row) showRow(photo);
  }
  showList();
  if (stale.size) refresh();
}

function showList() {
  const table = byId("as-table").getAttribute("aria-pressed") === "true";
  const fitting = shown();
  sayNone(photos.length > 0 && fitting.length === 0);
  byId("table").hidden = !table || fitting.length === 0;
  list.hidden = table;
  if (table) showTable(fitting);
  else arrange(list, fitting.map(({ card }) => card));
}

function showTable(fitting) {
  byId("table").dataset.truths = photos.some(truth);
  arrange(byId("table").querySelector("tbody"), fitting.map(rowOf));
}

function rowOf(photo) {
  if (!photo.row) {
    photo.row = makeRow(photo);
    showRow(photo);
  }
  return photo.row;
}

function makeCard(photo) {
  const card = document.importNode(byId("card").content.firstElementChild, true); // a template's own loads no pictures
  const part = (name) => card.querySelector(name);
  part(".filename").textContent = photo.name;
  part(".filename").title = photo.path;
  part(".open").addEventListener("click", () => callbacks.open(photo));
  part(".retry").addEventListener("click", () => callbacks.retry(photo));
  part(".remove").addEventListener("click", ({ detail }) => detail > 1 || callbacks.remove(photo)); // not by a double click
  part(".remove").setAttribute("aria-label", t("remove", photo));
  card.photo = photo;
  watch(card);
  return card;
}

function showCard(photo) {
  const { card, answer } = photo;
  Object.assign(card.dataset, facts(photo));
  card.querySelector(".label").textContent = wordsInShort(photo);
  card.querySelector(".retry").hidden = !mayRetry(photo);
  if (card.barsOf === answer) return;
  card.barsOf = answer;
  showBars(card.querySelector(".classes"), answer ? barsOf(answer) : []);
}

/** Of two classes, the second bar would say nothing that the first one does not. */
function barsOf(answer) {
  const top = topOf(answer);
  return top.length === 2 ? top.slice(0, 1) : top;
}

/** A bar for each [class, probability]. */
export function showBars(place, shares) {
  fill(place, ...shares.map(([label, probability]) => makeBar(label, probability)));
}

function makeBar(label, probability) {
  const row = byId("class").content.firstElementChild.cloneNode(true);
  row.querySelector("dt").textContent = label;
  row.querySelector(".fill").style.width = `${100 * probability}%`;
  row.querySelector(".percent").textContent = chance(probability);
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
  cell(".percent").textContent = photo.answer ? exactChance(confidence(photo)) : "";
  cell(".truth").textContent = truthInWords(photo);
}
