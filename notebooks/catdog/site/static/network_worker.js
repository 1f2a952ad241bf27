// Runs the network in a worker, so that the page stays responsive: photos in, answers out.

import { answerTo, heatmap } from "./answering.js";
import { PhotoRefused, canvasIsTruthful, networkPixels } from "./decoding.js";
import { fetched } from "./site_files.js";

const RUNTIME = "../runtime/";
const MOST_THREADS = 4; // more do not help a phone, whose other cores are slow ones
const APART = { pixels: 1, answers: 0.02 }; // of 255, on average; of a golden photo's probabilities
const REQUESTS = { load, predict, explain, correct };

let started = null; // a promise of {model, checked, ort, session}
const decode = oneByOne(); // a photo of a phone takes 100 MB meanwhile
const compute = oneByOne();

onmessage = async ({ data: { id, request, ...about } }) => {
  try {
    postMessage({ id, result: await REQUESTS[request](about) });
  } catch (error) {
    postMessage({ id, error: described(error) });
  }
};

/** A DOMException has a `code`, too, which is a number. */
function described({ code, name, message: detail, constructor }) {
  if (name === "NotReadableError" || name === "NotFoundError") return { code: "file-unreadable", detail, isPhotos: true };
  return { code: typeof code === "string" ? code : "internal", detail, isPhotos: constructor === PhotoRefused };
}

function oneByOne() {
  let turn = Promise.resolve();
  return (work) => {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  };
}

/** Fetch the network, and compare its answers to the golden photos with the saved ones, unless `checked` is the key of an
 * earlier check of the same network in the same browser. Returns the model's id and the key of this check. */
async function load({ checked, threads } = {}) {
  started ??= start(checked, threads);
  const { model, checked: key } = await started;
  return { id: model.id, checked: key };
}

async function start(checkedBefore, threads) {
  if (!canvasIsTruthful()) throw coded("canvas-changed", "This browser changes what is drawn.");
  const model = JSON.parse(new TextDecoder().decode(await fetched("../model/model.json")));
  const small = Promise.all(["arrays", "golden"].map((name) => fetched(`../model/${name}.bin`)));
  const [network, wasm] = await withProgress(model.bytes, "../model/network.bin", `${RUNTIME}ort-wasm.bin`);
  const [arrays, golden] = await small;
  for (const [name, place] of Object.entries(model.arrays)) model[name] = new Float32Array(arrays, place.start, place.length);
  const checked = `${model.digest} ${navigator.userAgent}`;
  const found = { model, checked, ...(await openSession(network, wasm, threads)) };
  if (checked !== checkedBefore) await replay(found, new Uint8Array(golden));
  return found;
}

/** Fetch the files, and tell the page how many of all bytes have been received. */
function withProgress(all, ...names) {
  const received = names.map(() => 0);
  const tell = (i) => (bytes) => {
    received[i] = bytes;
    postMessage({ received: received.reduce((sum, part) => sum + part), all });
  };
  return Promise.all(names.map((name, i) => fetched(name, tell(i))));
}

async function openSession(network, wasm, threads) {
  const ort = await import(new URL(`${RUNTIME}ort.js`, import.meta.url));
  const mayShare = self.crossOriginIsolated && typeof SharedArrayBuffer !== "undefined";
  const numThreads = mayShare ? Math.min(threads ?? MOST_THREADS, navigator.hardwareConcurrency) : 1;
  const wasmPaths = { mjs: new URL(`${RUNTIME}ort-wasm.js`, import.meta.url).href };
  Object.assign(ort.env.wasm, { wasmBinary: wasm, wasmPaths, numThreads });
  try {
    const session = await ort.InferenceSession.create(new Uint8Array(network), { executionProviders: ["wasm"] });
    delete ort.env.wasm.wasmBinary; // 14 MB that are compiled by now
    return { ort, session };
  } catch (error) {
    throw coded("model-stopped", error.message);
  }
}

/** Throws where this browser reads the golden photos in another way, or computes other answers to them. */
async function replay(network, pixels) {
  const { model } = network;
  const size = pixels.length / model.golden.length;
  for (const [i, { file, probabilities: saved }] of model.golden.entries()) {
    const rgb = await goldenPixels(file, model);
    const { probabilities } = answerTo(await activationsOf(rgb, network), model);
    const off = meanDifference(rgb, pixels.subarray(i * size, (i + 1) * size));
    const same = model.classes.every((name, j) => Math.abs(probabilities[name] - saved[j]) <= APART.answers); // NaN is not
    if (off > APART.pixels || !same) throw differs();
  }
}

async function goldenPixels(file, model) {
  const bytes = await fetched(`../model/${file}`);
  return networkPixels(new Blob([bytes]), model).catch(() => {
    throw differs();
  });
}

function meanDifference(found, wanted) {
  return found.reduce((sum, value, i) => sum + Math.abs(value - wanted[i]), 0) / wanted.length;
}

function differs() {
  return coded("answers-differ", "This browser computes other answers than the saved ones.");
}

function coded(code, detail) {
  return Object.assign(new Error(detail), { code });
}

async function infer(file) {
  await load();
  const network = await started;
  const { model } = network;
  const rgb = await decode(() => networkPixels(file, model));
  const activations = await compute(() => activationsOf(rgb, network));
  return { model, rgb, activations, answer: answerTo(activations, model) };
}

/** Where the runtime breaks, as for want of memory, it stays broken: "model-stopped" has the page start it anew. */
async function activationsOf(rgb, { ort, session, model: { pixels } }) {
  const photo = new ort.Tensor("uint8", new Uint8Array(rgb.buffer), [1, pixels, pixels, 3]);
  try {
    const { activations } = await session.run({ photo });
    return activations.data;
  } catch (error) {
    throw coded("model-stopped", error.message);
  }
}

async function predict({ file }) {
  return (await infer(file)).answer;
}

async function explain({ file, label }) {
  const { model, activations, answer } = await infer(file);
  const target = label || answer.label;
  const number = model.classes.indexOf(target);
  if (number < 0) throw coded("label-unknown", "The model does not know this class.");
  return { ...answer, target, fit: model.fit, heatmap: heatmap(activations, model, number) };
}

/** The answer, and the photo as the network sees it, as PNG. */
async function correct({ file }) {
  const { model, rgb, answer } = await infer(file);
  const { pixels } = model;
  const canvas = new OffscreenCanvas(pixels, pixels);
  const picture = new ImageData(pixels, pixels);
  for (let i = 0; i < pixels * pixels; i++) picture.data.set([...rgb.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  canvas.getContext("2d", { alpha: false }).putImageData(picture, 0, 0);
  return { answer, png: await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer() };
}
