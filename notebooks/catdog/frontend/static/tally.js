// How many photos there are of each kind. A photo is counted again when it changes, not at each look.

import { NOT_SURE, WRONG, isSure, isWrong, mayRetry } from "./photos.js";
import { isFiled, model, truth, wasFiled } from "./truth.js";

const counts = new Map(); // kind → how many
const countedAs = new Map(); // photo → its kinds
const changed = new Set(); // photos that may be of other kinds by now
let round = 0;

/** A photo has changed. One that was removed may still be told of. */
export function touch(photo) {
  if (!photo.removed) changed.add(photo);
}

/** A photo is no longer there. */
export function drop(photo) {
  changed.delete(photo);
  count(photo, []);
}

/** How many photos are of this kind: a class, a word of `photos.js`, or one of those in `kindsOf`. */
export function number(kind) {
  settle();
  return counts.get(kind) ?? 0;
}

/** [class, how many photos were surely answered so], of those that occur. */
export function answers() {
  settle();
  return [...counts].filter(([kind]) => !kind.startsWith("?"));
}

/** Another number when anything else is counted than before. */
export function state() {
  settle();
  return round;
}

function settle() {
  for (const photo of changed) count(photo, kindsOf(photo));
  changed.clear();
}

function count(photo, kinds) {
  const before = countedAs.get(photo) ?? [];
  for (const kind of before) add(kind, -1);
  for (const kind of kinds) add(kind, 1);
  if (kinds.length) countedAs.set(photo, kinds);
  else countedAs.delete(photo);
  round += 1;
}

function add(kind, by) {
  const now = (counts.get(kind) ?? 0) + by;
  if (now) counts.set(kind, now);
  else counts.delete(kind);
}

function kindsOf(photo) {
  const { answer, state } = photo;
  const kinds = [`?${state}`]; // "?failed" is FAILED
  if (mayRetry(photo)) kinds.push("?retryable");
  if (!answer) return kinds;
  kinds.push(isSure(answer) ? answer.label : NOT_SURE);
  if (isWrong(photo)) kinds.push(WRONG);
  if (isCounted(photo)) kinds.push(fieldTestKind(photo));
  else if (answer.model === model.id && wasFiled(photo)) kinds.push("?class-gone");
  else if (isWrong(photo) && !isFiled(photo)) kinds.push("?marked-wrong");
  else if (truth(photo) === answer.label && !isFiled(photo)) kinds.push("?marked-right");
  if (isOutdated(photo)) kinds.push("?outdated");
  return kinds;
}

function fieldTestKind(photo) {
  if (!isSure(photo.answer)) return "?test-open";
  return photo.answer.label === truth(photo) ? "?test-right" : "?test-missed";
}

/** It belongs to the field test of this model. */
export function isCounted(photo) {
  return Boolean(photo.answer) && photo.answer.model === model.id && isFiled(photo);
}

/** It would, but another model has answered it. */
export function isOutdated(photo) {
  return Boolean(photo.answer) && photo.answer.model !== model.id && wasFiled(photo);
}
