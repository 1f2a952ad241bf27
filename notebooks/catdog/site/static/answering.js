// From the network's activations to answers: the last layer, what is unlike the training photos, and the heat map.
// The same arithmetic as models/head.py, models/ood.py and models/grad_cam.py.

const TINY = 1e-12;

/** `model`: {classes, pooling, unit_length, kernel, bias, centers, ood_limit, ood_kernel, ood_bias, threshold}; activations:
 * Float32Array (channels, cells × cells). → {label, confident, in_distribution, probabilities}, as /predict says it. */
export function answerTo(activations, model) {
  const features = concatenated(pooled(activations, model).map((part) => (model.unit_length ? atLength1(part) : part)));
  const shares = softmax(logits(features, model));
  const best = shares.indexOf(Math.max(...shares));
  const known = inDistribution(features, model);
  return {
    label: model.classes[best], confident: known && shares[best] >= model.threshold, in_distribution: known,
    probabilities: Object.fromEntries(model.classes.map((name, i) => [name, shares[i]])),
  };
}

function pooled(activations, { channels, pooling }) {
  const cells = activations.length / channels;
  return pooling.map((kind) => Float64Array.from({ length: channels }, (_, c) => {
    let [sum, most] = [0, -Infinity];
    for (let i = c * cells; i < (c + 1) * cells; i++) {
      sum += activations[i];
      most = Math.max(most, activations[i]);
    }
    return kind === "max" ? most : sum / cells;
  }));
}

function length(values) {
  return Math.max(Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)), TINY);
}

function atLength1(values) {
  const by = length(values);
  return values.map((value) => value / by);
}

function concatenated(parts) {
  return Float64Array.from(parts.flatMap((part) => Array.from(part)));
}

function logits(features, { kernel, bias }) {
  const found = Float64Array.from(bias);
  features.forEach((feature, i) => {
    for (let j = 0; j < found.length; j++) found[j] += feature * kernel[i * found.length + j];
  });
  return found;
}

function softmax(values) {
  const most = Math.max(...values);
  const shares = values.map((value) => Math.exp(value - most));
  const sum = shares.reduce((all, share) => all + share, 0);
  return shares.map((share) => share / sum);
}

function inDistribution(features, { centers, ood_limit: limit, ood_kernel: kernel, ood_bias: bias }) {
  if (!centers) return true;
  const unit = atLength1(features);
  const size = features.length;
  let nearest = Infinity;
  for (let start = 0; start < centers.length; start += size) {
    let [product, square] = [0, 0];
    for (let i = 0; i < size; i++) {
      product += unit[i] * centers[start + i];
      square += centers[start + i] ** 2;
    }
    nearest = Math.min(nearest, 1 - 2 * product + square);
  }
  const strange = kernel ? features.reduce((sum, value, i) => sum + value * kernel[i], bias) : -1;
  return nearest < limit && strange < 0;
}

/** Grad-CAM, rows of numbers from 0 to 1. */
export function heatmap(activations, model, number) {
  const { channels, pooling, unit_length: isUnit, kernel, classes } = model;
  const weights = new Float64Array(channels);
  pooled(activations, model).forEach((part, place) => {
    const own = part.map((_, c) => kernel[(place * channels + c) * classes.length + number]);
    (isUnit ? throughUnitLength(own, part) : own).forEach((weight, c) => (weights[c] += weight));
  });
  const cells = activations.length / channels;
  const heat = new Float64Array(cells);
  for (let c = 0; c < channels; c++) for (let i = 0; i < cells; i++) heat[i] += weights[c] * activations[c * cells + i];
  const most = heat.reduce((found, value) => Math.max(found, value), 0);
  const side = Math.sqrt(cells);
  const row = (y) => Array.from(heat.subarray(y * side, (y + 1) * side), (value) => (most ? Math.max(0, value) / most : 0));
  return Array.from({ length: side }, (_, y) => row(y));
}

function throughUnitLength(weights, part) {
  const by = length(part);
  const projected = weights.reduce((sum, weight, c) => sum + (weight * part[c]) / by, 0);
  return weights.map((weight, c) => (weight - (projected * part[c]) / by) / by);
}
