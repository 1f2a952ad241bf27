// The photos on the page, and what is known of each: its state, its answer, and whether that is right.

import { isHalted } from "./batch.js";
import { NONE, truth } from "./truth.js";
import { number, t } from "./words.js";

export const NOT_SURE = "?not sure"; // no class can be called so: its name would be a folder's
export const FAILED = "?failed";
export const WRONG = "?wrong";
const TOP = 5; // classes of an answer that a card shows

/** Each has `number`, `name`, `path`, `size`, `open`, `card`, and what `batch.enqueue` gives it. */
export const photos = [];
const tops = new WeakMap(); // answer → its most probable classes

/** How sure the model is of a photo's class, 0 to 1, or `missing` without an answer. */
export function confidence({ answer }, missing = -1) {
  return answer ? answer.probabilities[answer.label] : missing;
}

/** The class, or that it is not sure; "" without an answer. */
export function answerTo({ answer }) {
  if (!answer) return "";
  return isSure(answer) ? answer.label : t("not-sure");
}

export function isSure({ confident }) {
  return confident !== false;
}

/** A sure answer that is not the truth. */
export function isWrong(photo) {
  return Boolean(photo.answer) && isSure(photo.answer) && isOther(photo);
}

function isOther(photo) {
  return ![photo.answer.label, ""].includes(truth(photo));
}

/** What a photo really shows, in words; "" if nobody has said. */
export function truthInWords(photo) {
  return truth(photo) === NONE ? t("none-of-these") : truth(photo);
}

/** [class, probability] of the most probable classes, the first first. They are looked for once an answer. */
export function topOf(answer) {
  if (!tops.has(answer)) tops.set(answer, largest(answer.probabilities));
  return tops.get(answer);
}

/** Without sorting: a model may know a thousand classes. */
function largest(probabilities) {
  const found = [];
  for (const [label, probability] of Object.entries(probabilities)) {
    if (found.length === TOP && probability <= found[TOP - 1][1]) continue;
    const place = found.findIndex(([, other]) => other < probability);
    found.splice(place < 0 ? found.length : place, 0, [label, probability]);
    found.length = Math.min(found.length, TOP);
  }
  return found;
}

/** A photo's state and answer as they stand in data- attributes. */
export function facts(photo) {
  const { state, code, answer } = photo;
  return {
    state, code: isHeldUp(photo) ? "code-missing" : (code ?? ""), label: answer?.label ?? "",
    sure: answer?.confident !== false, familiar: answer?.in_distribution !== false,
    wrong: isWrong(photo), truth: truth(photo),
  };
}

/** It has no answer, and may have one when it is sent again. */
export function mayRetry({ state, retryable }) {
  return state === "failed" && Boolean(retryable);
}

/** It waits for the access code. */
function isHeldUp({ state }) {
  return state === "waiting" && !document.getElementById("access").hidden;
}

/** A photo's state or answer in words. */
export function words(photo) {
  const { answer, state, why } = photo;
  if (state === "failed") return why;
  if (isHeldUp(photo)) return t("waits-for-code");
  if (state === "waiting" && isHalted()) return t("not-sent");
  if (!answer) return t(state === "sending" ? "checking" : "waiting");
  return isOther(photo) ? t("actually", { answer: guess(answer), truth: truthInWords(photo) }) : guess(answer);
}

/** The same for a card, which has little room: the opened photo says why the model is not sure. */
export function wordsInShort(photo) {
  return photo.answer && !isSure(photo.answer) && !isOther(photo) ? t("not-sure") : words(photo);
}

function guess(answer) {
  if (isSure(answer)) return answer.label;
  return answer.in_distribution === false ? t("unfamiliar") : t("perhaps", answer);
}

/** A share that was counted: "97.0%". */
export function percent(share, digits = 1) {
  return number(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A probability in whole percents. No model is certain. */
export function chance(probability) {
  const whole = Math.round(100 * probability);
  if (whole >= 100) return `> ${percent(0.99, 0)}`;
  return whole > 0 ? percent(probability, 0) : `< ${percent(0.01, 0)}`;
}

/** A probability with one decimal, or with two where one would make it certain. */
export function exactChance(probability) {
  return probability < 0.9995 ? percent(probability) : percent(Math.min(0.9999, Math.floor(1e4 * probability) / 1e4), 2);
}
