// Photos made small before they are sent: a free link carries 1 GB a month, and the network sees 224 × 224 pixels.

const LONGEST = 512; // pixels of the longer side; 5 MB from a phone become some 50 kB
const SHORTEST = 256; // but never fewer of the shorter side than the network looks at
const QUALITY = 0.9;
const SMALL_ENOUGH = 100_000; // bytes: nothing is gained by making these smaller
const KNOWN = /^image\/(jpeg|png|webp|gif|avif|bmp|hei[cf])$/; // to the service

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
    const image = await decoded(file);
    const canvas = drawnSmall(image);
    const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return jpeg.size < file.size || !KNOWN.test(file.type) ? jpeg : file;
  } catch {
    return file; // what this browser cannot read, HEIC for one, the service may
  }
}

async function decoded(file) {
  const image = new Image(); // turns photos upright in every browser, which createImageBitmap does not
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function drawnSmall(image) {
  const [longer, shorter] = [image.naturalWidth, image.naturalHeight].sort((a, b) => b - a);
  const scale = Math.min(1, Math.max(LONGEST / longer, SHORTEST / shorter));
  const width = Math.round(scale * image.naturalWidth);
  const height = Math.round(scale * image.naturalHeight);
  let source = image;
  let [w, h] = [image.naturalWidth, image.naturalHeight];
  while (w > 2 * width && h > 2 * height) {
    [w, h] = [Math.ceil(w / 2), Math.ceil(h / 2)]; // in steps, because some browsers skip pixels in a large one
    source = drawn(source, w, h);
  }
  return drawn(source, width, height);
}

function drawn(source, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white"; // as the service does with what is transparent
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}
