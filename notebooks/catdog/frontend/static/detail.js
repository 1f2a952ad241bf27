// One photo, large: its full answer, why, and what it really is.

import { closeDialog, openDialog } from "./browsers.js";
import { picker } from "./class_picker.js";
import * as correct from "./correct.js";
import { shown } from "./filters.js";
import { callbacks, showBars } from "./gallery.js";
import { facts, mayRetry, percent, topOf, words } from "./photos.js";
import { say } from "./say.js";
import { ask, codeOf } from "./service.js";
import { small } from "./resize.js";
import { showPicture } from "./thumbnails.js";
import { truth } from "./truth.js";

const COLD = [10, 10, 60, 190]; // red, green, blue, opacity: what does not matter lies in the dark
const HOT = [255, 170, 30, 90];
const WHOLE = 0.97; // of a side: what is cut off beyond that is worth a word
const REGIONS = ["upper left", "top", "upper right", "left", "middle", "right", "lower left", "bottom", "lower right"];

const byId = (id) => document.getElementById(id);
const dialog = byId("detail");
const canvas = dialog.querySelector("canvas");
const whyClass = picker("why-class", explain);
const trueClass = picker("truth", (label) => tellTruth(photo, label), "not said");
let photo = null;
let tellTruth = () => {};
let drawn = {}; // of which answer there are bars, and whether of all classes

/** `setTruth(photo, label)` is called when the tester says what a photo really is. */
export function start(setTruth) {
  tellTruth = setTruth;
  correct.start();
  byId("close").addEventListener("click", () => closeDialog(dialog));
  dialog.addEventListener("close", forget);
  dialog.addEventListener("click", ({ target }) => target === dialog && closeDialog(dialog)); // beside it
  document.addEventListener("keydown", byArrow); // wherever the focus is
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("why").addEventListener("click", () => (isExplained() ? hideHeat() : explain()));
  byId("all-bars").addEventListener("click", () => drawBars(!drawn.all));
  byId("detail-retry").addEventListener("click", () => callbacks.retry(photo));
  byId("detail-remove").addEventListener("click", removeThis);
}

export function open(chosen) {
  photo = chosen;
  byId("detail-name").textContent = photo.name;
  drawn = {};
  hideHeat();
  showLarge();
  refresh();
  if (dialog.hasAttribute("open")) return;
  openDialog(dialog);
  byId("detail-name").focus(); // or some browsers draw a ring round the first button
}

/** Show what has changed about the photo that is open. */
export function refresh() {
  if (!photo) return;
  const { answer } = photo;
  byId("detail-label").textContent = words(photo);
  Object.assign(dialog.dataset, facts(photo));
  if (drawn.answer !== answer) drawBars(false);
  byId("answered").hidden = !answer;
  byId("detail-retry").hidden = !mayRetry(photo);
  const others = shown();
  const place = others.indexOf(photo);
  byId("previous").setAttribute("aria-disabled", place <= 0); // disabled, it would lose the focus
  byId("next").setAttribute("aria-disabled", place < 0 || place === others.length - 1);
  if (answer) showAnswered(answer);
  correct.show(photo);
}

function showAnswered({ probabilities, label, model }) {
  const classes = Object.keys(probabilities);
  whyClass.show(classes, isExplained() ? whyClass.value : label);
  trueClass.show(classes, truth(photo));
  say(byId("detail-model"), `Answered by ${model}.`, { model });
}

/** Bars of the most probable classes, or of all: a thousand are drawn only for who wants to see them. */
function drawBars(all) {
  const { answer } = photo;
  drawn = { answer, all };
  const top = answer ? topOf(answer) : [];
  const every = all ? Object.entries(answer.probabilities).sort(([, a], [, b]) => b - a) : top;
  showBars(dialog.querySelector(".classes"), every);
  const count = answer ? Object.keys(answer.probabilities).length : 0;
  byId("all-bars").hidden = count <= top.length;
  byId("all-bars").setAttribute("aria-expanded", all);
  say(byId("all-bars"), all ? "Show fewer" : `Show all ${count.toLocaleString("en")}`, { count });
}

/** The original, or what stands for it: an address of it lives only until it is shown. */
async function showLarge() {
  const image = dialog.querySelector("img");
  const opened = photo;
  image.removeAttribute("src");
  image.hidden = false;
  byId("no-picture").hidden = true;
  image.alt = `Photo ${photo.name}`;
  try {
    const file = await photo.open();
    if (opened === photo) await showPicture(image, file);
  } catch {
    if (opened !== photo) return;
    const isShown = photo.picture && (await showPicture(image, photo.picture).then(() => true, () => false));
    if (opened !== photo) return;
    image.hidden = !isShown;
    byId("no-picture").hidden = Boolean(isShown);
  }
}

