"use strict";
// Follows what a job writes: asks for one part after the other, and shows the end of both outputs.
const EVERY_MS = 2000, AGAIN_MS = 30000, MOST_SHOWN = 262144;
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

const escaped = (character) => "\\u" + character.codePointAt(0).toString(16).padStart(4, "0");

let last = Promise.resolve();
// One request after the other: the server reads few outputs at once.
const inLine = (step) => (last = last.then(step));

class Follower {
  constructor(place, source, title) {
    this.url = place.dataset.output;
    this.place = place;
    this.source = source;
    this.title = title;
    this.next = "";
    this.decoder = new TextDecoder();
  }

  show(text) {
    if (!this.box) {
      const heading = document.createElement("h2");
      heading.textContent = this.title;
      this.box = document.createElement("pre");
      this.box.className = "code";
      this.box.tabIndex = 0;
      this.box.dataset.source = this.source;
      this.place.append(heading, this.box);
    }
    const atEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 4;
    this.box.textContent = (this.box.textContent + text.replace(HIDDEN, escaped)).slice(-MOST_SHOWN);
    if (atEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  // How long to wait for the next part; null when there is none.
  async step() {
    const headers = { "X-Requested-With": "XMLHttpRequest" };
    const answer = await fetch(`${this.url}?source=${this.source}&from=${this.next}`, { cache: "no-store", headers });
    if (!answer.ok || !answer.headers.has("X-Rainbow-Next")) return this.later(answer);
    const attempt = answer.headers.get("X-Rainbow-Attempt");
    if (this.next !== "" && attempt !== this.attempt) return this.anew();
    if (this.next === "") this.first();
    this.attempt = attempt;
    this.next = answer.headers.get("X-Rainbow-Next");
    const data = await answer.arrayBuffer();
    const text = this.decoder.decode(data, { stream: true });
    if (text) this.show(text);
    if (answer.headers.get("X-Rainbow-More") !== "true") return null;
    return data.byteLength ? 0 : EVERY_MS;
  }

  later(answer) {
    return 1000 * Number(answer.headers.get("Retry-After")) || AGAIN_MS;
  }

  // Another attempt has an output of its own.
  anew() {
    this.next = "";
    this.decoder = new TextDecoder();
    if (this.box) this.box.textContent = "";
    return 0;
  }

  // What the server has on record gives way once the site sends it.
  first() {
    if (this.place.dataset.follows) return;
    this.place.dataset.follows = "yes";
    this.place.replaceChildren();
  }

  async run() {
    for (let pause = 0; pause !== null; ) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = document.hidden ? EVERY_MS : await inLine(() => this.step().catch(() => AGAIN_MS));
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-output]")) {
    new Follower(place, "stdout", "Its output").run();
    new Follower(place, "stderr", "Its errors").run();
  }
});
