// Photos that the author offers to testers who have none at hand.

import { fill, fromBase64 } from "./browsers.js";
import { ask } from "./service.js";
import { showPicture } from "./thumbnails.js";
import { t } from "./words.js";

const place = document.getElementById("examples");

/** Throws ServiceError. `take(photo)` is called with the one that a tester chooses. */
export async function show(take) {
  const { examples } = await ask("examples");
  fill(place.querySelector(".chips"), ...examples.map((example, i) => button(example, i, take)));
  place.hidden = examples.length === 0;
}

function button({ filename, image }, i, take) {
  const file = new Blob([fromBase64(image)], { type: "image/jpeg" });
  const picture = Object.assign(new Image(), { alt: t("example", { number: i + 1 }) });
  const made = Object.assign(document.createElement("button"), { type: "button", className: "example" });
  made.append(picture);
  made.addEventListener("click", () => take({ name: filename, path: filename, size: file.size, open: async () => file }));
  showPicture(picture, file).catch(() => made.remove());
  return made;
}
