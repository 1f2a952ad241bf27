// Which photos are shown, in which order: how many there are of each answer are the buttons to choose it by.

import { fill } from "./browsers.js";
import { picker } from "./class_picker.js";
import { FAILED, NOT_SURE, WRONG, answerTo, confidence, isWrong, photos } from "./photos.js";
import { say } from "./say.js";
import * as tally from "./tally.js";
import { number, t } from "./words.js";

const MOST_CHIPS = 8; // buttons; the other classes are in a list
const ALL = "";
const WORDS = new Map([[ALL, t("all")], [NOT_SURE, t("not-sure")], [FAILED, t("without-answer")], [WRONG, t("wrong")]]);

const byId = (id) => document.getElementById(id);
const chips = new Map(); // group → button
const others = picker("other", (label) => choose(label || ALL), t("other-class"));
let wanted = ALL; // a class, or a key of WORDS
let changed = () => {};

/** `whenChanged()` is called when others are to be shown. */
export function start(whenChanged) {
  changed = whenChanged;
  for (const id of ["confidence", "sort"]) byId(id).addEventListener("change", () => changed());
  byId("show-all").addEventListener("click", showAll);
}

function choose(group) {
  wanted = group;
  show();
  changed();
}

function showAll() {
  byId("confidence").value = "0-1";
  choose(ALL);
  chips.get(ALL).focus();
}

/** The photos that the filters let through, in the order that is set. */
export function shown() {
  const [low, high] = byId("confidence").value.split("-").map(Number);
  const within = (share) => share >= low && (share < high || high === 1);
  const limited = low > 0 || high < 1;
  const order = ORDERS[byId("sort").value];
  return photos
    .filter((photo) => fits(photo, limited) && (!limited || within(confidence(photo))))
    .sort((a, b) => order(a, b) || a.number - b.number);
}

/** Whoever asks for cats below 90% wants those too of which the model is not sure. */
function fits(photo, limited) {
  if (wanted === ALL) return true;
  if (wanted === FAILED) return photo.state === "failed";
  if (wanted === WRONG) return isWrong(photo);
  if (!photo.answer) return false;
  if (wanted === NOT_SURE) return photo.answer.confident === false;
  return photo.answer.label === wanted && (limited || photo.answer.confident !== false);
}

const inOrder = new Intl.Collator(undefined, { numeric: true }).compare; // 9 before 10
const ORDERS = {
  number: () => 0,
  name: (a, b) => inOrder(a.path, b.path),
  label: (a, b) => inOrder(answerTo(a), answerTo(b)),
  doubt: (a, b) => confidence(a, 2) - confidence(b, 2),
  confidence: (a, b) => confidence(b) - confidence(a),
};

/** Say how many photos there are of each answer. */
export function show() {
  if (!photos.length) wanted = ALL;
  const answered = tally.answers().sort(([a], [b]) => inOrder(a, b));
  const special = [NOT_SURE, FAILED, WRONG].map((group) => [group, tally.number(group)]);
  const found = [...answered, ...special.filter(([, count]) => count)];
  byId("totals").dataset.counts = JSON.stringify(Object.fromEntries(found));
  const [groups, rest] = chosen(answered, special);
  arrange(byId("totals"), groups.map(([group, count]) => chip(group, count)));
  byId("others").hidden = rest.length === 0;
  if (rest.length) others.show(rest, ALL);
}

/** The groups with a chip, and the classes without: there is room for the most frequent, and for what is chosen. */
function chosen(answered, special) {
  const extra = special.filter(([group, count]) => count || group === wanted);
  const room = MOST_CHIPS - 1 - extra.length;
  const isSpecial = WORDS.has(wanted);
  const frequent = [...answered].sort(([, a], [, b]) => b - a).filter(([label]) => label !== wanted);
  const kept = new Set(frequent.slice(0, isSpecial ? room : room - 1).map(([label]) => label));
  const classes = answered.filter(([label]) => kept.has(label) || label === wanted);
  if (!isSpecial && !classes.some(([label]) => label === wanted)) classes.push([wanted, 0]);
  const rest = answered.map(([label]) => label).filter((label) => !kept.has(label) && label !== wanted);
  return [[[ALL, photos.length], ...classes, ...extra], rest];
}

function chip(group, count) {
  if (!chips.has(group)) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.addEventListener("click", () => choose(group === wanted ? ALL : group));
    chips.set(group, button);
  }
  const button = chips.get(group);
  say(button, `${WORDS.get(group) ?? group} ${number(count)}`, { group, count });
  button.setAttribute("aria-pressed", group === wanted);
  return button;
}

/** Say so where nothing fits, or the photos would seem to be gone. */
export function sayNone(isEmpty) {
  byId("none").hidden = !isEmpty;
  const all = photos.length;
  if (isEmpty) say(byId("none").querySelector("p"), t("none-fits", { count: all }), { all });
}

/** Moving an element takes the focus from it, so only where one is out of place. */
export function arrange(parent, children) {
  if (children.length === parent.children.length && children.every((child, i) => child === parent.children[i])) return;
  const focused = document.activeElement;
  fill(parent, ...children);
  if (parent.contains(focused)) focused.focus();
}
