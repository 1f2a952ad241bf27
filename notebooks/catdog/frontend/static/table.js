// Tables of photos and classes, as notebook 1 reads them.

import { bytesOf } from "./browsers.js";

const NAME_COLUMN = /^(file|filename|name|path|image|photo|id|key)$/i;
const LABEL_COLUMN = /^(labels?|class(es|_name)?|truth|category|target|breed|species)$/i;

/**
 * [name, label] of each row of a table's file.
 * `isClass` and `isPhoto` say whether a cell is a class of the model, or names a photo that is here.
 */
export async function namesAndLabels(file, isClass, isPhoto) {
  const text = decoded(await bytesOf(file));
  const rows = /\.(json|jsonl|ndjson)$/i.test(file.name) ? objects(text) : cells(text);
  if (!rows.length) return [];
  const columns = rows[0].map((_, column) => column);
  const headed = (wanted) => rows[0].findIndex((cell) => wanted.test(cell.trim()));
  const name = most(columns, rows, isPhoto) ?? Math.max(0, headed(NAME_COLUMN));
  const others = columns.filter((column) => column !== name);
  const hot = others.filter((column) => rows.slice(1).every((row) => /^([01](\.0)?)?$/.test(row[column] ?? "")));
  if (hot.length > 1 && hot.some((column) => isClass(rows[0][column]))) {
    return rows.slice(1).map((row) => [row[name], rows[0][hot.find((column) => Number(row[column]))] ?? ""]);
  }
  const named = headed(LABEL_COLUMN);
  const label = most(others, rows, isClass) ?? (named >= 0 ? named : others[0]);
  const hasHeader = NAME_COLUMN.test(rows[0][name].trim()) || LABEL_COLUMN.test(rows[0][label]?.trim());
  return (hasHeader ? rows.slice(1) : rows).map((row) => [row[name], row[label]]).filter(([a, b]) => a && b);
}

/** The column with most cells that fit, if half do. */
function most(columns, rows, fits) {
  const counts = columns.map((column) => rows.filter((row) => fits(row[column] ?? "")).length);
  const best = Math.max(0, ...counts);
  return best * 2 >= rows.length - 1 && best > 0 ? columns[counts.indexOf(best)] : null;
}

function decoded(buffer) {
  const marked = { "255,254": "utf-16le", "254,255": "utf-16be" }[new Uint8Array(buffer.slice(0, 2))];
  const text = new TextDecoder(marked ?? "utf-8").decode(buffer);
  return text.includes("\uFFFD") ? new TextDecoder("windows-1252").decode(buffer) : text;
}

/** Rows of cells (RFC 4180). */
function cells(text) {
  const declared = /^sep=(.)[\r\n]+/.exec(text);
  const body = text.slice(declared?.[0].length ?? 0);
  const first = body.slice(0, body.search(/[\r\n]|$/));
  const separator = declared?.[1] ?? [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"\\r\\n\\${separator}]*))(\\${separator}|\\r\\n|\\r|\\n|$)`, "y");
  const rows = [[]];
  for (let match; cell.lastIndex < body.length && (match = cell.exec(body)); ) {
    rows[rows.length - 1].push(match[1]?.replaceAll('""', '"') ?? match[2]);
    if (match[3] !== separator) rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
}

/** Keys, then values: of a list or lines of objects, or of one object of names and labels. */
function objects(text) {
  const whole = /^\s*\[/.test(text) ? JSON.parse(text) : text.trim().split(/[\r\n]+/).map((line) => JSON.parse(line));
  const found = whole.length > 1 ? whole : Object.entries(whole[0]).map(([name, label]) => ({ name, label }));
  const keys = [...new Set(found.flatMap(Object.keys))];
  return [keys, ...found.map((one) => keys.map((key) => String(one[key] ?? "")))];
}
