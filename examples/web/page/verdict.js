// What is to be said of a network, and a button that does what is advised.

import { h, say, svg } from "./dom.js";
import { VERDICTS } from "./words.js";

/** @typedef {import("./state.js").Key} Key */

/** A signal through depth, as each verdict has it. */
const SHAPES = {
  healthy: "M2 12C7 9 11 14 16 11S25 13 30 12",
  vanishing: "M2 4C10 18 18 20 30 20.5",
  exploding: "M2 20C14 19.500 24 16 30 3",
  symmetric: "M2 8H30M2 12H30M2 16H30",
  dead: "M2 7L9 12L14 21H30",
  saturated: "M2 20H10L21 4H30",
};

export class Verdict {
  /** @param {Key} key @param {() => void} apply what the button does */
  constructor(key, apply) {
    this.key = key;
    this.shape = svg("path", { d: "" });
    this.kind = h("strong", { class: "kind" });
    this.rate = h("span", { class: "rate" });
    this.words = h("p", { class: "words" });
    this.text = h("p", { class: "hint" });
    this.advice = h("span");
    this.button = h("button", { type: "button", onclick: apply });
    this.advised = h("p", { class: "advised", hidden: true }, this.advice, this.button);
    this.element = h(
      "section",
      { class: `verdict ${key}`, "aria-label": `Verdict on network ${key.toUpperCase()}` },
      h(
        "div",
        { class: "head" },
        h("span", { class: "name" }, key.toUpperCase()),
        svg("svg", { viewBox: "0 0 32 24", class: "shape", "aria-hidden": "true" }, this.shape),
        this.kind,
        this.rate,
      ),
      this.words,
      this.text,
      this.advised,
    );
  }

  /** What stands here is of other settings, and others are computed. @param {boolean} on */
  wait(on) {
    this.element.toggleAttribute("aria-busy", on);
    if (on) say(this.rate, "computing…");
  }

  /**
   * @param {object} found
   * @param {string} found.kind
   * @param {string} found.text
   * @param {string} found.rate
   * @param {string | null} found.advice
   * @param {string | null} found.act what the button says
   */
  show({ kind, text, rate, advice, act }) {
    this.element.dataset.kind = kind;
    this.shape.setAttribute("d", SHAPES[kind] ?? "");
    say(this.kind, kind === "" ? "" : kind[0].toUpperCase() + kind.slice(1));
    say(this.rate, rate);
    say(this.words, VERDICTS[kind] ?? "");
    say(this.text, text);
    this.advised.hidden = !advice && !act;
    say(this.advice, advice ?? "");
    this.button.hidden = !act;
    say(this.button, act ?? "");
  }
}
