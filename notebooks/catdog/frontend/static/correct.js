// "Is that right?" Yes, or no and what it is: the tester's word counts on this page. Where the service keeps
// corrections, a no goes to the author, too.

import { halt } from "./batch.js";
import { closeDialog } from "./browsers.js";
import { search } from "./class_picker.js";
import { arrange } from "./filters.js";
import { isSure, topOf } from "./photos.js";
import { seen } from "./resize.js";
import { say } from "./say.js";
import { ask, codeOf, messageOf } from "./service.js";
import { keep } from "./store.js";
import { NONE, truth } from "./truth.js";
import { t } from "./words.js";

const FEW = 12; // classes: each has a button

const byId = (id) => document.getElementById(id);
const place = byId("truths");
const field = byId("truth-search");
const searched = search(field, answerIs);
let photo = null;
let isChoosing = false;
let tellTruth = () => {};

/** `setTruth(photo, label)` is called with what the tester says, and undefined when it is taken back. */
export function start(setTruth) {
  tellTruth = setTruth;
  byId("yes").addEventListener("click", () => answerIs(photo.answer.label));
  byId("no").addEventListener("click", choose);
}

export function open(opened) {
  photo = opened;
  isChoosing = false;
  field.value = "";
}

function choose() {
  isChoosing = !isChoosing;
  show();
}

/** Show what can be said, or was, about the photo that is open. */
export function show() {
  const { answer } = photo;
  const said = truth(photo);
  const isOther = said !== "" && said !== answer.label;
  const isOpen = isChoosing || isOther;
  byId("question-words").textContent = isSure(answer) ? t("is-right") : t("is-it", answer);
  byId("yes").setAttribute("aria-pressed", said === answer.label);
  byId("no").setAttribute("aria-pressed", isOther);
  byId("no").setAttribute("aria-expanded", isOpen);
  byId("correction").hidden = !isOpen;
  byId("correction-note").hidden = !answer.corrections;
  if (isOpen) showClasses(isOther ? said : "");
  const noted = photo.truth === undefined ? { words: "" } : { words: t("noted"), code: "noted" };
  const { words, ...data } = photo.correction ?? noted;
  say(byId("correction-words"), words, data);
}

function showClasses(said) {
  const { answer } = photo;
  const classes = Object.keys(answer.probabilities);
  const isFew = classes.length <= FEW;
  const likely = isFew ? classes : topOf(answer).map(([label]) => label);
  const others = likely.filter((label) => label !== answer.label);
  const extra = [said].filter((label) => ![...others, NONE, ""].includes(label));
  offer([...extra, ...others, NONE]);
  for (const button of place.children) button.setAttribute("aria-pressed", button.dataset.label === said);
  field.hidden = isFew;
  if (!isFew) searched.show(classes);
}

function offer(labels) {
  const known = new Map([...place.children].map((button) => [button.dataset.label, button]));
  const hadFocus = place.contains(document.activeElement);
  arrange(place, labels.map((label) => known.get(label) ?? makeButton(label)));
  if (hadFocus && !place.contains(document.activeElement)) byId("no").focus(); // what was searched for is taken back
}

function makeButton(label) {
  const button = Object.assign(document.createElement("button"), { type: "button", dir: "auto" });
  say(button, label === NONE ? t("none-of-these") : label, { label });
  button.addEventListener("click", () => answerIs(label));
  return button;
}

/** The same once more takes back what the tester said, or tries again to send it. */
function answerIs(label) {
  const { answer, correction } = photo;
  const mayBeKnown = answer.corrections && photo.told !== undefined; // to the author: also where no answer came
  const takesBack = photo.truth !== undefined && truth(photo) === label && !correction && !mayBeKnown;
  isChoosing = takesBack || label !== answer.label;
  tellTruth(photo, takesBack ? undefined : label);
  // A yes stays here, unless the author may have been told something else before.
  const concernsAuthor = mayBeKnown || (answer.corrections && label !== answer.label);
  if (concernsAuthor && !takesBack) send(photo, label);
  else tell(photo, null);
}

/** One after another; the last word counts. */
async function send(asked, label) {
  asked.next = label;
  if (asked.isSending) return show(); // the photo that is open
  while (asked.next !== undefined && !asked.removed) {
    const now = asked.next;
    delete asked.next;
    if (now !== asked.told || asked.correction?.code !== "sent") await sendNow(asked, now);
  }
}

async function sendNow(asked, label) {
  const before = asked.told;
  asked.told = label; // from now on the author may know it, whether an answer comes or not
  tell(asked, { words: t("sending"), code: "sending" }, true);
  try {
    const form = new FormData();
    form.append("images", await seen(asked), "photo");
    if (label !== NONE) form.append("label", label);
    await ask("corrections", { method: "POST", body: form });
    const name = label === NONE ? t("none-of-these") : label;
    tell(asked, { words: t("sent", { label: name }), code: "sent", label });
  } catch (trouble) {
    if (trouble.kind === "refused") asked.told = before;
    if (trouble.kind === "code") askForCode(trouble);
    tell(asked, { words: messageOf(trouble), code: codeOf(trouble) });
  }
}

function askForCode(trouble) {
  const dialog = byId("detail");
  if (!dialog.hasAttribute("open")) return halt(trouble);
  dialog.addEventListener("close", () => halt(trouble), { once: true }); // or the photo's card would take the focus
  closeDialog(dialog);
}

function tell(asked, correction, isSending = false) {
  Object.assign(asked, { correction, isSending });
  if (asked.told !== undefined) keep(asked);
  if (asked === photo && photo.answer) show();
}
