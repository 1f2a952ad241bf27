// What a tester should know about the model: its classes first, the rest for those who ask.

import { fill } from "./browsers.js";
import { percent } from "./photos.js";
import { say } from "./say.js";
import { isolated, language, t } from "./words.js";

const MOST_NAMES = 12; // more classes are named when somebody wants to see them
const FIRST_NAMES = 5;
const MOST_IN_TITLE = 3;

const byId = (id) => document.getElementById(id);

/** `card` is the service's answer to /model. */
export function describe(card) {
  const { classes } = card;
  document.title = document.querySelector("h1").textContent = title(classes);
  say(byId("model"), "", { model: `${card.name}/${card.version}`, classes: classes.join(", ") });
  showNames(classes);
  byId("privacy").textContent = t(card.corrections ? "kept-if-corrected" : "photos-not-kept");
  byId("synthetic").textContent = (card.synthetic ?? card.drawings) ? t("synthetic") : "";
  byId("about").hidden = false;
  byId("about").querySelector("p").textContent = aboutInWords(card);
  byId("all-classes").textContent = classes.length > MOST_NAMES ? t("all-classes", { names: classes.join(", ") }) : "";
}

function title(classes) {
  if (classes.length > MOST_IN_TITLE) return t("which-of", { count: classes.length });
  const question = t("which", { classes: oneOf(classes) });
  return question.replace(/^[¿\u2068]*\p{L}/u, (start) => start.toLocaleUpperCase(language));
}

/** "cat or dog". (Intl.ListFormat: Safari 14.1, Chrome 72, Firefox 78.) */
function oneOf(classes) {
  const names = classes.map(isolated);
  return Intl.ListFormat ? new Intl.ListFormat(language, { type: "disjunction" }).format(names) : names.join(" / ");
}

function showNames(classes) {
  const names = classes.length > MOST_NAMES ? classes.slice(0, FIRST_NAMES) : classes;
  const rest = classes.length - names.length;
  const chips = names.flatMap((label, i) => [i ? span("unseen", ",") : "", " ", span("name", label)]); // commas to be read out
  fill(byId("model"), t("knows"), ...chips, ...(rest ? [" ", t("more-classes", { count: rest })] : []));
}

function span(className, textContent) {
  return Object.assign(document.createElement("span"), { className, dir: "auto", textContent });
}

/** "cat, dog"; of a thousand, how many there are and the first ones. */
export function namesInShort(classes) {
  const names = classes.slice(0, classes.length > MOST_NAMES ? FIRST_NAMES : MOST_NAMES).map(isolated).join(", ");
  return classes.length > MOST_NAMES ? t("names-of-many", { count: classes.length, names }) : names;
}

function aboutInWords(card) {
  const by = card.judged_by ?? (card.metrics?.["cross-validation"] ? "cross-validation" : "test");
  const judged = card.metrics?.[by];
  const date = card.created && new Date(card.created).toLocaleDateString(language, { dateStyle: "medium" });
  const accuracy = judged?.photos && t(`accuracy-${by}`, { count: judged.photos, accuracy: percent(judged.accuracy) });
  return [t("model-version", card), date && t("trained-on", { date }), accuracy, t("not-sure-means")].filter(Boolean).join(" ");
}
