// What photos really show, as far as somebody has said: their folder, a table, or the tester.

import { t } from "./words.js";

export const NONE = "?none"; // what a tester calls a photo that shows none of the classes
const MOST_NAMED = 5; // of what is told by name

const fromTable = new Map(); // as `keysOf` gives it → label
let byName = new Map(); // a class as people call it → the class
let changes = 0; // of classes and tables: what was found before has to be looked for again
export let model = { id: "", classes: [] };

/** The model that the page speaks of: `id` is "<name>/<version>". */
export function setModel(now) {
  if (now.id === model.id && now.classes.join() === model.classes.join()) return;
  model = now;
  byName = new Map();
  const called = [(label) => label, (label) => label.toLowerCase(), (label) => `${label.toLowerCase()}s`];
  for (const name of called) for (const label of now.classes) if (!byName.has(name(label))) byName.set(name(label), label);
  changes += 1;
}

/** "cat" for cat, Cats or " CAT ", where that is a class; else "". */
export function asClass(name) {
  return byName.get(name) ?? byName.get(name.trim().toLowerCase()) ?? "";
}

/** The class that a photo really shows, NONE of them, or "" if nobody has said. The tester's word comes first. */
export function truth(photo) {
  if (photo.truth === NONE) return NONE;
  return photo.truth === undefined ? filedAs(photo) : asClass(photo.truth);
}

/** Whether a photo belongs to the field test: its folder or a table says its class. */
export function isFiled(photo) {
  return filedAs(photo) !== "" && !["", NONE].includes(truth(photo));
}

/** Whether it did for some model, even if this one does not know its class. */
export function wasFiled(photo) {
  return isFiled(photo) || Boolean(photo.wasFiled);
}

function filedAs(photo) {
  if (photo.filed?.changes !== changes) photo.filed = { changes, label: lookUp(photo) };
  if (photo.filed.label) photo.wasFiled = true;
  return photo.filed.label;
}

function lookUp(photo) {
  const said = labelFromTable(photo);
  if (said !== undefined) return asClass(said);
  const folders = photo.path.split("/").slice(0, -1).reverse();
  return folders.map(asClass).find(Boolean) ?? "";
}

/** What a table says of a photo, as it stands there; `label` is what one said before the page was loaded again. */
export function labelFromTable(photo) {
  return keysOf(photo).map((key) => fromTable.get(key)).find((label) => label !== undefined) ?? photo.label;
}

/** What a table may call a photo: its path or its name, with the ending or without. */
function keysOf({ path, name }) {
  return [path, name].flatMap((text) => [asKey(text), asKey(text).replace(/\.[^./]*$/, "")]);
}

function asKey(text) {
  return text.trim().replaceAll("\\", "/").replace(/^\.\//, "").normalize().toLowerCase();
}

/** Take the labels of a table of `photos` and classes, and say how that went: {code, text, …}. */
export async function readLabels(file, photos) {
  const { namesAndLabels } = await import("./table.js"); // few testers need it
  const here = countedKeys(photos);
  const found = await namesAndLabels(file, asClass, (text) => here.has(asKey(text))).catch(() => []); // what is no table
  const labels = new Map();
  for (const [name, label] of found) {
    const key = asKey(name);
    labels.set(key, (labels.get(key) ?? new Set()).add(asClass(label) || label.trim()));
  }
  const twice = [...labels].filter(([, said]) => said.size > 1).map(([key]) => key);
  for (const [key, [label, other]] of labels) fromTable.set(key, other === undefined ? label : "");
  changes += 1;
  const shared = [...labels.keys()].filter((key) => here.get(key) > 1);
  const unknown = [...new Set(found.map(([, label]) => label.trim()))].filter((label) => !asClass(label));
  const told = { unknown: some(unknown), twice: some(twice), shared: some(shared) };
  return { code: "labels-read", labels: found.length, ...told, text: sentences(found.length, file.name, told) };
}

/** How many photos a name fits, by name. */
function countedKeys(photos) {
  const counts = new Map();
  for (const photo of photos) for (const key of new Set(keysOf(photo))) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

function some(names) {
  return [...names.slice(0, MOST_NAMED), ...(names.length > MOST_NAMED ? ["…"] : [])].join(", ");
}

function sentences(count, name, { unknown, twice, shared }) {
  return [
    t("labels-read", { count, name }),
    unknown && t("labels-unknown", { names: unknown }),
    twice && t("labels-twice", { names: twice }),
    shared && t("labels-shared", { names: shared }),
  ].filter(Boolean).join(" ");
}
