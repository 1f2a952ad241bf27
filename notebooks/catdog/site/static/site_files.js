// The site's files: fetched, unpacked, and kept where service_worker.js looks for them.

const GZIP = [0x1f, 0x8b];
const SITE = new URL("../", import.meta.url).href;

/** The bytes of a file, by its address relative to this script; `received(bytes)` is called while they come. What is packed
 * with gzip is unpacked: few hosts pack such files themselves. */
export async function fetched(name, received = () => {}) {
  const url = new URL(name, import.meta.url);
  const packed = await read(url, received).catch((error) => {
    throw Object.assign(error, { code: "model-missing" });
  });
  keep(url, packed);
  return unpacked(packed);
}

async function read(url, received) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status}`);
  const parts = [];
  let bytes = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    bytes += value.length;
    received(bytes);
  }
}

async function unpacked(packed) {
  const start = new Uint8Array(await packed.slice(0, GZIP.length).arrayBuffer());
  if (GZIP.some((byte, i) => byte !== start[i])) return packed.arrayBuffer(); // the host has unpacked it
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** So that the service worker, which knows a file by its digest, does not fetch it again on the first visit. Later, what
 * is kept is the service worker's alone: a page of the version before must not touch a newer one. */
async function keep(url, packed) {
  try {
    const cache = await caches.open(SITE);
    if (await cache.match(url.href, { ignoreSearch: true })) return;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await packed.arrayBuffer()));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    await cache.put(`${url.href}?${hex}`, new Response(packed));
  } catch {
    // Only over https, and not in all private windows. The service worker then fetches it.
  }
}
