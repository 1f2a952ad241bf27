// The files of a zip, each unpacked only when it is asked for.
// Format: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16; all numbers are little-endian.

import { bytesOf } from "./browsers.js";
import { t } from "./words.js";

const LARGEST = 64e6; // bytes of one file, unpacked: the service takes no larger ones
const END = { size: 22, signature: 0x06054b50 };
const ENTRY = { size: 46, signature: 0x02014b50 };
const LOCAL_SIZE = 30;
const LONGEST_COMMENT = 65_535;
const [STORED, DEFLATED] = [0, 8]; // methods

/** [{path, size, deflated, open}], `open` giving a promise of the file as a Blob. Throws an Error that speaks to the tester. */
export async function unzip(file) {
  const { entries, count } = await directory(file);
  const found = [];
  for (let at = 0, number = 0; number < count; number++) {
    if (at + ENTRY.size > entries.byteLength || entries.getUint32(at, true) !== ENTRY.signature) throw damaged(file);
    const entry = readEntry(entries, at);
    at += entry.length;
    const hidden = /(^|\/)(\.|__MACOSX\/)/.test(entry.path);
    if (!entry.path.endsWith("/") && !hidden && entry.size <= LARGEST) {
      const { path, size, method } = entry;
      found.push({ path, size, deflated: method === DEFLATED, open: () => unpacked(file, entry) });
    }
  }
  return found;
}

async function directory(file) {
  const start = Math.max(0, file.size - END.size - LONGEST_COMMENT);
  const tail = await view(file.slice(start));
  let at = tail.byteLength - END.size;
  while (at >= 0 && tail.getUint32(at, true) !== END.signature) at -= 1;
  if (at < 0) throw damaged(file);
  const count = tail.getUint16(at + 10, true);
  const [size, offset] = [12, 16].map((from) => tail.getUint32(at + from, true));
  const larger = count === 0xffff || offset === 0xffffffff; // and described elsewhere, which is not read here
  if (larger) throw Object.assign(new Error(t("zip-too-large", file)), { code: "zip-too-large" });
  return { count, entries: await view(file.slice(offset, offset + size)) };
}

function readEntry(entries, at) {
  const short = (from) => entries.getUint16(at + from, true);
  const long = (from) => entries.getUint32(at + from, true);
  const name = new Uint8Array(entries.buffer, at + ENTRY.size, short(28));
  return {
    path: new TextDecoder().decode(name).replaceAll("\\", "/"),
    locked: Boolean(short(8) & 1),
    method: short(10),
    packed: long(20),
    size: long(24),
    start: long(42),
    length: ENTRY.size + short(28) + short(30) + short(32),
  };
}

async function unpacked(file, { path, locked, method, packed, start }) {
  if (locked || ![STORED, DEFLATED].includes(method)) throw new Error(t("zip-entry", { path }));
  const local = await view(file.slice(start, start + LOCAL_SIZE));
  const from = start + LOCAL_SIZE + local.getUint16(26, true) + local.getUint16(28, true);
  const data = file.slice(from, from + packed);
  return method === DEFLATED ? new Response(data.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob() : data;
}

async function view(blob) {
  return new DataView(await bytesOf(blob));
}

function damaged(file) {
  return new Error(t("zip-unreadable", file));
}
