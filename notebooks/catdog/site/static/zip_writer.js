// A zip of files as they are, for what cannot be made smaller anyway.
// Format: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16; all numbers are little-endian.

const LOCAL = { signature: 0x04034b50, widths: [2, 2, 2, 2, 2, 4, 4, 4, 2, 2] }; // of the values behind the signature, bytes
const ENTRY = { signature: 0x02014b50, widths: [2, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4] };
const END = { signature: 0x06054b50, widths: [2, 2, 2, 2, 4, 4, 2] };
const [VERSION, UTF8, FIRST_DAY] = [20, 0x800, 0x21]; // 1980-01-01: when the photos were corrected stands in the records
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** `files`: [{path, bytes}], together below 4 GB. */
export function asZip(files) {
  const [local, entries] = [[], []];
  let offset = 0;
  for (const { path, bytes } of files) {
    const name = new TextEncoder().encode(path);
    const facts = [VERSION, UTF8, 0, 0, FIRST_DAY];
    const sizes = [crc32(bytes), bytes.length, bytes.length];
    const before = record(LOCAL, [...facts, ...sizes, name.length, 0]);
    local.push(before, name, bytes);
    entries.push(record(ENTRY, [VERSION, ...facts, ...sizes, name.length, 0, 0, 0, 0, 0, offset]), name);
    offset += before.length + name.length + bytes.length;
  }
  const size = entries.reduce((sum, part) => sum + part.length, 0);
  return new Blob([...local, ...entries, record(END, [0, 0, files.length, files.length, size, offset, 0])]);
}

function record({ signature, widths }, values) {
  const view = new DataView(new ArrayBuffer(4 + widths.reduce((sum, width) => sum + width)));
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [i, width] of widths.entries()) {
    if (width === 2) view.setUint16(at, values[i], true);
    else view.setUint32(at, values[i], true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

export function crc32(bytes) {
  let value = -1;
  for (const byte of bytes) value = CRC[(value ^ byte) & 0xff] ^ (value >>> 8);
  return ~value >>> 0;
}
