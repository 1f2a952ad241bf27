// Pillow's antialiased bilinear filter, byte for byte: the network must see what it was trained on.
// After Pillow's src/libImaging/Resample.c: 8 bits a channel, across first, then down, rounded in between.

const BITS = 22; // of a weight, behind the point
const HALF = 1 << (BITS - 1);
const CHANNELS = 3;

const STRIP = 2e6; // pixels that are read at a time: no browser allows a canvas of any size, and a phone has little memory

/** The part of a photo between `left`, `top`, `right` and `bottom`, which need not be whole, as RGB of `size` × `size`.
 * `rowsOf(first, count)` gives rows of the photo as RGBA, all opaque. */
export function resized(rowsOf, { width, height }, { left, top, right, bottom }, size) {
  const across = weights(width, left, right, size);
  const down = weights(height, top, bottom, size);
  const first = down.starts[0];
  const rows = down.starts[size - 1] + down.counts[size - 1] - first;
  const squeezed = new Uint8ClampedArray(rows * size * CHANNELS);
  const most = Math.max(1, Math.floor(STRIP / width));
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    squeezeAcross(rowsOf(first + row, count), width, count, across, size, squeezed.subarray(row * size * CHANNELS));
  }
  return squeezedDown(squeezed, first, down, size);
}

/** For each of `size` pixels: the first pixel of the source that counts, how many do, and by how much. */
function weights(length, from, to, size) {
  const scale = (to - from) / size;
  const support = Math.max(scale, 1);
  const most = 2 * Math.ceil(support) + 1;
  const [starts, counts, values] = [new Int32Array(size), new Int32Array(size), new Int32Array(size * most)];
  for (let i = 0; i < size; i++) {
    const center = from + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(length, Math.trunc(center + support + 0.5));
    const shares = Array.from({ length: end - start }, (_, j) => triangle((j + start - center + 0.5) / support));
    const sum = shares.reduce((all, share) => all + share, 0);
    shares.forEach((share, j) => (values[i * most + j] = Math.trunc(0.5 + (share / sum) * 2 ** BITS)));
    starts[i] = start;
    counts[i] = end - start;
  }
  return { starts, counts, values, most };
}

function triangle(x) {
  return Math.max(0, 1 - Math.abs(x));
}

function squeezeAcross(data, width, rows, { starts, counts, values, most }, size, out) {
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < size; x++) {
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let j = 0, from = 4 * (y * width + starts[x]), at = x * most; j < counts[x]; j++, from += 4, at++) {
        red += data[from] * values[at];
        green += data[from + 1] * values[at];
        blue += data[from + 2] * values[at];
      }
      out[to++] = red >> BITS;
      out[to++] = green >> BITS;
      out[to++] = blue >> BITS;
    }
  }
}

function squeezedDown(data, first, { starts, counts, values, most }, size) {
  const row = size * CHANNELS;
  const out = new Uint8ClampedArray(size * row);
  for (let y = 0; y < size; y++) {
    const from = (starts[y] - first) * row;
    for (let x = 0; x < row; x++) {
      let sum = HALF;
      for (let j = 0; j < counts[y]; j++) sum += data[from + j * row + x] * values[y * most + j];
      out[y * row + x] = sum >> BITS;
    }
  }
  return out;
}
