// How often the model is right about photos whose class is known: from their folder, a CSV file, or the tester.

import { isWrong, photos, percent } from "./album.js";
import { say } from "./say.js";

const Z = 1.959963984540054; // two-sided 95 % of the normal distribution
const NAME_COLUMNS = /^(file|filename|name|path|image|photo)$/i;
const LABEL_COLUMNS = /^(label|class|truth|category)$/i;
const MOST_MISSES = 200; // a longer list is looked at in the album
const MOST_UNKNOWN = 5;

const byId = (id) => document.getElementById(id);
const fromFile = new Map(); // file name or path → label
let classes = [];

export function setClasses(names) {
  classes = names;
}

/** The class that a photo really shows, or "" if nobody has said. */
export function truth(photo) {
  if (photo.truth !== undefined) return photo.truth;
  const said = fromFile.get(photo.path) ?? fromFile.get(photo.name);
  if (said !== undefined) return asClass(said);
  const folders = photo.path.split("/").slice(0, -1).reverse();
  return folders.map(asClass).find(Boolean) ?? "";
}

/** "cat" for cat, Cats or " CAT ", where that is a class; else "". */
function asClass(name) {
  const plain = name.trim().toLowerCase();
  return classes.find((label) => [label.toLowerCase(), `${label.toLowerCase()}s`].includes(plain)) ?? "";
}

/** Take the labels of a CSV file of names and labels, and say how that went: {code, text, …}. */
export async function readLabels(file) {
  const found = namesAndLabels(parsed((await file.text()).replace(/^\uFEFF/, "")));
  for (const [name, label] of found) fromFile.set(name.trim().replaceAll("\\", "/"), label);
  const unknown = [...new Set(found.map(([, label]) => label.trim()).filter((label) => !asClass(label)))];
  const some = [...unknown.slice(0, MOST_UNKNOWN), ...(unknown.length > MOST_UNKNOWN ? ["…"] : [])].join(", ");
  const text = `${found.length} labels were read from ${file.name}.${some && ` Not a class of this model: ${some}.`}`;
  return { code: "labels-read", labels: found.length, unknown: some, text };
}

/** [name, label] of each row: from the columns that are headed so, else from the first two. */
function namesAndLabels(rows) {
  const place = (wanted) => rows[0]?.findIndex((cell) => wanted.test(cell.trim())) ?? -1;
  const [name, label] = [place(NAME_COLUMNS), place(LABEL_COLUMNS)];
  const headed = name >= 0 && label >= 0;
  const pairs = headed ? rows.slice(1).map((row) => [row[name], row[label]]) : rows;
  return pairs.filter(([name, label]) => name && label);
}

/** Rows of cells (RFC 4180), separated by commas, or by semicolons or tabs as spreadsheets like to. */
function parsed(text) {
  const first = text.slice(0, text.search(/[\r\n]|$/));
  const separator = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const rows = [[]];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"\\r\\n${separator}]*))(${separator}|\\r?\\n|$)`, "y");
  for (let match; cell.lastIndex < text.length && (match = cell.exec(text)); ) {
    rows.at(-1).push(match[1]?.replaceAll('""', '"') ?? match[2]);
    if (match[3] !== separator) rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
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
  const sure = known.filter(({ answer }) => answer.sure !== false);
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
  byId("confusion").tHead.replaceChildren(head);
  byId("confusion").tBodies[0].replaceChildren(...classes.map((really) => {
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
  place.querySelector("ul").replaceChildren(...misses.slice(0, MOST_MISSES).map((photo) => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    button.textContent = `${photo.path}: really ${truth(photo)}, answered ${photo.answer.label}`;
    button.addEventListener("click", () => open(photo));
    item.append(button);
    return item;
  }));
}
