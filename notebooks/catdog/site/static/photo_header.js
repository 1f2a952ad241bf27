// What a photo's file says of itself: how many pixels it has, since small files can hold pictures of a gigapixel, and
// whether it is whole, since some browsers draw what they have.

/** Width times height, from a file's bytes as a DataView; 0 where the header does not say. */
export function pixelsIn(view) {
  try {
    return formatOf(view)?.pixels(view) ?? 0;
  } catch {
    return 0; // the header ends early: the decoder will say so
  }
}

/** Whether the file holds all that its format says, and perhaps more behind that. */
export function isWhole(view) {
  return formatOf(view)?.isWhole(view) ?? true;
}

const is = (place, ...bytes) => (view) => bytes.every((byte, i) => byteAt(view, place + i) === byte);
const byteAt = (view, place) => (place < view.byteLength ? view.getUint8(place) : -1);

const FORMATS = [
  { starts: is(0, 0xff, 0xd8), pixels: jpeg, isWhole: hasEndMarker },
  {
    starts: is(0, 0x89, 0x50, 0x4e, 0x47), isWhole: hasLastChunk,
    pixels: (view) => view.getUint32(16) * view.getUint32(20),
  },
  {
    starts: is(0, 0x47, 0x49, 0x46), isWhole: hasFirstFrame,
    pixels: (view) => view.getUint16(6, true) * view.getUint16(8, true),
  },
  {
    starts: is(8, 0x57, 0x45, 0x42, 0x50), pixels: webp,
    isWhole: (view) => view.byteLength >= 8 + view.getUint32(4, true),
  },
  {
    starts: is(0, 0x42, 0x4d), isWhole: (view) => view.byteLength >= view.getUint32(2, true),
    pixels: (view) => Math.abs(view.getInt32(18, true) * view.getInt32(22, true)),
  },
];

function formatOf(view) {
  return FORMATS.find(({ starts }) => starts(view));
}

/** Phones put films and notes behind the end of a JPEG. (ITU T.81, B.1.1.) */
function hasEndMarker(view) {
  try {
    for (let at = 2; ; ) {
      while (view.getUint8(at + 1) === 0xff) at += 1; // fill bytes
      const marker = view.getUint8(at + 1);
      if (marker === 0xd9) return true;
      at += 2 + view.getUint16(at + 2);
      if (marker === 0xda) at = nextMarker(view, at);
    }
  } catch {
    return false; // the file ends before
  }
}

/** Behind a scan. (0xff 0x00 stands for 0xff in it, and 0xd0 to 0xd7 restart the decoder.) */
function nextMarker(view, from) {
  const bytes = new Uint8Array(view.buffer);
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return bytes.length;
}

/** (PNG, section 5.3) */
function hasLastChunk(view) {
  let at = 8;
  while (at + 8 <= view.byteLength && view.getUint32(at + 4) !== 0x49454e44) at += 12 + view.getUint32(at); // until "IEND"
  return at + 8 <= view.byteLength;
}

/** (GIF89a, sections 15 to 26) */
function hasFirstFrame(view) {
  const table = (flags) => (flags & 0x80 ? 3 * (2 << (flags & 7)) : 0);
  try {
    let at = 13 + table(view.getUint8(10));
    while (view.getUint8(at) === 0x21) at = afterBlocks(view, at + 2); // an extension
    return view.getUint8(at) === 0x2c && afterBlocks(view, at + 11 + table(view.getUint8(at + 9))) <= view.byteLength;
  } catch {
    return false; // the file ends before
  }
}

function afterBlocks(view, at) {
  while (view.getUint8(at)) at += 1 + view.getUint8(at);
  return at + 1;
}

/** (RFC 9649) */
function webp(view) {
  const kind = view.getUint8(15);
  const three = (place) => view.getUint16(place, true) + 0x10000 * view.getUint8(place + 2);
  if (kind === 0x58) return (three(24) + 1) * (three(27) + 1); // "VP8X"
  const sides = view.getUint32(21, true); // 14 bits each
  if (kind === 0x4c) return ((sides & 0x3fff) + 1) * (((sides >> 14) & 0x3fff) + 1); // "VP8L"
  return (view.getUint16(26, true) & 0x3fff) * (view.getUint16(28, true) & 0x3fff); // "VP8 "
}

/** (ITU T.81, B.2.2: the segments SOF) */
function jpeg(view) {
  const tellsSize = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at += 1; // fill bytes
    if (tellsSize(view.getUint8(at + 1))) return view.getUint16(at + 5) * view.getUint16(at + 7);
  }
}
