// "Is that right?" Yes, or no and what it is: the tester's word counts on this page. Where the service keeps
// corrections, a no goes to the author, too.

import { search } from "./class_picker.js";
import { fill } from "./browsers.js";
import { isSure, topOf } from "./photos.js";
import { small } from "./resize.js";
import { say } from "./say.js";
import { ask, codeOf } from "./service.js";
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
}

function choose() {
  isChoosing = !isChoosing;
  show();
}

/** Show what can be said, or was, about the photo that is open. */
export function show() {
  const { answer, isSending } = photo;
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
  // A button that is disabled loses the focus, and the keyboard with it.
  for (const button of [byId("yes"), ...place.children]) button.setAttribute("aria-disabled", Boolean(isSending));
  const { words, ...data } = photo.correction ?? { words: "" };
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
  if ([...place.children].map(({ dataset }) => dataset.label).join() === labels.join()) return;
  fill(place, ...labels.map((label) => {
    const button = Object.assign(document.createElement("button"), { type: "button", dir: "auto" });
    say(button, label === NONE ? t("none-of-these") : label, { label });
    button.addEventListener("click", () => answerIs(label));
    return button;
  }));
}

/** The same once more takes it back, or tries again to send it. */
function answerIs(label) {
  const { answer, correction, isSending } = photo;
  if (isSending) return;
  const isSaid = truth(photo) === label;
  const isSent = correction?.code === "sent" && correction.label === label;
  if (isSaid && isSent) return;
  const takesBack = isSaid && !correction;
  tellTruth(photo, takesBack ? undefined : label);
  const concernsAuthor = label !== answer.label || correction?.code === "sent";
  if (answer.corrections && concernsAuthor && !takesBack) send(label);
  else tell(photo, null);
}

async function send(label) {
  const asked = photo;
  const before = asked.correction;
  tell(asked, { words: t("sending"), code: "sending" }, true);
  try {
    const form = new FormData();
    form.append("images", await small(asked), "photo");
    if (label !== NONE) form.append("label", label);
    await ask("corrections", { method: "POST", body: form });
    const name = label === NONE ? t("none-of-these") : label;
    tell(asked, { words: t("sent", { label: name }), code: "sent", label });
  } catch (trouble) {
    tell(asked, { words: trouble.message, code: codeOf(trouble), label: before?.label ?? "" });
  }
}

function tell(asked, correction, isSending = false) {
  Object.assign(asked, { correction, isSending });
  if (correction?.code === "sent") keep(asked);
  if (asked === photo && photo.answer) show();
}
