"use strict";
// Refreshes the parts of a page that are marked data-live, in place, so that focus and scroll position are kept.
const EVERY = 5000;
const byId = (id) => document.getElementById(id);

function replaceParts(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    // While something in it is being clicked it stays: what is replaced between press and release is not clicked.
    if (!fresh || fresh.innerHTML === part.dataset.seen || part.querySelector(":active")) continue;
    part.dataset.seen = fresh.innerHTML;
    for (const open of part.querySelectorAll("details[open]")) page.getElementById(open.id)?.setAttribute("open", "");
    const places = [...part.querySelectorAll("a, summary, button, [tabindex]")];
    const focused = places.indexOf(document.activeElement);
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    part.querySelectorAll(".scroll").forEach((box, place) => { box.scrollLeft = scrolled[place] ?? 0; });
    if (focused >= 0) part.querySelectorAll("a, summary, button, [tabindex]")[focused]?.focus({ preventScroll: true });
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { "X-Requested-With": "XMLHttpRequest" } });
    if (answer.headers.has("X-Rainbow-Sign-In")) return location.reload();
    if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
    replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
    document.body.classList.remove("stale");
    byId("stale").textContent = "";
  } catch {
    document.body.classList.add("stale");
    byId("stale").textContent = "The server does not answer: what you see is old.";
  }
}

async function stepBulkAction() {
  for (let form; (form = document.querySelector("form[data-step]")); ) {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
    if (!answer?.ok) return;
    replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  stepBulkAction();
  byId("choose-all")?.addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
  });
  if (byId("hold")) setInterval(() => { if (!document.hidden && !byId("hold").checked) refresh(); }, EVERY);
});
