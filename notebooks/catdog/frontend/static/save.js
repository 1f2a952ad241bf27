// The answers as a file to keep.

import { handOver } from "./browsers.js";
import { confidence, photos } from "./photos.js";
import { NONE, truth } from "./truth.js";

export function saveJson() {
  const answers = photos.map((photo) => ({
    file: photo.path,
    state: photo.state,
    ...(photo.answer ?? {}),
    ...(photo.why ? { why: photo.why } : {}),
    ...(truth(photo) ? { truth: plain(truth(photo)) } : {}),
  }));
  return save("answers.json", "application/json", JSON.stringify(answers, null, 2));
}

export function saveCsv() {
  const classes = [...new Set(photos.flatMap(({ answer }) => Object.keys(answer?.probabilities ?? {})))];
  const probabilities = classes.map((label) => `p(${label})`);
  const head = ["file", "answer", "sure", "confidence", ...probabilities, "truth", "model", "state", "why"];
  const rows = photos.map((photo) => {
    const { answer, path, state, why } = photo;
    const shares = classes.map((label) => answer?.probabilities[label] ?? "");
    const known = answer ? [answer.label, answer.confident !== false, confidence(photo)] : ["", "", ""];
    return [path, ...known, ...shares, plain(truth(photo)), answer?.model ?? "", state, why];
  });
  const lines = [head, ...rows].map((row) => row.map(asCell).join(","));
  return save("answers.csv", "text/csv", `\uFEFF${lines.join("\r\n")}\r\n`); // spreadsheets know UTF-8 by that mark
}

/** As the service calls it. */
function plain(label) {
  return label === NONE ? "none of these" : label;
}

/** RFC 4180; and nothing that a spreadsheet would take for a formula, since file names come from anybody. */
function asCell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Gives the name of what was downloaded. */
async function save(name, type, text) {
  return (await handOver(new File([text], name, { type }))) === "saved" ? name : "";
}
