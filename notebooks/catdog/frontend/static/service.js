// The page's way to the service: its address, its access code, and in words what goes wrong in between.

import { problem, t } from "./words.js";

const TO_BE_OPENED = 6024;
const TOO_MANY_A_MINUTE = 734;

/** By which member an answer is known to be the service's. */
const MEMBER = {
  model: "classes", predict: "predictions", explain: "heatmap", corrections: "label", examples: "examples", healthz: "instance",
};
/** Members as a service of the version before calls them. */
const BEFORE = { confident: "sure", in_distribution: "familiar", heatmap: "heat", label: "kept" };
const SECONDS = { predict: 300, explain: 60, corrections: 60 }; // originals take long where the reception is bad
const FEW_SECONDS = 10; // for what is small
const BUSY_SECONDS = 5; // where a busy service does not say for how long

/** Whether the page has no service: its model is inside this browser. */
export const isHere = "model" in document.documentElement.dataset;
export const address = isHere ? new URL(location.href) : serviceAddress();
export let code = codeIn(location.hash) || storedCode();

/** What went wrong, in words for the tester. */
export class ServiceError extends Error {
  /**
   * By `kind`, what was sent may be sent again:
   *   "refused"    the service has answered, and would answer the same again
   *   "busy"       after `seconds`
   *   "code"       with another access code; `refusal` is "missing" or "wrong"
   *   "broken-off" at once, for the service is there
   *   "lost"       when the link is back; where `open` is set, the tester has to look at that address before
   *   "cancelled"  when the tester wants it
   *   "hopeless"   in another browser
   * `code` names it: the slug of the service's problem, "ngrok-…" with the number of ngrok's, or one of the page's own.
   * `status` is that of the service's answer, 0 where none came.
   */
  constructor(code, message, kind, { open = "", refusal = "", seconds = 0, status = 0 } = {}) {
    super(message);
    Object.assign(this, { code, kind, open, refusal, seconds, status });
  }
}

/** The code of what was thrown while a photo was being sent: anything but a ServiceError comes from the photo's file. */
export function codeOf(error) {
  return error instanceof ServiceError ? error.code : "file-unreadable";
}

/** The same in words. */
export function messageOf(error) {
  return error instanceof ServiceError ? error.message : t("file-unreadable");
}

