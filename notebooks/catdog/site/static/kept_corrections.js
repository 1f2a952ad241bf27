// Testers' corrections, kept on this device until they are saved for the author: the photos as the network sees them, and
// what the tester said. Their zip holds the same as the files that the service writes.

import { handOver } from "./browsers.js";
import { say } from "./say.js";
import { finished, result } from "./store.js";
import { asZip, crc32 } from "./zip_writer.js";
import { t } from "./words.js";

const [NAME, STORE] = [`corrections ${new URL("../", import.meta.url).pathname}`, "corrections"]; // sites may share an origin
const MOST = 500; // as the service keeps

const byId = (id) => document.getElementById(id);
let opening = null; // a promise of the database
let saved = new Map(); // name → when the tester said so, of what the last zip holds

/** Show how many there are, and let them be saved. */
export async function start() {
  byId("save-corrections").onclick = () => save().catch(sayThatNot);
  byId("remove-corrections").onclick = () => removeSaved().catch(sayThatNot);
  await show().catch(() => {}); // nothing can be kept here: `keep` says so
}

/** `png`: the photo's bytes; `label`: null for none of the classes; `said`: the model's answer. Another word on the same
 * photo takes the place of the first. Throws an Error with the `code` "corrections-full". */
export async function keep(png, label, said) {
  const name = `${crc32(new Uint8Array(png)).toString(16)}-${png.byteLength}`;
  const record = { label, said, when: new Date().toISOString() };
  try {
    await inStore("readwrite", async (records) => {
      const isNew = (await result(records.count(name))) === 0;
      if (isNew && (await result(records.count())) >= MOST) throw new Error("There are too many.");
      records.put({ name, png, record });
    });
  } catch (error) {
    throw Object.assign(new Error(error?.message), { code: "corrections-full" });
  }
  byId("remove-corrections").hidden = true; // this one is not saved
  navigator.storage?.persist?.(); // or a browser that wants room may remove them
  await show().catch(() => {});
}

async function show() {
  const count = await inStore("readonly", (records) => result(records.count()));
  byId("corrections").hidden = count === 0;
  say(byId("corrections").querySelector("p"), t("corrections-kept", { count }), { corrections: count });
}

function sayThatNot() {
  say(byId("corrections").querySelector("p"), t("corrections-unreachable"));
}

async function save() {
  const all = await inStore("readonly", (records) => result(records.getAll()));
  const files = all.flatMap(({ name, png, record }) => [
    { path: `${name}.png`, bytes: new Uint8Array(png) },
    { path: `${name}.json`, bytes: new TextEncoder().encode(JSON.stringify(record)) },
  ]);
  const name = `corrections-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.zip`; // each tester's is another
  const how = await handOver(new File([asZip(files)], name, { type: "application/zip" }));
  if (how === "cancelled") return;
  saved = new Map(all.map((one) => [one.name, one.record.when]));
  byId("remove-corrections").hidden = false;
}

/** Only what the last zip holds: somebody may have said something else since, or in another tab. */
async function removeSaved() {
  await inStore("readwrite", async (records) => {
    for (const { name, record } of await result(records.getAll())) if (saved.get(name) === record.when) records.delete(name);
  });
  byId("remove-corrections").hidden = true;
  await show();
}

/** What `use` gives of the store, once all of it is written. iOS closes the database of a page in the background. */
async function inStore(mode, use) {
  try {
    return await inOpenStore(mode, use);
  } catch (error) {
    if (!(error instanceof DOMException) || error.name === "QuotaExceededError") throw error;
    opening = null;
    return inOpenStore(mode, use);
  }
}

async function inOpenStore(mode, use) {
  opening ??= openDatabase();
  const work = (await opening).transaction(STORE, mode);
  const end = finished(work);
  end.catch(() => {}); // `use` may have thrown before
  const found = await use(work.objectStore(STORE));
  await end;
  return found;
}

function openDatabase() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "name" });
  const opened = result(request);
  opened.catch(() => (opening = null));
  return opened;
}
