// Where in a photo the model looked: a heat map over the picture, and the same in words.

import { picker } from "./class_picker.js";
import { percent } from "./photos.js";
import { seen } from "./resize.js";
import { say } from "./say.js";
import { ask, codeOf, messageOf } from "./service.js";
import { t } from "./words.js";

const COLD = [10, 10, 60, 190]; // red, green, blue, opacity: what does not matter lies in the dark
const HOT = [255, 170, 30, 90];
const WHOLE = 0.97; // of a side: what is cut off beyond that is worth a word
const REGIONS = ["upper-left", "top", "upper-right", "left", "middle", "right", "lower-left", "bottom", "lower-right"];
const FEW = 2; // classes: what speaks for one speaks against the other

const byId = (id) => document.getElementById(id);
const [image, canvas] = ["img", "canvas"].map((name) => document.querySelector(`#detail ${name}`));
const whyClass = picker("why-class", explain);
let photo = null;

export function start() {
  byId("why").addEventListener("click", () => (isShown() ? hide() : explain()));
}

export function open(opened) {
  photo = opened;
  hide();
}

/** Offer the classes of the photo that is open. */
export function show() {
  const classes = Object.keys(photo.answer.probabilities);
  byId("why-for").hidden = classes.length <= FEW || !isShown();
  whyClass.show(classes, isShown() ? whyClass.value : photo.answer.label);
}

function isShown() {
  return byId("why").dataset.shown === "true";
}

function mark(isOver) {
  say(byId("why"), t(isOver ? "show-photo" : "show-where"), { shown: isOver });
}

function hide() {
  mark(false);
  byId("why-for").hidden = true;
  say(byId("why-words"), "");
  canvas.hidden = true;
}

async function explain() {
  const [opened, label] = [photo, whyClass.value];
  mark(true);
  show();
  say(byId("why-words"), t("checking"), { state: "looking" });
  try {
    const found = await heatmapOf(opened, label);
    if (opened === photo && label === whyClass.value && isShown()) draw(found, label);
  } catch (trouble) {
    if (opened !== photo) return;
    hide();
    say(byId("why-words"), messageOf(trouble), { state: "failed", code: codeOf(trouble) });
  }
}

async function heatmapOf(opened, label) {
  opened.heatmaps ??= new Map();
  if (opened.heatmaps.has(label)) return opened.heatmaps.get(label);
  const form = new FormData();
  form.append("images", await seen(opened), opened.name);
  form.append("label", label);
  const { heatmap, fit } = await ask("explain", { method: "POST", body: form });
  opened.heatmaps.set(label, { heatmap, fit });
  return { heatmap, fit };
}

function draw({ heatmap, fit }, label) {
  canvas.width = canvas.height = heatmap.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(heatmap.length, heatmap.length);
  const color = (value) => COLD.map((cold, part) => cold + value * (HOT[part] - cold));
  heatmap.flat().forEach((value, i) => pixels.data.set(color(value), 4 * i));
  context.putImageData(pixels, 0, 0);
  const unseen = layOver(fit);
  canvas.hidden = false;
  sayWhere(heatmap, label, unseen);
}

/** Put the heat map over the part of the photo that the model looks at; returns which ends it does not look at. */
function layOver(fit) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const shorter = fit === "crop" ? Math.min(width, height) : 0;
  const [across, down] = [width, height].map((side) => (shorter ? shorter / side : 1));
  const percents = { left: (1 - across) / 2, top: (1 - down) / 2, width: across, height: down };
  for (const [name, share] of Object.entries(percents)) canvas.style[name] = `${100 * share}%`;
  if (Math.min(across, down) > WHOLE) return "";
  return across < down ? "left-and-right" : "top-and-bottom";
}

/** For those who do not see the colors. */
function sayWhere(heatmap, label, unseen) {
  const third = (cell) => Math.floor((3 * cell) / heatmap.length);
  const shares = REGIONS.map(() => 0);
  heatmap.forEach((row, y) => row.forEach((value, x) => (shares[3 * third(y) + third(x)] += value)));
  const all = shares.reduce((sum, share) => sum + share, 0);
  const most = Math.max(...shares);
  const region = all ? REGIONS[shares.indexOf(most)] : "";
  const share = percent(all && most / all);
  const words = all ? t(`most-${region}`, { label, share }) : t("nothing-speaks-for", { label });
  const data = all ? { state: "shown", region, share } : { state: "nothing" };
  const notSeen = unseen && ` ${t(`unseen-${unseen}`)}`;
  say(byId("why-words"), words + notSeen, { ...data, label, unseen });
}
