// How often one model is right about photos whose class is known beforehand: from their folder, or a table.

import { isWorking } from "./batch.js";
import { fill } from "./browsers.js";
import { namesInShort } from "./model.js";
import { NOT_SURE, isSure, isWrong, percent, photos } from "./photos.js";
import { say } from "./say.js";
import * as tally from "./tally.js";
import { model, truth } from "./truth.js";
import { number, t } from "./words.js";

const Z = 1.959963984540054; // two-sided 95% of the normal distribution
const MOST_MISSES = 200; // a longer list is looked at in the gallery
const MOST_PAIRS = 5;
const MOST_CLASSES = 25; // in a table that people can read

const byId = (id) => document.getElementById(id);
let told = null; // what `tally.state` was when the mistakes were told

/** 95% interval of a share of `right` in `all`: Wilson 1927, as the model's card has it. */
export function interval(right, all) {
  const share = right / all;
  const middle = share + (Z * Z) / (2 * all);
  const half = Z * Math.sqrt((share * (1 - share)) / all + (Z * Z) / (4 * all * all));
  return [(middle - half) / (1 + (Z * Z) / all), (middle + half) / (1 + (Z * Z) / all)];
}

/** The photos that another model has answered. */
export function outdated() {
  return photos.filter(tally.isOutdated);
}

/** `open(photo)` is what a miss does when it is clicked. */
export function show(open) {
  const [right, missed, unsure] = ["right", "missed", "open"].map((kind) => tally.number(`?test-${kind}`));
  const known = right + missed + unsure;
  const others = tally.number("?outdated");
  const gone = tally.number("?class-gone");
  byId("field-test").hidden = known + others + gone === 0;
  sayMarked(known > 0);
  if (known) sayAccuracy(right, right + missed, unsure);
  else say(byId("accuracy"), "");
  say(byId("class-gone"), gone ? t("class-gone", { count: gone }) : "", { gone });
  sayOutdated(others);
  showMistakes(known, open);
}

/** Testers look at what seems wrong: out of what they mark, no accuracy can be made. */
function sayMarked(besideFieldTest) {
  const [right, wrong] = ["?marked-right", "?marked-wrong"].map(tally.number);
  const words = [
    right && t("marked-right", { count: right }),
    wrong && t("marked-wrong", { count: wrong }),
    right + wrong && besideFieldTest && t("marked-apart"),
  ];
  say(byId("marked"), words.filter(Boolean).join(" "), { right, wrong });
}

function sayAccuracy(right, sure, unsure) {
  const data = { right, sure, unsure, known: sure + unsure };
  if (!sure) return say(byId("accuracy"), t("sure-of-none", { count: unsure }), data);
  const [share, low, high] = [right / sure, ...interval(right, sure)].map((value) => percent(value));
  const key = unsure ? "accuracy-when-sure" : "accuracy";
  say(byId("accuracy"), t(key, { right, count: sure, unsure, share, low, high }), { ...data, share, low, high });
}

function sayOutdated(count) {
  byId("outdated").hidden = count === 0;
  const words = t("field-test-anew", { count, model: model.id, names: namesInShort(model.classes) });
  say(byId("outdated").querySelector("p"), count ? words : "", { outdated: count, model: model.id });
}

/** At the end, since with many classes that is much; while photos come in, the sentence has to do. */
function showMistakes(known, open) {
  const later = known === 0 || isWorking();
  byId("mistakes").hidden = later;
  if (later || told === tally.state()) return;
  told = tally.state();
  const counted = photos.filter(tally.isCounted);
  showPairs(counted.filter(isWrong));
  showConfusion(counted);
  showMisses(counted.filter(isWrong), open);
}

/** The most frequent mistakes, in words. */
function showPairs(misses) {
  const counts = countEach(misses.map((photo) => t("taken-for", { truth: truth(photo), answer: photo.answer.label })));
  const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, MOST_PAIRS);
  fill(byId("pairs"), ...most.map(([words, count]) => {
    const item = document.createElement("li");
    say(item, `${words}: ${number(count)}`, { count });
    return item;
  }));
}

function showConfusion(counted) {
  const pairs = counted.map((photo) => [truth(photo), isSure(photo.answer) ? photo.answer.label : NOT_SURE]);
  const occurring = new Set(pairs.flat());
  const classes = model.classes.filter((label) => occurring.has(label));
  const tooMany = classes.length > MOST_CLASSES;
  const count = classes.length;
  say(byId("confusion-title"), t(tooMany ? "confusion-too-large" : "confusion", { count }), { classes: count });
  byId("confusion").parentNode.hidden = tooMany;
  fillConfusion(tooMany ? [] : classes, tooMany ? [] : pairs);
}

/** `pairs` are [class, answer] of each photo. */
function fillConfusion(classes, pairs) {
  const columns = pairs.some(([, said]) => said === NOT_SURE) ? [...classes, NOT_SURE] : classes;
  const counts = countEach(pairs.map((pair) => JSON.stringify(pair)));
  const head = document.createElement("tr");
  const names = columns.map((label) => (label === NOT_SURE ? t("not-sure") : label));
  head.append(document.createElement("td"), ...names.map((name) => headCell(name, "col")));
  fill(byId("confusion").tHead, head);
  fill(byId("confusion").tBodies[0], ...classes.map((really) => {
    const row = document.createElement("tr");
    row.append(headCell(really, "row"));
    for (const said of columns) {
      const cell = row.insertCell();
      cell.textContent = counts.get(JSON.stringify([really, said])) ?? 0;
      cell.dataset.right = really === said;
    }
    return row;
  }));
}

function countEach(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function headCell(text, scope) {
  const cell = Object.assign(document.createElement("th"), { scope });
  cell.textContent = text;
  return cell;
}

function showMisses(misses, open) {
  const place = byId("misses");
  place.hidden = misses.length === 0;
  const many = misses.length;
  say(place.querySelector("summary"), t("misses", { count: many }), { misses: many });
  fill(place.querySelector("ul"), ...misses.slice(0, MOST_MISSES).map((photo) => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    button.textContent = t("miss", { name: photo.path, truth: truth(photo), answer: photo.answer.label });
    button.addEventListener("click", () => open(photo));
    item.append(button);
    return item;
  }));
}
