// How photos come in: chosen, from the camera, dropped (folders too), pasted, out of a zip.

import { canInflate, pause } from "./browsers.js";
import { t } from "./words.js";

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", jfif: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif",
  avif: "image/avif", bmp: "image/bmp", heic: "image/heic", heif: "image/heif",
};
const TABLES = ["csv", "tsv", "json", "jsonl", "ndjson"];

const NOTHING_FOUND = { code: "nothing-found", text: t("nothing-found") };
const IS_LINK = { code: "is-link", text: t("is-link") };
const IS_TEXT = { code: "is-text", text: t("is-text") };

const inOrder = new Intl.Collator(undefined, { numeric: true }).compare; // 9 before 10

/**
 * Tell `take` of everything that comes in, as {photos, labels, notes}: `photos` as [{name, path, size, open}], `labels`
 * as CSV files, `notes` for the tester about what is left out, {code, text, …} each. `began` is told before anything slow.
 */
export function listen(zone, inputs, began, take) {
  const come = async (finding, none = NOTHING_FOUND) => {
    began();
    const found = await Promise.resolve(finding).then(sorted).catch(unreadable);
    if (!Object.values(found).flat().length) found.notes.push(none);
    take(found);
  };
  for (const input of inputs) {
    input.addEventListener("change", () => {
      come([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = ""; // or choosing the same photo again would do nothing
    });
  }
  document.addEventListener("paste", ({ clipboardData, target }) => {
    const files = [...clipboardData.files];
    if (!files.length && target.matches?.("input:not([type])")) return; // the access code
    come(files.map((file) => ({ file, path: file.name })), instead(clipboardData));
  });
  listenForDrops(zone, (transfer) => come(dropped(transfer), instead(transfer)));
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

/** What is said where there is no file: a word on what there is. */
function instead(transfer) {
  const [address, html, text] = ["text/uri-list", "text/html", "text/plain"].map((type) => transfer.getData(type));
  if (address || /<img\b/i.test(html) || /^\s*\w+:\/\/\S+\s*$/.test(text)) return IS_LINK;
  return text || html ? IS_TEXT : NOTHING_FOUND;
}

/** {file, path} of each dropped file, also in folders; `file` is null where it cannot be read. */
async function dropped(transfer) {
  // Before anything is awaited: afterwards the browser has emptied it. A file has no entry where another program
  // brings it, or one without a path that Safari cannot open; the file itself is there all the same.
  const items = [...(transfer.items ?? [])].filter(({ kind }) => kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = items.length ? items.map((item) => item.getAsFile()) : [...transfer.files];
  const found = files.map((file, i) => (entries[i]?.isDirectory ? inside(entries[i]) : [asFound(file, entries[i])]));
  return (await Promise.all(found)).flat();
}

function asFound(file, entry) {
  return { file, path: file?.name ?? entry?.name ?? "" };
}

/** All files below a dropped folder. */
async function inside(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await asked((...answers) => reader.readEntries(...answers));
    if (!some) return [...found, { file: null, path: folder.fullPath }];
    if (!some.length) return found; // it gives a hundred at a time
    for (const one of some) {
      if (one.isDirectory) found.push(...(await inside(one)));
      else found.push({ file: await asked((...answers) => one.file(...answers)), path: one.fullPath.slice(1) });
    }
  }
}

/** What a call with callbacks gives, or null. */
function asked(call) {
  return new Promise(call).catch(() => null);
}

function unreadable() {
  return { photos: [], labels: [], notes: [notRead(1)] };
}

function notRead(files) {
  return { code: "files-unreadable", unreadable: files, text: t("files-unreadable", { count: files }) };
}

async function sorted(files) {
  await pause(); // five hundred files keep the browser busy by themselves
  const [photos, labels, notes] = [[], [], []];
  let [others, lost] = [0, 0];
  for (const { file, path } of files) {
    if (!file) lost += 1;
    else if (ending(path) === "zip") await fromZip(file, photos, notes);
    else if (TABLES.includes(ending(path))) labels.push(file);
    else if (isPhoto(path, file.type)) photos.push(asPhoto(path, file.size, async () => typed(file, path)));
    else others += 1;
  }
  if (lost) notes.push(notRead(lost));
  if (others) notes.push({ code: "not-photos", skipped: others, text: t("not-photos", { count: others }) });
  // Folders and zips come in any order, what somebody has chosen in theirs.
  if (photos.some(({ path }) => path.includes("/"))) photos.sort((a, b) => inOrder(a.path, b.path));
  return { photos, labels, notes };
}

async function fromZip(file, photos, notes) {
  try {
    const zip = await import("./zip.js").catch(() => null); // few testers need it
    if (!zip) return notes.push({ code: "not-loaded", text: t("not-loaded") });
    const entries = (await zip.unzip(file)).filter(({ path }) => isPhoto(path, ""));
    if (!entries.length) notes.push({ code: "zip-empty", text: t("zip-empty", file) });
    if (entries.some(({ deflated }) => deflated) && !canInflate()) throw cannotUnpack(file);
    for (const { path, size, open } of entries) photos.push(asPhoto(path, size, async () => typed(await open(), path)));
  } catch (error) {
    notes.push({ code: error.code ?? "zip-unreadable", text: error.message });
  }
}

function cannotUnpack({ name }) {
  return Object.assign(new Error(t("zip-browser", { name })), { code: "zip-browser" });
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
