// The words of the scripts, in the language of the page. They stand in words/<language>.json, and come with page.html.

const root = document.documentElement;
const words = JSON.parse(document.getElementById("words").textContent);
const plurals = new Intl.PluralRules(root.lang);

export const language = root.lang;
export const isRightToLeft = root.dir === "rtl";

/** The words for `key`, with `values` in the place of {name}s. Where a word has plural forms, `values.count` chooses. */
export function t(key, values = {}) {
  const forms = words[key] ?? key; // of what an author has changed, a word may be missing
  const form = typeof forms === "string" ? forms : (forms[plurals.select(values.count)] ?? forms.other ?? key);
  return form.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : isolated(values[name])));
}

/** In writing from right to left, a name such as "1.jpg" would be torn apart (Unicode, UAX 9: FSI and PDI). */
export function isolated(text) {
  return isRightToLeft ? `\u2068${text}\u2069` : text;
}

/** The words for a problem that the service names, or what the service itself says of it. */
export function problem(slug, detail) {
  return words.problems?.[slug] ?? detail;
}

/** 1,000 as people write it in the page's language. */
export function number(value, options = {}) {
  return value.toLocaleString(language, options);
}
