// One photo, large: its full answer, whether that is right, and why.

import { closeDialog, openDialog } from "./browsers.js";
import * as correct from "./correct.js";
import { shown } from "./filters.js";
import { callbacks, showBars } from "./gallery.js";
import * as heatmap from "./heatmap.js";
import { facts, mayRetry, topOf, words } from "./photos.js";
import { say } from "./say.js";
import { showPicture } from "./thumbnails.js";
import { isRightToLeft, t } from "./words.js";

const SWIPE = 60; // pixels of a finger's way that lead to the next photo

const byId = (id) => document.getElementById(id);
const dialog = byId("detail");
let photo = null;
let drawn = {}; // of which answer there are bars, and whether of all classes

/** `setTruth(photo, label)` is called when the tester says what a photo really is. */
export function start(setTruth) {
  correct.start(setTruth);
  heatmap.start();
  byId("close").addEventListener("click", () => closeDialog(dialog));
  dialog.addEventListener("close", forget);
  dialog.addEventListener("click", ({ target }) => target === dialog && closeDialog(dialog)); // beside it
  document.addEventListener("keydown", byArrow); // wherever the focus is
  listenForSwipes(byId("stage"));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("all-bars").addEventListener("click", () => drawBars(!drawn.all));
  byId("detail-retry").addEventListener("click", () => callbacks.retry(photo));
  byId("detail-remove").addEventListener("click", ({ detail }) => detail > 1 || removeThis()); // not by a double click
}

export function open(chosen) {
  photo = chosen;
  byId("detail-name").textContent = photo.name;
  drawn = {};
  correct.open(photo);
  heatmap.open(photo);
  showLarge();
  refresh();
  if (dialog.hasAttribute("open")) return keepFocus();
  openDialog(dialog);
  byId("detail-name").focus(); // or some browsers draw a ring round the first button
}

/** Show what has changed about the photo that is open. */
export function refresh() {
  if (!photo) return;
  const { answer } = photo;
  byId("detail-label").textContent = words(photo);
  Object.assign(dialog.dataset, facts(photo));
  if (drawn.answer !== answer) drawBars(false);
  byId("answered").hidden = byId("why").hidden = !answer;
  byId("detail-retry").hidden = !mayRetry(photo);
  const others = shown();
  const place = others.indexOf(photo);
  byId("previous").setAttribute("aria-disabled", place <= 0); // disabled, it would lose the focus
  byId("next").setAttribute("aria-disabled", place < 0 || place === others.length - 1);
  byId("stage").dataset.alone = others.length < 2;
  if (!answer) return;
  correct.show();
  heatmap.show();
  say(byId("detail-model"), t("answered-by", answer), { model: answer.model });
}

/** Or the keyboard would leave the dialog with what was hidden, such as the classes to choose from. */
function keepFocus() {
  const focused = document.activeElement;
  if (dialog.contains(focused) && !focused.offsetParent) byId("detail-name").focus();
}

/** Bars of the most probable classes, or of all: a thousand are drawn only for who wants to see them. */
function drawBars(all) {
  const { answer } = photo;
  drawn = { answer, all };
  const top = answer ? topOf(answer) : [];
  const every = all ? Object.entries(answer.probabilities).sort(([, a], [, b]) => b - a) : top;
  showBars(dialog.querySelector(".classes"), every);
  const count = answer ? Object.keys(answer.probabilities).length : 0;
  byId("all-bars").hidden = count <= top.length;
  byId("all-bars").setAttribute("aria-expanded", all);
  say(byId("all-bars"), all ? t("show-fewer") : t("show-all", { count }), { count });
}

/** The original, or what stands for it: an address of it lives only until it is shown. */
async function showLarge() {
  const image = dialog.querySelector("img");
  const opened = photo;
  image.removeAttribute("src");
  image.hidden = false;
  byId("no-picture").hidden = true;
  image.alt = t("photo-named", photo);
  try {
    const file = await photo.open();
    if (opened === photo) await showPicture(image, file);
  } catch {
    if (opened !== photo) return;
    const isShown = photo.picture && (await showPicture(image, photo.picture).then(() => true, () => false));
    if (opened !== photo) return;
    image.hidden = !isShown;
    byId("no-picture").hidden = isShown || photo.state === "failed"; // its reason is shown instead
  }
}

function forget() {
  const { card, row } = photo;
  photo = null;
  dialog.querySelector("img").removeAttribute("src");
  const opened = card.isConnected && !card.parentNode.hidden ? card : row;
  opened?.querySelector(".open").focus({ focusVisible: false }); // also after stepping on to another photo
}

function step(by) {
  const place = shown().indexOf(photo);
  const next = place >= 0 && shown()[place + by];
  if (next) open(next);
}

/** To the photo on the left or on the right. */
function stepTo(side) {
  step((side === "right") === isRightToLeft ? -1 : 1);
}

function byArrow({ key, target }) {
  if (!dialog.hasAttribute("open") || target.matches("select, input")) return; // there, arrows choose
  if (key === "ArrowLeft") stepTo("left");
  if (key === "ArrowRight") stepTo("right");
}

/** With one finger, and not where the photo was made larger: there it moves what is seen. */
function listenForSwipes(zone) {
  let from = null;
  zone.addEventListener("touchstart", ({ touches }) => {
    const isAlone = touches.length === 1 && !(window.visualViewport?.scale > 1);
    from = isAlone ? touches[0] : null;
  }, { passive: true });
  zone.addEventListener("touchend", ({ changedTouches: [to] }) => {
    if (!from) return;
    const [across, down] = [to.clientX - from.clientX, to.clientY - from.clientY];
    from = null;
    if (Math.abs(across) > Math.max(SWIPE, 2 * Math.abs(down))) stepTo(across < 0 ? "right" : "left");
  });
}

function removeThis() {
  const removed = photo;
  const next = shown()[shown().indexOf(photo) + 1] ?? shown()[shown().indexOf(photo) - 1];
  if (next) open(next);
  else closeDialog(dialog);
  callbacks.remove(removed);
}
