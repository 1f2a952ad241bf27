// Photos made small before they are sent: a free link carries 1 GB a month, and the network sees 320 × 320 pixels at most.

const LONGEST = 512; // pixels of the longer side; 5 MB from a phone become some 50 kB
const SHORTEST = 320; // but never fewer of the shorter side than the network looks at
const QUALITY = 0.9;
const SMALL_ENOUGH = 100_000; // bytes: nothing is gained by making these smaller
const KNOWN = /^image\/(jpeg|png|webp|gif|avif|bmp|hei[cf])$/; // to the service

/** A JPEG of 2 × 1 pixels with an EXIF orientation of 6, so 1 × 2 once it is upright. */
const SIDEWAYS =
  "/9j/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAP//////////////////////////////////////////" +
  "////////////////////////////////////////////wAALCAABAAIBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAA" +
  "AAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z";
const turnsUpright = createImageBitmap(new Blob([Uint8Array.from(atob(SIDEWAYS), (c) => c.charCodeAt(0))]))
  .then(({ width }) => width === 1)
  .catch(() => false);

let turn = Promise.resolve();

/** What goes over the link for a photo: a JPEG, upright, on white, or the file itself where that is better. */
export function small(photo) {
  photo.small ??= photo.open().then(shrunk);
  photo.small.catch(() => (photo.small = null)); // so that it can be tried again
  return photo.small;
}

function shrunk(file) {
  if (file.size <= SMALL_ENOUGH && KNOWN.test(file.type)) return file;
  turn = turn.then(() => asSmallJpeg(file)); // one after another: decoded, a phone's photo takes 50 MB
  return turn;
}

async function asSmallJpeg(file) {
  try {
    const canvas = drawnSmall(await decoded(file));
    const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    release(canvas);
    return jpeg.size < file.size || !KNOWN.test(file.type) ? jpeg : file;
  } catch {
    return file; // what this browser cannot read, HEIC for one, the service may
  }
}

/** Twice as fast as an <img> and in half the memory, where the browser turns photos upright that way. */
async function decoded(file) {
  return (await turnsUpright) ? createImageBitmap(file) : asImage(file);
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
