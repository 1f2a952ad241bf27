// Testers' corrections, kept on this device until they are saved for the author: the photos as the network sees them, and
// what the tester said. Their zip holds the same as the files that the service writes.

import { shared } from "./browsers.js";
import { say } from "./say.js";
import { asZip, crc32 } from "./zip_writer.js";
import { t } from "./words.js";

const [NAME, STORE] = [`corrections ${new URL("../", import.meta.url).pathname}`, "corrections"]; // sites may share an origin
const MOST = 500; // as the service keeps

const byId = (id) => document.getElementById(id);
let opening = null; // a promise of the database

/** Show how many there are, and let them be saved. */
export async function start() {
  byId("save-corrections").onclick = save;
  byId("remove-corrections").onclick = remove;
  await show().catch(() => {}); // nothing can be kept here: `keep` says so
}

/** `png`: the photo's bytes; `label`: null for none of the classes; `said`: the model's answer. Another word on the same
 * photo takes the place of the first. Throws an Error with the `code` "corrections-full". */
export async function keep(png, label, said) {
  const name = `${crc32(new Uint8Array(png)).toString(16)}-${png.byteLength}`;
  const record = { label, said, when: new Date().toISOString() };
  try {
    const records = await store("readwrite");
    const isNew = (await result(records.count(name))) === 0;
    if (isNew && (await result(records.count())) >= MOST) throw new Error("full");
    await result(records.put({ name, png, record }));
  } catch (error) {
    throw Object.assign(error, { code: "corrections-full" });
  }
  navigator.storage?.persist?.(); // or a browser that wants room may remove them
  await show();
}

async function show() {
  const count = await result((await store("readonly")).count());
  byId("corrections").hidden = count === 0;
  say(byId("corrections").querySelector("p"), t("corrections-kept", { count }), { corrections: count });
}

async function save() {
  const all = await result((await store("readonly")).getAll());
  const files = all.flatMap(({ name, png, record }) => [
    { path: `${name}.png`, bytes: new Uint8Array(png) },
    { path: `${name}.json`, bytes: new TextEncoder().encode(JSON.stringify(record)) },
  ]);
  const name = `corrections-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.zip`; // each tester's is another
  const file = new File([asZip(files)], name, { type: "application/zip" });
  byId("remove-corrections").hidden = false;
  if (await shared(file)) return;
  const url = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // when the browser has begun to save
}

async function remove() {
  await result((await store("readwrite")).clear());
  byId("remove-corrections").hidden = true;
  await show();
}

async function store(mode) {
  opening ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "name" });
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  return (await opening).transaction(STORE, mode).objectStore(STORE);
}

function result(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
