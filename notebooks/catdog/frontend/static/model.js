// What the page says of the model that answers.

import { percent } from "./photos.js";
import { say } from "./say.js";

const MOST_NAMES = 12; // more classes are named when somebody wants to see them
const FIRST_NAMES = 5;
const BY = { test: "test photos right", "cross-validation": "photos right, by cross-validation" };

const byId = (id) => document.getElementById(id);

/** `card` is the service's answer to /model. */
export function describe(card) {
  const { classes } = card;
  const model = `${card.name}/${card.version}`;
  say(byId("model"), `Knows ${namesInShort(classes)}. ${inWords(card)}`, { model, classes: classes.join(", ") });
  byId("all-classes").hidden = classes.length <= MOST_NAMES;
  byId("all-classes").querySelector("p").textContent = classes.length > MOST_NAMES ? classes.join(", ") : "";
}

/** "cat, dog"; of a thousand, how many there are and the first ones. */
export function namesInShort(classes) {
  if (classes.length <= MOST_NAMES) return classes.join(", ");
  return `${classes.length.toLocaleString("en")} classes: ${classes.slice(0, FIRST_NAMES).join(", ")} …`;
}

function inWords(card) {
  const by = card.judged_by ?? (card.metrics?.["cross-validation"] ? "cross-validation" : "test");
  const judged = card.metrics?.[by];
  const accuracy = judged?.photos ? ` ${percent(judged.accuracy)} of ${judged.photos} ${BY[by]}.` : "";
  const date = card.created && new Date(card.created).toLocaleDateString(undefined, { dateStyle: "medium" });
  const isDrawn = card.synthetic ?? card.drawings;
  const warning = isDrawn ? " Trained on drawings only: it knows nothing of real photos." : "";
  return `Model ${card.name}${date ? ` of ${date}` : ""}, version ${card.version}.${accuracy}${warning}`;
}
