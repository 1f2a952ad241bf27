// From a photo's file to the network's pixels, as data/images.py makes them: upright, sRGB, on white, a square.

import { resized } from "./pillow.js";
import { isWhole, pixelsIn } from "./photo_header.js";

const MOST_PIXELS = 64_000_000; // more would take all of a phone's memory
const LONGEST_SIDE = 32_767; // no canvas can be longer
const ENOUGH = 0.75; // of a truncated photo's rows: the subject is seldom in the rest
const [START, END] = ["\xff\xd8\xff", [0xff, 0xd9]]; // of a JPEG
const FORMATS = [START, "\x89PNG\r\n\x1a\n", "GIF8", "BM", "RIFF....WEBP", "II*\0", "MM\0*", /^....ftyp(avi|hei|hev|mif|msf)/s];
const PATTERN = 32; // pixels a side

/** Why a photo has no answer: `code` is one of the service's. */
export class PhotoRefused extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

/** File → RGB, Uint8ClampedArray, `pixels` a side. `fit` is "crop", the middle square, or "squeeze". Throws PhotoRefused. */
export async function networkPixels(file, { pixels, fit }) {
  const view = new DataView(await file.arrayBuffer());
  const start = startOf(view);
  requireFormat(start);
  requireFew(pixelsIn(view)); // before it is decoded
  const isCut = !isWhole(view);
  if (isCut && !start.startsWith(START)) throw incomplete();
  const image = await decoded(isCut ? ended(file) : file);
  try {
    requireFew(image.width * image.height, Math.max(image.width, image.height));
    const { width } = image;
    const height = isCut ? await rowsBeforeCut(file, image) : image.height;
    const part = fit === "crop" ? middleSquare(width, height) : { left: 0, top: 0, right: width, bottom: height };
    return resized(reader(image), { width, height }, part, pixels);
  } finally {
    image.close();
  }
}

/** Whether what is drawn comes out of a canvas again: against being recognized, some browsers change it. */
export function canvasIsTruthful() {
  const context = contextOf(PATTERN, PATTERN);
  const pattern = context.createImageData(PATTERN, PATTERN);
  pattern.data.forEach((_, i) => (pattern.data[i] = i % 4 === 3 ? 255 : (i * 7) % 251));
  context.putImageData(pattern, 0, 0);
  return context.getImageData(0, 0, PATTERN, PATTERN).data.every((value, i) => value === pattern.data[i]);
}

function requireFormat(start) {
  const isKnown = FORMATS.some((format) => (format.test ? format.test(start) : matches(format, start)));
  if (!isKnown) throw new PhotoRefused("photo-format", "This is not a photo in a known format.");
}

function contextOf(width, height) {
  return new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
}

function startOf(view) {
  if (!view.byteLength) throw new PhotoRefused("photo-empty", "The file is empty.");
  return String.fromCharCode(...new Uint8Array(view.buffer, 0, Math.min(16, view.byteLength)));
}

function matches(format, start) {
  return Array.from(format).every((letter, i) => letter === "." || letter === start[i]);
}

function requireFew(pixels, side = 0) {
  if (pixels <= MOST_PIXELS && side <= LONGEST_SIDE) return;
  throw new PhotoRefused("photo-pixels", `The photo has more than ${MOST_PIXELS / 1e6} million pixels: make it smaller first.`);
}

async function decoded(file) {
  try {
    return await createImageBitmap(file); // upright; the golden photo that lies on its side finds browsers that do not turn it
  } catch {
    throw new PhotoRefused("photo-unreadable", "The photo is damaged, or this browser does not know its format.");
  }
}

/** A truncated JPEG with an end, which some browsers ask for. */
function ended(file, behind = new Uint8Array(0)) {
  return new Blob([file, behind, new Uint8Array(END)], { type: "image/jpeg" });
}

/** What browsers draw for missing rows depends on the bytes behind the cut, and what they draw for the others does not: two
 * endings tell them apart. (After data/salvage.py.) */
async function rowsBeforeCut(file, image) {
  const other = await decoded(ended(file, new Uint8Array(file.size).fill(0x5a)));
  try {
    const rows = rowsAlike(image, other);
    if (rows < ENOUGH * image.height) throw incomplete();
    return rows;
  } finally {
    other.close();
  }
}

function rowsAlike(...images) {
  const [one, other] = images.map(reader);
  for (let row = 0; row < images[0].height; row++) {
    const [found, expected] = [one(row, 1), other(row, 1)].map(grays);
    if (found.some((value, i) => value !== expected[i])) return Math.max(1, row);
  }
  return images[0].height;
}

/** As Pillow's convert("L"): at the cut, colors run into the rows above. */
function grays(rgba) {
  const gray = (at) => (19595 * rgba[at] + 38470 * rgba[at + 1] + 7471 * rgba[at + 2] + 0x8000) >> 16;
  return Uint8Array.from({ length: rgba.length / 4 }, (_, i) => gray(4 * i));
}

/** (first row, how many) → RGBA, on white. */
function reader(image) {
  return (first, count) => {
    const context = contextOf(image.width, count);
    context.fillStyle = "white";
    context.fillRect(0, 0, image.width, count);
    context.drawImage(image, 0, -first);
    const { data } = context.getImageData(0, 0, image.width, count);
    context.canvas.width = 0; // at once: until the browser notices by itself, a phone would have no memory left
    return data;
  };
}

function incomplete() {
  return new PhotoRefused("photo-unreadable", "The photo is incomplete.");
}

/** As Pillow's ImageOps.fit does. */
function middleSquare(width, height) {
  const side = Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return { left, top, right: left + side, bottom: top + side };
}
