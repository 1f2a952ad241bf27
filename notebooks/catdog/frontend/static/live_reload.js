// Loads the page again when one of its files has changed; only in its notebook, since a link counts requests.

const EVERY = 1000; // milliseconds
const known = new URL(import.meta.url).searchParams.get("files"); // as they were when this page was made

setInterval(async () => {
  if (document.hidden) return;
  const answer = await fetch("changes").catch(() => null);
  if (answer?.ok && (await answer.text()) !== known) location.reload();
}, EVERY);
