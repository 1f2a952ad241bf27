// What survives a reload: small copies of photos, their answers and what the tester said, in this browser's IndexedDB.

import { small } from "./resize.js";
import { labelFromTable } from "./truth.js";
import { t } from "./words.js";

const PLACE = new URL("../", import.meta.url).pathname; // pages that need no service may share an address
const NAME = PLACE === "/" ? "catdog" : `catdog ${PLACE}`;
const [PHOTOS, COPIES] = ["photos", "copies"]; // apart, so that an answer does not write its photo once more
const KEPT = ["name", "path", "size", "bytes", "answer", "code", "why", "retryable", "truth", "told"];
const FEW = 5; // photos that nobody minds to choose again

/** The oldest photos go first. */
export const limits = { photos: 500, bytes: 50e6 };

/** Set by the page: what is to be done once all has been stored. */
export const callbacks = { written() {} };

const stored = []; // photos, the oldest first; `id` is their key
const added = new Set(); // photos that are to be stored
const changed = new Set(); // stored photos whose record is old
let tab = ""; // the name of this tab, which a reload keeps
let opening = null; // a promise of the database
let writing = null; // a promise
let refused = false;
let dropped = 0;

/** The photos that this tab had before it was loaded again. A new tab takes over those of tabs that are gone. */
export async function restore() {
  try {
    const isNew = nameTab();
    const open = isNew ? await openTabs() : new Set();
    const work = (await database()).transaction([PHOTOS, COPIES], "readwrite");
    const records = await result(work.objectStore(PHOTOS).getAll());
    const mine = records.filter((record) => record.tab === tab || (isNew && !open.has(record.tab)));
    const copies = await Promise.all(mine.map(({ id }) => result(work.objectStore(COPIES).get(id))));
    for (const record of mine) if (record.tab !== tab) work.objectStore(PHOTOS).put({ ...record, tab });
    const photos = mine.map((record, i) => copies[i] && asPhoto(record, copies[i])).filter(Boolean);
    stored.unshift(...photos);
    return photos;
  } catch {
    refused = true;
    return [];
  }
}

/** Store a photo, or what has changed about it. Gives a promise, until all is stored. */
export async function keep(photo) {
  if (refused || photo.dropped) return;
  (photo.id ? changed : added).add(photo);
  await (writing ??= write());
}

/** Store these photos; gives whether they are. */
export async function keepAll(photos) {
  await Promise.all(photos.map(keep));
  return !refused;
}

/** Remove photos from the store. */
export function forget(photos) {
  const known = photos.filter(({ id }) => id);
  if (known.length) erase(known).catch(() => (refused = true));
  if (!stored.length) dropped = 0;
}

/** What the tester should know about what is stored, of so many photos: {code, text, …}, or null. */
export function word(photos) {
  if (refused && photos > FEW) return { code: "not-kept", text: t("not-kept") };
  if (!dropped || !stored.length) return null;
  return { code: "newest-kept", photos: stored.length, text: t("newest-kept", { count: stored.length }) };
}

/** Returns whether this tab is new. */
function nameTab() {
  let known = null;
  tab = `tab-${Math.random().toString(36).slice(2)}`;
  try {
    known = sessionStorage.getItem("tab");
    tab = known ?? tab;
    sessionStorage.setItem("tab", tab);
  } catch {
    // Then each load is a new tab.
  }
  navigator.locks?.request(tab, () => new Promise(() => {})).catch(() => {}); // until the tab is gone
  return !known;
}

async function openTabs() {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return new Set(held.map(({ name }) => name));
}

function database() {
  opening ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(PHOTOS, { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore(COPIES);
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  return opening;
}

/** Of a request to a database. */
export function result(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

/** Until all that a transaction has changed is written. Rejects where it is not. */
export function finished(work) {
  return new Promise((done, failed) => {
    work.oncomplete = done;
    work.onabort = () => failed(work.error);
  });
}

function asPhoto({ id, label, correction, ...kept }, { data, type }) {
  const file = new Blob([data], { type });
  const state = kept.answer ? "done" : kept.code ? "failed" : "";
  const photo = { id, label, correction, state, open: async () => file, small: Promise.resolve(file) };
  for (const name of KEPT) if (kept[name] !== undefined) photo[name] = kept[name];
  return photo;
}

function asRecord(photo) {
  const record = { tab, label: labelFromTable(photo) };
  for (const name of ["id", ...KEPT]) if (photo[name] !== undefined) record[name] = photo[name];
  if (photo.correction?.code === "sent") record.correction = photo.correction;
  return record;
}

/** One photo after another, answers before new photos. */
async function write() {
  await null; // or it would be over before anybody knows that it has begun
  while (!refused && (changed.size || added.size)) {
    const waiting = changed.size ? changed : added;
    const [photo] = waiting;
    waiting.delete(photo);
    await save(photo).catch(again(photo)).catch(() => (refused = true));
  }
  writing = null;
  callbacks.written(); // `word` may be another one by now
}

/** iOS closes the database of a page in the background. */
function again(photo) {
  return () => {
    opening = null;
    return save(photo);
  };
}

async function save(photo) {
  const copy = photo.id ? null : await copyOf(photo);
  if (photo.removed || (!copy && !photo.id)) return;
  const work = (await database()).transaction([PHOTOS, COPIES], "readwrite");
  const end = finished(work);
  if (copy) photo.bytes = copy.data.byteLength;
  const request = work.objectStore(PHOTOS).put(asRecord(photo));
  if (copy) request.onsuccess = () => work.objectStore(COPIES).put(copy, request.result);
  await end;
  if (!copy) return;
  photo.id = request.result;
  if (added.delete(photo)) changed.add(photo); // its answer came in between
  stored.push(photo);
  if (photo.removed) await erase([photo]);
  else await trim();
}

/** As bytes: some versions of Safari lose files that are stored. Null where the photo cannot be read any more. */
async function copyOf(photo) {
  try {
    const file = await small(photo);
    return { data: await file.arrayBuffer(), type: file.type };
  } catch {
    return null;
  }
}

async function trim() {
  let bytes = stored.reduce((sum, photo) => sum + photo.bytes, 0);
  const oldest = [];
  while (stored.length - oldest.length > limits.photos || bytes > limits.bytes) {
    bytes -= stored[oldest.length].bytes;
    oldest.push(Object.assign(stored[oldest.length], { dropped: true }));
  }
  dropped += oldest.length;
  if (oldest.length) await erase(oldest);
}

async function erase(photos) {
  const ids = photos.map(({ id }) => id);
  for (const photo of photos) {
    changed.delete(photo);
    delete photo.id;
    const place = stored.indexOf(photo);
    if (place >= 0) stored.splice(place, 1);
  }
  const work = (await database()).transaction([PHOTOS, COPIES], "readwrite");
  for (const id of ids) for (const name of [PHOTOS, COPIES]) work.objectStore(name).delete(id);
  await finished(work);
}
