// Photos made small before they are sent: a free link carries 1 GB a month, and the network sees 320 × 320 pixels at most.

import { fromBase64 } from "./browsers.js";
import { isHere } from "./service.js";

const LONGEST = 512; // pixels of the longer side; 5 MB from a phone become some 50 kB
const SHORTEST = 320; // but never fewer of the shorter side than the network looks at
const QUALITY = 0.9;
const SMALL_ENOUGH = 100_000; // bytes: nothing is gained by making these smaller
const KNOWN = /^image\/(jpeg|png|webp|gif|avif|bmp|hei[cf])$/; // to the service
const DRAWN_EVERYWHERE = /^image\/(jpeg|png|webp|gif|bmp)$/;

/** A JPEG of 2 × 1 pixels with an EXIF orientation of 6, so 1 × 2 once it is upright. */
const SIDEWAYS =
  "/9j/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAP//////////////////////////////////////////" +
  "////////////////////////////////////////////wAALCAABAAIBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAA" +
  "AAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z";
const PATTERN = 64; // pixels a side
const OFF = 16; // of 255: JPEG itself changes less

let upright = null; // promises, from when they are first asked for
let truthful = null;
let turn = Promise.resolve();

/** What the network gets to see of a photo: where nothing goes over a link, the file itself. */
export function seen(photo) {
  return isHere ? photo.open() : small(photo);
}

/** What goes over the link for a photo: a JPEG, upright, on white, or the file itself where that is better. */
export function small(photo) {
  photo.small ??= photo.open().then((file) => shrunk(photo, file));
  photo.small.catch(() => (photo.small = null)); // so that it can be tried again
  return photo.small;
}

/** Whether a photo that is sent as `file` may have no picture on this page unless the service makes one. */
export function needsPicture(photo, file) {
  return Boolean(photo.cannotBeDrawn) || !DRAWN_EVERYWHERE.test(file.type);
}

async function shrunk(photo, file) {
  if (file.size <= SMALL_ENOUGH && KNOWN.test(file.type)) return file;
  if (!(await canvasIsTruthful())) return file;
  turn = turn.then(() => asSmallJpeg(photo, file)); // one after another: decoded, a phone's photo takes 50 MB
  return turn;
}

async function asSmallJpeg(photo, file) {
  const image = await decoded(file).catch(() => null);
  photo.cannotBeDrawn = !image;
  if (!image) return file; // what this browser cannot read, HEIC for one, the service may
  try {
    const canvas = drawnSmall(image);
    const jpeg = await asJpeg(canvas);
    release(canvas);
    return jpeg.size < file.size || !KNOWN.test(file.type) ? jpeg : file;
  } catch {
    return file; // larger than a canvas may be
  }
}

function asJpeg(canvas) {
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
}

/** Twice as fast as an <img> and in half the memory, where the browser turns photos upright that way. */
async function decoded(file) {
  upright ??= turnsUpright().catch(() => false);
  return (await upright) ? createImageBitmap(file) : asImage(file);
}

/** Rejects where the browser has no bitmaps (Safari before 15). */
async function turnsUpright() {
  return (await createImageBitmap(new Blob([fromBase64(SIDEWAYS)]))).width === 1;
}

/** Whether what is drawn comes out of a canvas again. Against being recognized, some browsers add noise or give a
 * blank: nothing that such a canvas gives may stand for a photo. Found out once, in few milliseconds. */
export function canvasIsTruthful() {
  truthful ??= readsBack().catch(() => false);
  return truthful;
}

async function readsBack() {
  const canvas = Object.assign(document.createElement("canvas"), { width: PATTERN, height: PATTERN });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  const pattern = context.createImageData(PATTERN, PATTERN);
  const wanted = new Uint32Array(pattern.data.buffer); // a pixel each
  for (let i = 0; i < wanted.length; i++) wanted[i] = opaque(i % PATTERN, Math.floor(i / PATTERN));
  context.fillRect(0, 0, PATTERN, PATTERN); // as `redrawn` does
  context.putImageData(pattern, 0, 0);
  if (new Uint32Array(readFrom(context).buffer).some((pixel, i) => pixel !== wanted[i])) return false;
  const picture = await decoded(await asJpeg(canvas)); // which may be changed where pixels are not
  context.fillRect(0, 0, PATTERN, PATTERN);
  context.drawImage(picture, 0, 0);
  release(picture);
  return difference(readFrom(context), pattern.data) < OFF;
}

/** A pixel with another slope in each colour: browsers do not change what is all of one colour. */
function opaque(x, y) {
  return 0xff282828 + 0x10000 * x + 0x100 * y + x + y;
}

function readFrom(context) {
  return context.getImageData(0, 0, PATTERN, PATTERN).data;
}

/** On average, 0 to 255, of every fifth number: all of the colours have their turn. */
function difference(found, wanted) {
  let [sum, count] = [0, 0];
  for (let i = 0; i < wanted.length; i += 5, count++) sum += Math.abs(found[i] - wanted[i]);
  return sum / count;
}

async function asImage(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function drawnSmall(image) {
  const [longer, shorter] = [image.width, image.height].sort((a, b) => b - a);
  const scale = Math.min(1, Math.max(LONGEST / longer, SHORTEST / shorter));
  const [width, height] = [image.width, image.height].map((side) => Math.round(scale * side));
  let source = image;
  while (source.width > 2 * width && source.height > 2 * height) {
    source = redrawn(source, Math.ceil(source.width / 2), Math.ceil(source.height / 2)); // some browsers skip pixels
  }
  return redrawn(source, width, height);
}

function redrawn(source, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white"; // as the service does with what is transparent
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  release(source);
  return canvas;
}

/** At once: until the browser notices by itself, a phone would have no memory left. */
function release(source) {
  if (source.close) source.close();
  else source.width = 0;
}
