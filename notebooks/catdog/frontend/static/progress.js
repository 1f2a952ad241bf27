// How far it is: a bar, a sentence with the time left, and now and then a word for those who listen.

import { isWorking } from "./batch.js";
import { answerTo, chance, confidence, photos } from "./photos.js";
import { say } from "./say.js";
import { word } from "./store.js";
import * as tally from "./tally.js";
import { keepAwake } from "./wake_lock.js";
import { number, t } from "./words.js";

const SPOKEN_EVERY = 15_000; // milliseconds
const FEW = 3; // photos, of which each answer is spoken

const byId = (id) => document.getElementById(id);
let run = null; // {began, done}: when the photos began to be sent that are under way now, and how many were done then
let spoken = 0;
let busy = { message: "", code: "", until: 0 };
let ticking = null;

/** The service is busy for so long, and says why; no message: not any more. */
export function setBusy({ message = "", code = "", seconds = 0 }) {
  busy = { message, code, until: Date.now() + 1000 * seconds };
  clearInterval(ticking);
  if (message) ticking = setInterval(show, 1000);
  show();
}

export function show() {
  const [done, failed, waiting, retryable] = ["?done", "?failed", "?waiting", "?retryable"].map(tally.number);
  const all = photos.length;
  const working = isWorking();
  if (working && !run) run = { began: Date.now(), done: done + failed };
  byId("run").hidden = all === 0;
  byId("progress").max = all || 1;
  byId("progress").value = done + failed;
  byId("progress").hidden = !working;
  byId("cancel").hidden = !working;
  byId("retry-all").hidden = working || !retryable;
  byId("retry-all").textContent = t("retry", { count: retryable });
  const words = inNumbers(done, failed, working ? 0 : waiting, all);
  const sentence = working ? `${words} ${hurry(done + failed, all)}` : words;
  say(byId("status"), sentence, { done, failed, waiting, all, working, ...(working && paused()) });
  const { text = "", ...about } = word(all) ?? {};
  say(byId("kept"), text, about);
  keepAwake(working);
  speak(working, words, done);
  if (!working) run = null;
}

function inNumbers(done, failed, waiting, all) {
  const sentences = [t("done", { done, count: all })];
  if (failed) sentences.push(t("failed", { count: failed }));
  if (waiting) sentences.push(t("unsent", { count: waiting }));
  return all ? sentences.join(" ") : "";
}

/** Why nothing is sent for so many seconds more, if so. */
function paused() {
  return busy.message && { code: busy.code, seconds: Math.max(1, Math.round((busy.until - Date.now()) / 1000)) };
}

function hurry(settled, all) {
  if (paused()) return `${busy.message} ${t("trying-again", paused())}`;
  const [seconds, count] = [(Date.now() - run.began) / 1000, settled - run.done];
  if (count < 1 || seconds < 1) return "";
  const rate = number(count / seconds, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return t("pace", { rate, left: duration(((all - settled) * seconds) / count) });
}

function duration(seconds) {
  return seconds < 90 ? t("seconds", { seconds: Math.ceil(seconds) }) : t("minutes", { minutes: Math.round(seconds / 60) });
}

/** Not each photo of many, or a screen reader would never come to an end. */
function speak(working, words, done) {
  if (working && Date.now() - spoken < SPOKEN_EVERY) return;
  if (!working && !run) return; // the end has been told
  spoken = Date.now();
  const few = photos.length <= FEW ? photos.filter(({ answer }) => answer).map(inWords) : [];
  if (working && done === 0) say(byId("spoken"), t("sending-photos"), { code: "sending" });
  else say(byId("spoken"), [words, ...few].join(" "), { code: working ? "progress" : "done", done });
}

function inWords(photo) {
  return t("spoken-answer", { name: photo.name, answer: answerTo(photo), chance: chance(confidence(photo)) });
}
