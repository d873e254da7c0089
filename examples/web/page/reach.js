// Where on a scale's slider a network is healthy: probed in quiet moments, by a worker of its own.

import { fresh, h, say } from "./dom.js";
import { engine } from "./engines.js";
import { short } from "./number.js";
import { scaled } from "./scale.js";
import { STEPS, factor, state } from "./state.js";

/** @typedef {import("./state.js").Key} Key */

/** Steps of the slider between two places that are looked at first. */
const APART = 4;
/** Milliseconds that settings have to rest before they are looked at. */
const REST = 500;

/** Verdicts by step, by everything but the scale. @type {Map<string, Map<number, string>>} */
const known = new Map();

export class Reach {
  /** @param {Key} key */
  constructor(key) {
    this.key = key;
    this.turn = 0;
    this.bar = h("div", { class: "reach", "aria-hidden": "true" });
    this.words = h("p", { class: "hint", id: fresh("reach") });
    this.text = "";
  }

  /** The settings may have changed. @param {boolean} wanted whether anybody sees it */
  follow(wanted) {
    const { scale, ...own } = state.setting(this.key);
    const text = JSON.stringify([own, state.get("seed")]);
    if (text !== this.text) {
      this.text = text;
      this.#draw();
    }
    const scales = scaled(own.init, 2) !== null;
    this.bar.hidden = !scales;
    if (!scales) say(this.words, "It has no scale that a slider could move.");
    this.turn += 1;
    clearTimeout(this.timer);
    if (wanted && scales) this.timer = setTimeout(() => this.#look(this.turn), REST);
  }

  async #look(turn) {
    const { text } = this;
    const verdicts = known.get(text) ?? new Map();
    known.set(text, verdicts);
    if (known.size > 64) known.delete(known.keys().next().value);
    const { scale, ...own } = state.setting(this.key);
    const seed = state.get("seed");
    for (let step = next(verdicts); step !== undefined; step = next(verdicts)) {
      try {
        const settings = { ...own, init: scaled(own.init, factor(step)) };
        const found = await engine("reach").call("probe", { settings, seed, device: "cpu", advise: false });
        verdicts.set(step, found.verdict.kind);
      } catch {
        // What is wrong with the setting is said by who shows it.
        if (turn === this.turn) say(this.words, "");
        return;
      }
      if (turn !== this.turn || document.hidden) return;
      this.#draw();
    }
  }

  #draw() {
    const verdicts = known.get(this.text) ?? new Map();
    const healthy = (step) => verdicts.get(step) === "healthy";
    const steps = [...verdicts.keys()].sort((one, other) => one - other);
    /** @type {[number, number][]} */
    const spans = [];
    for (const [at, step] of steps.entries()) {
      if (!healthy(step)) continue;
      const before = steps[at - 1];
      // What lies between two healthy places is taken for healthy.
      if (before !== undefined && healthy(before)) spans.at(-1)[1] = step;
      else spans.push([step, step]);
    }
    const place = (step) => (step + STEPS.most) / (2 * STEPS.most);
    const bands = spans.map(([first, last]) => {
      const band = h("i");
      band.style.left = `${100 * place(first - 0.5)}%`;
      band.style.width = `${100 * (place(last + 0.5) - place(first - 0.5))}%`;
      return band;
    });
    this.bar.replaceChildren(...bands);
    const ends = spans.map(([first, last]) =>
      first === last ? `at × ${short(factor(first))}` : `from × ${short(factor(first))} to × ${short(factor(last))}`,
    );
    const found = ends.length > 0 ? `Healthy ${ends.join(", ")}.` : "Healthy nowhere on this slider.";
    say(this.words, next(verdicts) === undefined ? found : "Looking where it is healthy…");
  }
}

/** The place to look at next: a coarse round first, the usual scale in it, then the ends of what is healthy. */
function next(verdicts) {
  for (let step = 0; step <= STEPS.most; step += APART) {
    for (const own of [step, -step]) if (!verdicts.has(own)) return own;
  }
  const steps = [...verdicts.keys()].sort((one, other) => one - other);
  for (const [at, step] of steps.entries()) {
    const after = steps[at + 1];
    if (after === undefined || after - step < 2) continue;
    if ((verdicts.get(step) === "healthy") !== (verdicts.get(after) === "healthy")) return Math.floor((step + after) / 2);
  }
  // A band that is narrower than a coarse step lies where fading turns into growing.
  for (const [at, step] of steps.entries()) {
    const after = steps[at + 1];
    if (after === undefined || after - step < 2) continue;
    if (verdicts.get(step) === "vanishing" && verdicts.get(after) === "exploding") return Math.floor((step + after) / 2);
  }
  return undefined;
}
