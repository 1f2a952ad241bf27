// What a card shows of its photo: the photo itself, else the service's small picture of it, else the file's ending.

import { fromBase64, whenSeen } from "./browsers.js";
import { small } from "./resize.js";

const LONGEST_ENDING = 5; // letters

const seen = whenSeen(showThumbnail);

/** Fill in the card's picture when it comes near the screen. */
export function watch(card) {
  seen.observe(card);
}

export function unwatch(card) {
  seen.unobserve(card);
}

async function showThumbnail(card) {
  unwatch(card);
  const image = card.querySelector("img");
  try {
    await showPicture(image, await small(card.photo));
  } catch {
    card.photo.cannotBeShown = true; // not every browser shows every format; the service may read it all the same
    await showStandIn(card.photo);
  }
}

/** Until it is shown, the picture has an address of its own. */
export async function showPicture(image, file) {
  const url = URL.createObjectURL(file);
  image.src = url;
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Keep the small picture that came with an answer, in base64, and show it where the photo itself cannot be shown. */
export async function keepPicture(photo, text) {
  if (!text) return;
  try {
    photo.picture = new Blob([fromBase64(text)], { type: "image/jpeg" });
  } catch {
    return; // whatever this is, the card keeps the file's ending
  }
  if (photo.cannotBeShown) await showStandIn(photo);
}

async function showStandIn({ card, name, picture }) {
  const [image, ending] = [card.querySelector("img"), card.querySelector(".ending")];
  ending.textContent = /\.([^.]+)$/.exec(name)?.[1].slice(0, LONGEST_ENDING).toUpperCase() ?? "?";
  image.hidden = true;
  ending.hidden = false;
  if (!picture) return;
  image.hidden = false;
  try {
    await showPicture(image, picture);
    ending.hidden = true;
  } catch {
    image.hidden = true;
  }
}
