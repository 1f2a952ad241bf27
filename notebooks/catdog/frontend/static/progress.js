// How far it is: a bar, a sentence with the time left, and now and then a word for those who listen.

import { isWorking } from "./batch.js";
import { answerTo, percent, photos, confidence } from "./album.js";

const SPOKEN_EVERY = 15_000; // milliseconds
const FEW = 3; // photos, of which each answer is spoken

const byId = (id) => document.getElementById(id);
let run = null; // {began, done}: when the photos began to be sent that are under way now, and how many were done then
let spoken = 0;
let busy = { message: "", until: 0 };
let ticking = null;

/** The service is busy for so long; no message: not any more. */
export function setBusy(message, seconds) {
  busy = { message, until: Date.now() + 1000 * seconds };
  clearInterval(ticking);
  if (message) ticking = setInterval(show, 1000);
  show();
}

export function show() {
  const count = (state) => photos.filter((photo) => photo.state === state).length;
  const [done, failed, waiting, all] = [count("done"), count("failed"), count("waiting"), photos.length];
  const working = isWorking();
  if (working && !run) run = { began: Date.now(), done: done + failed };
  byId("run").hidden = all === 0;
  byId("progress").max = all || 1;
  byId("progress").value = done + failed;
  byId("progress").hidden = !working;
  byId("cancel").hidden = !working;
  byId("retry-all").hidden = working || failed === 0;
  const others = [failed && `${failed} without an answer`, !working && waiting && `${waiting} waiting`];
  const words = [`${done} of ${all} photos done`, ...others.filter(Boolean)].join(", ");
  byId("status").textContent = all ? words + (working ? hurry(done + failed, all) : ".") : "";
  speak(working, words, done);
  if (!working) run = null;
}

function hurry(settled, all) {
  const rest = Math.max(1, Math.round((busy.until - Date.now()) / 1000));
  if (busy.message) return `. ${busy.message} Going on in ${rest} s.`;
  const [seconds, count] = [(Date.now() - run.began) / 1000, settled - run.done];
  if (count < 1 || seconds < 1) return "…";
  return `, ${(count / seconds).toFixed(1)} a second, about ${duration(((all - settled) * seconds) / count)} left…`;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** Not each photo of many, or a screen reader would never come to an end. */
function speak(working, words, done) {
  if (working && Date.now() - spoken < SPOKEN_EVERY) return;
  if (!working && !run) return; // the end has been told
  spoken = Date.now();
  const few = photos.length <= FEW ? photos.filter(({ answer }) => answer).map(inWords) : [];
  byId("spoken").textContent = working && done === 0 ? "Sending photos." : [`${words}.`, ...few].join(" ");
}

function inWords(photo) {
  return `${photo.name}: ${answerTo(photo)}, ${percent(confidence(photo))}.`;
}
