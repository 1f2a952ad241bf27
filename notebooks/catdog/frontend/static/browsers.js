// In what browsers differ: what older ones lack, done otherwise, and what the browsers inside apps are not good at.

const IN_AN_APP = /Instagram|FBAN|FBAV|FB_IAB|\bLine\/|LinkedInApp|Snapchat|musical_ly|Pinterest\/|; wv\)/;

/** Put `children` in the place of what is in an element. (replaceChildren: Safari 14, Chrome 86, Firefox 78.) */
export function fill(element, ...children) {
  element.textContent = "";
  element.append(...children);
}

/** (Blob.arrayBuffer: Safari 14, Chrome 76, Firefox 69.) */
export function bytesOf(blob) {
  return blob.arrayBuffer ? blob.arrayBuffer() : new Response(blob).arrayBuffer();
}

/** Let the browser draw and answer between two long pieces of work. Timers would do, but they are slow in hidden pages. */
export function pause() {
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  });
}

/** Throws where `text` is not base64. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Returns {observe, unobserve}; `seen(element)` is called when one comes near the screen, or at once where no browser
 * tells that. (IntersectionObserver: Safari 12.1, Chrome 58, Firefox 55.) */
export function whenSeen(seen) {
  if (typeof IntersectionObserver === "undefined") return { observe: seen, unobserve() {} };
  return new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) seen(target);
  }, { rootMargin: "600px" });
}

/** Whether zips can be unpacked. (deflate-raw: Safari 16.4, Chrome 103, Firefox 113.) */
export function canInflate() {
  try {
    return Boolean(new DecompressionStream("deflate-raw"));
  } catch {
    return false;
  }
}

/** Show a <dialog>; below the page where it cannot lie over it. (showModal: Safari 15.4, Chrome 37, Firefox 98.) */
export function openDialog(dialog) {
  if (dialog.hasAttribute("open")) return;
  if (dialog.showModal) return dialog.showModal();
  dialog.setAttribute("open", "");
  dialog.addEventListener("keydown", closeByEscape);
  dialog.scrollIntoView();
  dialog.querySelector("button").focus();
}

export function closeDialog(dialog) {
  if (!dialog.hasAttribute("open")) return;
  if (dialog.close) return dialog.close();
  dialog.removeAttribute("open");
  dialog.dispatchEvent(new Event("close"));
}

function closeByEscape({ key, currentTarget }) {
  if (key === "Escape" && currentTarget.hasAttribute("open")) closeDialog(currentTarget);
}

/** Whether the page is shown inside another app. */
export function isInAnApp() {
  return IN_AN_APP.test(navigator.userAgent);
}

/** Hand a file to the apps of a phone, or save it where that cannot be, and where a tester has a mouse: in the browsers
 * inside apps, nothing can be downloaded. Gives "shared", "saved", or "cancelled" by the tester. */
export async function handOver(file) {
  const files = [file];
  if (matchMedia("(hover: none)").matches && navigator.canShare?.({ files })) {
    try {
      await navigator.share({ files });
      return "shared";
    } catch (refusal) {
      if (refusal.name === "AbortError") return "cancelled";
    }
  }
  const url = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { href: url, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // when the browser has begun to save
  return "saved";
}
