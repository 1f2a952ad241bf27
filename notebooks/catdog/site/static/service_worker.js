// Keeps the site on the device, so that it works offline, and takes over a new version as a whole.
// `VERSION` and `FILES`, a digest by path, stand above, so this file changes with every version.

const SITE = self.registration.scope;
const ISOLATED = { // with these, the network may use several cores
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

self.addEventListener("install", (event) => event.waitUntil(fetchAll()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (isOurs(path)) event.respondWith(answer(event.request, path));
});
self.addEventListener("message", (event) => event.data === "take-over" && event.waitUntil(takeOverFrom(event.source)));

function isOurs(path) {
  return Object.prototype.hasOwnProperty.call(FILES, path);
}

function key(path) {
  return `${SITE}${path}?${FILES[path]}`;
}

/** Some hosts leave out the ending of a page. */
function pathOf({ url, method }) {
  const address = url.replace(/[?#].*/, "");
  if (method !== "GET" || !address.startsWith(SITE)) return "";
  const path = address.slice(SITE.length) || "index.html";
  return isOurs(path) ? path : `${path}.html`;
}

async function fetchAll() {
  const cache = await caches.open(SITE);
  await Promise.all(Object.keys(FILES).map((path) => fetchOne(cache, path)));
}

/** A site may be half uploaded, or a cache on the way may hold files of two versions: then this version is not taken. */
async function fetchOne(cache, path) {
  if (await cache.match(key(path))) return;
  for (const mode of ["default", "reload"]) {
    const response = await fetch(`${SITE}${path}`, { cache: mode });
    if (response.ok && (await digestOf(response.clone())) === FILES[path]) return cache.put(key(path), response);
  }
  throw new Error(`${path} is not that of version ${VERSION}`);
}

async function digestOf(response) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await response.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function takeOver() {
  const cache = await caches.open(SITE);
  const wanted = new Set(Object.keys(FILES).map(key));
  const old = (await cache.keys()).filter(({ url }) => !wanted.has(url));
  await Promise.all(old.map((request) => cache.delete(request)));
  await self.clients.claim();
}

/** Not while another tab still runs the version before: its scripts are of that one. A page that was just left may count
 * for a moment. */
async function takeOverFrom(source) {
  for (let attempt = 0; attempt < 5; attempt++) {
    const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const ours = tabs.filter(({ url }) => url.startsWith(SITE)); // the address may hold other sites, too
    if (ours.every(({ id }) => id === source.id)) return self.skipWaiting();
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function answer(request, path) {
  const found = (await (await caches.open(SITE)).match(key(path))) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  const type = TYPES[path.split(".").pop()];
  if (type) headers.set("Content-Type", type); // whatever the host takes it for
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", json: "application/json" };
