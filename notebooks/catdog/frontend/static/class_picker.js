// The choice of a class: a <select> of few; of many, a field that finds one by a part of its name.

import { fill } from "./browsers.js";
import { t } from "./words.js";

const MOST_OPTIONS = 12; // in a <select>

const byId = (id) => document.getElementById(id);

/**
 * The <select> called `id`, and the field called `id`-search after it. `choose(label)` is told what was chosen;
 * `none` is what the <select> calls no class, where that is a choice.
 */
export function picker(id, choose, none) {
  const [select, field] = [byId(id), byId(`${id}-search`)];
  const picked = { classes: [], value: "" };
  const chosen = (label) => choose((picked.value = label));
  select.addEventListener("change", () => chosen(select.value));
  field.addEventListener("change", listen(field, picked, none, chosen));
  return {
    get value() {
      return picked.value;
    },
    /** Offer these classes, with `value` chosen. */
    show(classes, value) {
      Object.assign(picked, { classes, value });
      const many = classes.length > MOST_OPTIONS;
      [select.hidden, field.hidden] = [many, !many];
      if (many) return document.activeElement === field || (field.value = value);
      offer(select, none === undefined ? classes : ["", ...classes], none);
      select.value = value;
    },
  };
}

/** A field that finds a class by a part of its name. `choose(label)` is told what was found, but only on Enter or when a
 * suggestion is taken: what is half typed when somebody turns to something else is not said. */
export function search(field, choose) {
  const found = { classes: [], value: "" };
  const decide = listen(field, found, "", choose);
  field.addEventListener("keydown", ({ key, isComposing }) => key === "Enter" && !isComposing && decide());
  return {
    show(classes) {
      found.classes = classes;
      if (document.activeElement !== field) field.value = "";
    },
  };
}

/** Gives a function that takes what stands in the field. */
function listen(field, picked, none, chosen) {
  const decide = () => {
    const label = field.value.trim() || none === undefined ? find(picked.classes, field.value) : "";
    if (label === undefined) return refuse(field);
    field.value = label;
    if (label !== picked.value) chosen(label);
  };
  field.addEventListener("focus", () => suggest(picked.classes));
  field.addEventListener("input", ({ inputType = "insertReplacementText" }) => {
    field.setCustomValidity("");
    if (inputType === "insertReplacementText") decide(); // one of the suggestions
  });
  return decide;
}

function refuse(field) {
  field.setCustomValidity(t("class-not-found", { name: field.value }));
  field.reportValidity();
}

/** Only while somebody looks for one: a thousand in each place would be slow. */
function suggest(classes) {
  fill(byId("class-names"), ...classes.map((label) => new Option(label)));
}

/** The class called so, or the only one that begins with or holds the text; else undefined. */
function find(classes, text) {
  const wanted = text.trim().toLowerCase();
  const fits = [(name) => name === wanted, (name) => name.startsWith(wanted), (name) => name.includes(wanted)];
  for (const fit of fits) {
    const found = classes.filter((label) => fit(label.toLowerCase()));
    if (found.length === 1) return found[0];
  }
  return undefined;
}

function offer(select, values, none) {
  if ([...select.options].map(({ value }) => value).join() === values.join()) return;
  fill(select, ...values.map((value) => new Option(value || none, value)));
}
