// Photos that the author offers to testers who have none at hand.

import { fill, fromBase64 } from "./browsers.js";
import { ask } from "./service.js";
import { showPicture } from "./thumbnails.js";
import { t } from "./words.js";

let isTaking = false;
const place = document.getElementById("examples");

/** Throws ServiceError. `take(photo)` is called with the one that a tester chooses, and gives a promise. */
export async function show(take) {
  const { examples } = await ask("examples");
  const buttons = await Promise.all(examples.map((example, i) => makeButton(example, i, take).catch(() => null)));
  fill(place.querySelector(".chips"), ...buttons.filter(Boolean));
  place.hidden = !buttons.some(Boolean);
}

async function makeButton({ filename, image }, i, take) {
  const file = new Blob([fromBase64(image)], { type: "image/jpeg" });
  const picture = Object.assign(new Image(), { alt: t("example", { number: i + 1 }) });
  await showPicture(picture, file);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "example" });
  button.append(picture);
  button.addEventListener("click", async () => {
    if (isTaking) return; // a second tap
    isTaking = true;
    try {
      await take({ name: filename, path: filename, size: file.size, open: async () => file });
    } finally {
      isTaking = false;
    }
    document.getElementById("photos").focus();
  });
  return button;
}
