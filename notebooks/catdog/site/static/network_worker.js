// The network, beside the page: photos in, answers out. The page goes on meanwhile.

import { answerTo, heatmap } from "./answering.js";
import { PhotoRefused, canvasIsTruthful, networkPixels } from "./decoding.js";
import { fetched } from "./site_files.js";

const RUNTIME = "../runtime/";
const MOST_THREADS = 4; // more do not help a phone, whose other cores are slow ones
const APART = { pixels: 1, answers: 0.02 }; // of 255, on average; of a golden photo's probabilities
const KINDS = { load, predict, explain, correct };

let started = null; // a promise of {session, model, ort}
const decode = oneByOne(); // a photo of a phone takes 100 MB meanwhile
const compute = oneByOne();

onmessage = async ({ data: { id, kind, ...asked } }) => {
  try {
    postMessage({ id, found: await KINDS[kind](asked) });
  } catch (error) {
    const { code = "internal", message: detail } = error;
    postMessage({ id, error: { code, detail, isPhotos: error instanceof PhotoRefused } });
  }
};

function oneByOne() {
  let turn = Promise.resolve();
  return (work) => {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  };
}

/** Fetch the network. Unless it is known as `checked` in this browser, compare its answers to the golden photos with the
 * saved ones. Gives by what it is known then. */
async function load({ checked } = {}) {
  started ??= start(checked);
  try {
    return (await started).checked;
  } catch (error) {
    started = null; // so that it can be tried again
    throw error;
  }
}

async function start(checkedBefore) {
  if (!canvasIsTruthful()) throw coded("canvas-changed", "This browser changes what is drawn.");
  const model = JSON.parse(new TextDecoder().decode(await fetched("../model/model.json")));
  const small = Promise.all(["arrays", "golden"].map((name) => fetched(`../model/${name}.bin`)));
  const [network, wasm] = await withProgress(model.bytes, "../model/network.bin", `${RUNTIME}ort-wasm.bin`);
  const [arrays, golden] = await small;
  const checked = `${model.digest} ${navigator.userAgent}`;
  const places = Object.entries(model.arrays);
  for (const [name, { start: from, length }] of places) model[name] = new Float32Array(arrays, from, length);
  const found = { model, checked, ...(await openSession(network, wasm)) };
  if (checked !== checkedBefore) await replay(found, new Uint8Array(golden));
  return found;
}

/** The files' bytes; the page is told how many of all bytes have come. */
function withProgress(all, ...names) {
  const come = names.map(() => 0);
  const tell = (i) => (bytes) => {
    come[i] = bytes;
    postMessage({ come: come.reduce((sum, part) => sum + part), all });
  };
  return Promise.all(names.map((name, i) => fetched(name, tell(i))));
}

async function openSession(network, wasm) {
  const ort = await import(new URL(`${RUNTIME}ort.js`, import.meta.url));
  const numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  const wasmPaths = { mjs: new URL(`${RUNTIME}ort-wasm.js`, import.meta.url).href };
  Object.assign(ort.env.wasm, { wasmBinary: wasm, wasmPaths, numThreads });
  const session = await ort.InferenceSession.create(new Uint8Array(network), { executionProviders: ["wasm"] });
  return { ort, session };
}

/** Throws where this browser reads the golden photos in another way, or computes other answers to them. */
async function replay(network, pixels) {
  const { model } = network;
  const size = pixels.length / model.golden.length;
  for (const [i, { file, probabilities: saved }] of model.golden.entries()) {
    const rgb = await networkPixels(new Blob([await fetched(`../model/${file}`)]), model);
    const { probabilities } = answerTo(await activationsOf(rgb, network), model);
    const off = meanDifference(rgb, pixels.subarray(i * size, (i + 1) * size));
    const same = model.classes.every((name, j) => Math.abs(probabilities[name] - saved[j]) <= APART.answers); // NaN is not
    if (off > APART.pixels || !same) throw coded("answers-differ", "This browser computes other answers than the saved ones.");
  }
}

function meanDifference(found, wanted) {
  return found.reduce((sum, value, i) => sum + Math.abs(value - wanted[i]), 0) / wanted.length;
}

function coded(code, detail) {
  return Object.assign(new Error(detail), { code });
}

async function looked(file) {
  await load();
  const network = await started;
  const { model } = network;
  const rgb = await decode(() => networkPixels(file, model));
  const activations = await compute(() => activationsOf(rgb, network));
  return { model, rgb, activations, answer: answerTo(activations, model) };
}

async function activationsOf(rgb, { ort, session, model: { pixels } }) {
  const photo = new ort.Tensor("uint8", new Uint8Array(rgb.buffer), [1, pixels, pixels, 3]);
  const { activations } = await session.run({ photo });
  return activations.data;
}

async function predict({ file }) {
  return (await looked(file)).answer;
}

async function explain({ file, label }) {
  const { model, activations, answer } = await looked(file);
  const target = label || answer.label;
  return { ...answer, target, fit: model.fit, heatmap: heatmap(activations, model, model.classes.indexOf(target)) };
}

/** The answer, and the photo as the network sees it, as PNG. */
async function correct({ file }) {
  const { model, rgb, answer } = await looked(file);
  const { pixels } = model;
  const canvas = new OffscreenCanvas(pixels, pixels);
  const picture = new ImageData(pixels, pixels);
  for (let i = 0; i < pixels * pixels; i++) picture.data.set([...rgb.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  canvas.getContext("2d", { alpha: false }).putImageData(picture, 0, 0);
  return { answer, png: await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer() };
}
