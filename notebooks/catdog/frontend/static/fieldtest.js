// How often the model is right about photos whose class is known: from their folder, a table, or the tester.

import { fill } from "./browsers.js";
import { isWrong, photos, percent } from "./gallery.js";
import { say } from "./say.js";

const Z = 1.959963984540054; // two-sided 95 % of the normal distribution
const MOST_MISSES = 200; // a longer list is looked at in the gallery
const MOST_UNKNOWN = 5;

const byId = (id) => document.getElementById(id);
const fromFile = new Map(); // as `keysOf` gives it → label
let classes = [];

export function setClasses(names) {
  classes = names;
}

/** The class that a photo really shows, or "" if nobody has said. */
export function truth(photo) {
  if (photo.truth !== undefined) return photo.truth;
  const said = labelFromFile(photo);
  if (said !== undefined) return asClass(said);
  const folders = photo.path.split("/").slice(0, -1).reverse();
  return folders.map(asClass).find(Boolean) ?? "";
}

/** What a table says of a photo, as it stands there; `label` is what one said before the page was loaded again. */
export function labelFromFile(photo) {
  return keysOf(photo).map((key) => fromFile.get(key)).find((label) => label !== undefined) ?? photo.label;
}

/** What a table may call a photo: its path or its name, with the ending or without. */
function keysOf({ path, name }) {
  return [path, name].flatMap((text) => [asKey(text), asKey(text).replace(/\.[^./]*$/, "")]);
}

function asKey(text) {
  return text.trim().replaceAll("\\", "/").replace(/^\.\//, "").normalize().toLowerCase();
}

/** "cat" for cat, Cats or " CAT ", where that is a class; else "". */
function asClass(name) {
  const plain = name.trim().toLowerCase();
  return classes.find((label) => [label.toLowerCase(), `${label.toLowerCase()}s`].includes(plain)) ?? "";
}

/** Take the labels of a table of photos and classes, and say how that went: {code, text, …}. */
export async function readLabels(file) {
  const { namesAndLabels } = await import("./table.js"); // few testers need it
  const here = new Set(photos.flatMap(keysOf));
  const found = await namesAndLabels(file, asClass, (text) => here.has(asKey(text))).catch(() => []); // what is no table
  for (const [name, label] of found) fromFile.set(asKey(name), label);
  const unknown = [...new Set(found.map(([, label]) => label.trim()).filter((label) => !asClass(label)))];
  const some = [...unknown.slice(0, MOST_UNKNOWN), ...(unknown.length > MOST_UNKNOWN ? ["…"] : [])].join(", ");
  const text = `${found.length} labels were read from ${file.name}.${some && ` Not a class of this model: ${some}.`}`;
  return { code: "labels-read", labels: found.length, unknown: some, text };
}

/** 95 % interval of a share of `right` in `all`: Wilson 1927, as the model's card has it. */
export function interval(right, all) {
  const share = right / all;
  const middle = share + (Z * Z) / (2 * all);
  const half = Z * Math.sqrt((share * (1 - share)) / all + (Z * Z) / (4 * all * all));
  return [(middle - half) / (1 + (Z * Z) / all), (middle + half) / (1 + (Z * Z) / all)];
}

/** `open(photo)` is what a miss does when it is clicked. */
export function show(open) {
  const known = photos.filter((photo) => photo.answer && truth(photo));
  byId("field-test").hidden = known.length === 0;
  if (!known.length) return;
  const misses = known.filter(isWrong);
  sayAccuracy(known, misses.length);
  showConfusion(known);
  showMisses(misses, open);
}

function sayAccuracy(known, missed) {
  const right = known.length - missed;
  const [low, high] = interval(right, known.length);
  const [share, from, to] = [percent(right / known.length), percent(low), percent(high)];
  const words = `${right} of ${known.length} right: ${share} (95 % interval ${from} to ${to}).`;
  const sure = known.filter(({ answer }) => answer.confident !== false);
  const sureRight = sure.filter((photo) => !isWrong(photo)).length;
  const unsure = known.length - sure.length;
  const others = unsure ? ` Not sure of ${unsure}; of the others ${sureRight} of ${sure.length} right.` : "";
  say(byId("accuracy"), words + others, { right, known: known.length, share, low: from, high: to, unsure, sureRight });
}

function showConfusion(known) {
  const counts = new Map();
  for (const photo of known) {
    const key = JSON.stringify([truth(photo), photo.answer.label]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const head = document.createElement("tr");
  head.append(document.createElement("td"), ...classes.map((label) => headCell(label, "col")));
  fill(byId("confusion").tHead, head);
  fill(byId("confusion").tBodies[0], ...classes.map((really) => {
    const row = document.createElement("tr");
    row.append(headCell(really, "row"));
    for (const answered of classes) {
      const cell = row.insertCell();
      cell.textContent = counts.get(JSON.stringify([really, answered])) ?? 0;
      cell.dataset.right = really === answered;
    }
    return row;
  }));
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
  say(place.querySelector("summary"), many === 1 ? "1 miss" : `${many} misses`, { misses: many });
  fill(place.querySelector("ul"), ...misses.slice(0, MOST_MISSES).map((photo) => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    button.textContent = `${photo.path}: really ${truth(photo)}, answered ${photo.answer.label}`;
    button.addEventListener("click", () => open(photo));
    item.append(button);
    return item;
  }));
}
