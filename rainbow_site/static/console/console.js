"use strict";
// Refreshes the parts of a page that are marked data-live, in place, so that focus and scroll position are kept.
const EVERY = 5000, LOOK_AGAIN = 50, PATIENCE = 30000;
const PLACES = "a, summary, button, [tabindex]";
const OF_A_SCRIPT = { "X-Requested-With": "XMLHttpRequest" };
const WHY_OLD = { 403: "You may no longer see this page", 404: "What this page shows is no longer there" };
const NO_ANSWER = "The server does not answer";
const REFUSED = "The server refuses to go on. Load the page again to try once more.";
const byId = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function warn(text) {
  document.body.classList.toggle("stale", text !== "");
  if (byId("stale")) byId("stale").textContent = text;
}

const tell = (why) => warn(why && `${why}: what you see is old.`);

async function loadAnew() {
  location.reload();
  // What follows is not to run meanwhile.
  await pause(PATIENCE);
}

// What is answered, with the page in it. `page` is null where there is none, which the page that is shown then says.
async function ask(address, options) {
  const answer = await fetch(address, { ...options, headers: OF_A_SCRIPT }).catch(() => null);
  if (answer?.headers.has("X-Rainbow-Sign-In")) await loadAnew();
  const text = answer?.ok ? await answer.text().catch(() => null) : null;
  tell(text === null ? WHY_OLD[answer?.status] ?? NO_ANSWER : "");
  const page = text === null ? null : new DOMParser().parseFromString(text, "text/html");
  return { status: answer?.status, redirected: answer?.redirected, page };
}

// What is replaced between press and release is not clicked.
async function released() {
  while (document.querySelector("[data-live] :active")) await pause(LOOK_AGAIN);
}

async function replaceParts(page) {
  await released();
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.dataset.seen) continue;
    part.dataset.seen = fresh.innerHTML;
    for (const open of part.querySelectorAll("details[open]")) page.getElementById(open.id)?.setAttribute("open", "");
    const focused = document.activeElement, place = [...part.querySelectorAll(PLACES)].indexOf(focused);
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    part.querySelectorAll(".scroll").forEach((box, number) => { box.scrollLeft = scrolled[number] ?? 0; });
    if (place >= 0) likeIt(focused, place, [...part.querySelectorAll(PLACES)])?.focus({ preventScroll: true });
  }
}

// A link is the one with the same address, wherever it is now: what stands in its place may be another job's.
function likeIt(focused, place, others) {
  return focused.href ? others.find((other) => other.href === focused.href) : others[place];
}

async function refresh() {
  const { redirected, page } = await ask(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (redirected) return loadAnew();
  if (page) await replaceParts(page);
}

// One at a time: a slow answer would else replace those that were asked for later.
let going = null;
const refreshOnce = () => (going ??= refresh().finally(() => { going = null; }));

async function stepBulkAction() {
  let refused = false;
  for (let form; (form = document.querySelector("form[data-step]")); ) {
    const { status, page } = await ask(form.action, { method: "POST", body: new FormData(form) });
    if (page?.getElementById("bulk-action")) {
      refused = false;
      await replaceParts(page);
    } else if (!page && status !== 403) await pause(EVERY);
    else if (refused) return warn(REFUSED);
    else {
      refused = true;
      // Who is signed out is asked to sign in; who may not go on gets no form, others one of their present session.
      await refresh();
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  stepBulkAction();
  byId("choose-all")?.addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
  });
  if (byId("hold")) setInterval(() => { if (!document.hidden && !byId("hold").checked) refreshOnce(); }, EVERY);
});
