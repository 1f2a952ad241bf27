// Where the page says something: a sentence for people, and data- attributes for whatever reads the page.

/** Put `text` into an element, and `data` into its data- attributes in the place of what was there. */
export function say(element, text, data = {}) {
  element.textContent = text;
  for (const name of Object.keys(element.dataset)) if (!(name in data)) delete element.dataset[name];
  Object.assign(element.dataset, data);
}