function forget() {
  const { card, row } = photo;
  photo = null;
  dialog.querySelector("img").removeAttribute("src");
  const opened = card.isConnected && !card.parentNode.hidden ? card : row;
  opened?.querySelector(".open").focus(); // also after stepping on to another photo
}

function step(by) {
  const place = shown().indexOf(photo);
  const next = place >= 0 && shown()[place + by];
  if (next) open(next);
}

function byArrow({ key, target }) {
  if (!dialog.hasAttribute("open") || target.matches("select, input")) return; // there, arrows choose
  if (key === "ArrowLeft") step(-1);
  if (key === "ArrowRight") step(1);
}

function removeThis() {
  const removed = photo;
  const next = shown()[shown().indexOf(photo) + 1] ?? shown()[shown().indexOf(photo) - 1];
  if (next) open(next);
  else closeDialog(dialog);
  callbacks.remove(removed);
}

function isExplained() {
  return byId("why").getAttribute("aria-pressed") === "true";
}

function hideHeat() {
  byId("why").setAttribute("aria-pressed", "false");
  say(byId("why-words"), "");
  canvas.hidden = true;
}

async function explain() {
  const [opened, label] = [photo, whyClass.value];
  byId("why").setAttribute("aria-pressed", "true");
  say(byId("why-words"), "Looking…", { state: "looking" });
  try {
    const found = await heatOf(opened, label);
    if (opened === photo && label === whyClass.value && isExplained()) showHeat(found, label);
  } catch (trouble) {
    if (opened !== photo) return;
    hideHeat();
    say(byId("why-words"), trouble.message, { state: "failed", code: codeOf(trouble) });
  }
}

async function heatOf(opened, label) {
  opened.heatmaps ??= {};
  if (opened.heatmaps[label]) return opened.heatmaps[label];
  const form = new FormData();
  form.append("images", await small(opened), opened.name);
  form.append("label", label);
  const { heatmap, fit } = await ask("explain", { method: "POST", body: form });
  return (opened.heatmaps[label] = { heatmap, fit });
}

function showHeat({ heatmap, fit }, label) {
  canvas.width = canvas.height = heatmap.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(heatmap.length, heatmap.length);
  const colour = (value) => COLD.map((cold, part) => cold + value * (HOT[part] - cold));
  heatmap.flat().forEach((value, i) => pixels.data.set(colour(value), 4 * i));
  context.putImageData(pixels, 0, 0);
  const ends = layOver(dialog.querySelector("img"), fit);
  canvas.hidden = false;
  sayWhere(heatmap, label, ends);
}

/** Put the heat map over the part of the photo that the model looks at; returns which ends it does not look at. */
function layOver({ naturalWidth: width, naturalHeight: height }, fit) {
  const shorter = fit === "crop" ? Math.min(width, height) : 0;
  const [across, down] = [width, height].map((side) => (shorter ? shorter / side : 1));
  const percents = { left: (1 - across) / 2, top: (1 - down) / 2, width: across, height: down };
  for (const [name, share] of Object.entries(percents)) canvas.style[name] = `${100 * share}%`;
  if (Math.min(across, down) > WHOLE) return "";
  return across < down ? "left and right" : "top and bottom";
}

/** For those who do not see the colours. */
function sayWhere(heatmap, label, ends) {
  const third = (cell) => Math.floor((3 * cell) / heatmap.length);
  const shares = REGIONS.map(() => 0);
  heatmap.forEach((row, y) => row.forEach((value, x) => (shares[3 * third(y) + third(x)] += value)));
  const all = shares.reduce((sum, share) => sum + share, 0);
  const unseen = ends && ` The model does not look at the ${ends} of this photo.`;
  const told = { label, unseen: ends.replaceAll(" ", "-") };
  if (!all) return say(byId("why-words"), `Nothing in the photo speaks for ${label}.${unseen}`, { state: "nothing", ...told });
  const most = Math.max(...shares);
  const where = REGIONS[shares.indexOf(most)];
  const [region, share] = [where.replace(" ", "-"), percent(most / all)];
  const words = `Bright places speak for ${label}: most in the ${where} of what it sees (${share}).${unseen}`;
  say(byId("why-words"), words, { state: "shown", region, share, ...told });
}
