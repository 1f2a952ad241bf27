// How photos come in: chosen, from the camera, dropped (folders too), pasted, out of a zip.

import { unzip } from "./zip.js";

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", jfif: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif",
  avif: "image/avif", bmp: "image/bmp", heic: "image/heic", heif: "image/heif",
};
const TABLES = ["csv", "tsv", "json", "jsonl", "ndjson"];

const inOrder = new Intl.Collator(undefined, { numeric: true }).compare; // 9 before 10

/**
 * Tell `take` of everything that comes in, as {photos, labels, notes}: `photos` as [{name, path, size, open}], `labels`
 * as CSV files, `notes` for the tester about what is left out, {code, text, …} each. `began` is told before anything slow.
 */
export function listen(zone, inputs, began, take) {
  const come = async (finding) => {
    began();
    take(await sorted(await finding));
  };
  for (const input of inputs) {
    input.addEventListener("change", () => {
      come([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = ""; // or choosing the same photo again would do nothing
    });
  }
  document.addEventListener("paste", ({ clipboardData }) => {
    const files = [...clipboardData.files];
    if (files.length) come(files.map((file) => ({ file, path: file.name })));
  });
  listenForDrops(zone, (transfer) => come(dropped(transfer)));
}

/** On the whole page, because the browser leaves it for a photo that is dropped beside the zone. */
function listenForDrops(zone, take) {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", () => zone.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer);
  });
}

async function dropped(transfer) {
  const files = [...transfer.files]; // before anything is awaited: afterwards the browser has emptied it
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return files.map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map(inside))).flat();
}

/** All files below a dropped file or folder. */
async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed)).catch(() => null);
    return file ? [{ file, path: entry.fullPath.slice(1) }] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)).catch(() => []);
    if (!some.length) return found; // it gives a hundred at a time
    for (const one of some) found.push(...(await inside(one)));
  }
}

async function sorted(files) {
  const [photos, labels, notes] = [[], [], []];
  let others = 0;
  for (const { file, path } of files) {
    if (ending(path) === "zip") await fromZip(file, photos, notes);
    else if (TABLES.includes(ending(path))) labels.push(file);
    else if (isPhoto(path, file.type)) photos.push(asPhoto(path, file.size, async () => typed(file, path)));
    else others += 1;
  }
  if (others) {
    const text = others > 1 ? `${others} files were skipped because they are not photos.` : "One file was skipped because it is not a photo.";
    notes.push({ code: "not-photos", skipped: others, text });
  }
  // Folders and zips come in any order, what somebody has chosen in theirs.
  if (photos.some(({ path }) => path.includes("/"))) photos.sort((a, b) => inOrder(a.path, b.path));
  return { photos, labels, notes };
}

async function fromZip(file, photos, notes) {
  try {
    const entries = (await unzip(file)).filter(({ path }) => isPhoto(path, ""));
    if (!entries.length) notes.push({ code: "zip-empty", text: `There is no photo in ${file.name}.` });
    for (const { path, size, open } of entries) photos.push(asPhoto(path, size, async () => typed(await open(), path)));
  } catch (error) {
    notes.push({ code: error.code ?? "zip-unreadable", text: error.message });
  }
}

function asPhoto(path, size, open) {
  return { name: path.split("/").pop(), path, size, open };
}

function isPhoto(path, type) {
  return type.startsWith("image/") || ending(path) in TYPES;
}

/** Browsers give no type to what comes out of a zip, nor some of them to HEIC. */
function typed(blob, path) {
  return blob.type ? blob : new Blob([blob], { type: TYPES[ending(path)] });
}

function ending(path) {
  return path.split(".").pop().toLowerCase();
}