function serviceAddress() {
  const backend = document.documentElement.dataset.backend;
  try {
    return backend ? new URL(backend.replace(/\/*$/, "/"), location.href) : null;
  } catch {
    return null;
  }
}

/** The service's answer as an object; whatever goes wrong is thrown as ServiceError. `signal` cancels. */
export async function ask(path, { signal, ...options } = {}) {
  if (isHere) return askHere(path, { signal, ...options });
  if (!address) throw new ServiceError("no-service", t("no-service"), "lost");
  const asked = code;
  let response, text;
  try {
    response = await reach(path, { ...options, signal: withDeadline(signal, SECONDS[path] ?? FEW_SECONDS) });
    text = await response.text();
  } catch {
    if (signal?.aborted) throw new ServiceError("cancelled", t("cancelled"), "cancelled");
    throw await whyNothingCame();
  }
  if (response.status === 401 && asked !== code) return ask(path, { signal, ...options }); // another is there by now
  return understand(path, response, text);
}

async function askHere(path, options) {
  const model = await import("./browser_model.js").catch(() => {
    throw new ServiceError("model-missing", problem("model-missing", t("not-loaded")), "lost");
  });
  return model.answer(path, options);
}

function withDeadline(signal, seconds) {
  const controller = new AbortController();
  if (signal?.aborted) controller.abort();
  setTimeout(() => controller.abort(), 1000 * seconds);
  signal?.addEventListener("abort", () => controller.abort());
  return controller.signal;
}

function reach(path, options = {}) {
  const headers = { "ngrok-skip-browser-warning": "1" }; // or a free ngrok link answers with a page of its own
  if (code) headers.Authorization = `Bearer ${code}`;
  return fetch(new URL(path, address), { headers, cache: "no-store", ...options });
}

function understand(path, response, text) {
  const body = parsed(text);
  const ngrok = ngrokCode(response, body ? "" : text);
  if (ngrok) throw ngrokError(ngrok);
  if (!response.ok) throw refused(response, body);
  if (!body?.[MEMBER[path]]) throw somethingElse();
  return body;
}

function parsed(text) {
  try {
    return withNamesOfToday(JSON.parse(text));
  } catch {
    return null;
  }
}

function withNamesOfToday(body) {
  for (const item of [body, ...(body.predictions ?? [])]) {
    for (const [name, before] of Object.entries(BEFORE)) if (!(name in item) && before in item) item[name] = item[before];
  }
  return body;
}

/** From the page's text too, because a page of another origin does not see the header. */
function ngrokCode(response, text) {
  return response.headers.get("ngrok-error-code") ?? text.match(/ERR_NGROK_\d+/)?.[0];
}

function ngrokError(name) {
  const number = Number(name.replace(/\D/g, ""));
  const code = `ngrok-${number}`;
  const words = problem(code, t("ngrok", { name }));
  if (number === TOO_MANY_A_MINUTE) return new ServiceError(code, words, "busy", { seconds: 60 });
  return new ServiceError(code, words, "lost", { open: number === TO_BE_OPENED ? openable() : "" });
}

function somethingElse() {
  return new ServiceError("something-else", t("something-else"), "lost", { open: openable() });
}

function refused({ status, headers }, body) {
  if (!body?.detail) return new ServiceError("link-error", t("link-error", { status: String(status) }), "lost");
  const code = slugOf(body);
  const words = problem(code, body.detail);
  if (status === 401) return new ServiceError(code, words, "code", { refusal: code.split("code-")[1] });
  if (status === 429 || status === 503) return new ServiceError(code, words, "busy", { seconds: retryAfter(headers) });
  if (status === 408 || status === 504) return new ServiceError(code, words, "broken-off", { status });
  return new ServiceError(code, words, "refused", { status });
}

/** Whether the same photo may get an answer later: not where the photo is to blame. */
export function worthAnotherTry(status, code) {
  return status === 0 || status === 408 || status >= 500 || code === "photo-slow";
}

/** What the service calls a problem: its type is "/docs#<slug>". */
export function slugOf({ type }) {
  return String(type).split("#")[1] ?? "";
}

/** The header holds seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(headers) {
  const value = headers.get("Retry-After");
  const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 ? seconds : BUSY_SECONDS;
}

/** A browser does not tell scripts why a request failed, so some more of them have to find out. */
async function whyNothingCame() {
  if (navigator.onLine === false) return new ServiceError("offline", t("offline"), "lost");
  const signal = withDeadline(null, FEW_SECONDS);
  try {
    const response = await reach("healthz", { signal });
    understand("healthz", response, await response.text());
    return new ServiceError("connection-broken", t("connection-broken"), "broken-off");
  } catch (trouble) {
    if (trouble instanceof ServiceError) return trouble;
  }
  if (address.origin !== location.origin && (await answersAtAll(signal))) return somethingElse();
  return new ServiceError("unreachable", t("unreachable"), "lost");
}

/** Also for what does not let pages of another origin read it, as ngrok's own pages do not. */
async function answersAtAll(signal) {
  try {
    await fetch(new URL("healthz", address), { mode: "no-cors", cache: "no-store", signal });
    return true;
  } catch {
    return false;
  }
}

function openable() {
  const url = new URL(address);
  url.hash = code && `code=${code}`;
  return url.href;
}

/** The access code in a link, or in what the end of one was pasted as. */
export function codeIn(text) {
  return text.match(/\bcode=([\w-]+)/)?.[1] ?? "";
}

export function useCode(text) {
  code = codeIn(text) || text.replace(/[^\w-]/g, ""); // no code holds anything else, and no header might
}

function storedCode() {
  try {
    return sessionStorage.getItem("code") ?? "";
  } catch {
    return "";
  }
}

/** Once the service has taken it. The link keeps a code too, so that it can be loaded again and sent on. */
export function keepCode() {
  try {
    sessionStorage.setItem("code", code);
  } catch {
    // Where nothing may be stored, the code of the link has to do.
  }
  const linked = codeIn(location.hash);
  if (linked && linked !== code) history.replaceState(null, "", `#code=${code}`);
}
