// The card of one network: how it is built, how it is initialized, and the slider of its scale.

import { fresh, h, say } from "./dom.js";
import { choiceField, flagField, numberField } from "./field.js";
import { plain } from "./number.js";
import { Reach } from "./reach.js";
import { scaled, scales } from "./scale.js";
import { FIELDS, STEPS, factor, state } from "./state.js";
import { ABOUT, INITS } from "./words.js";

/** @typedef {import("./state.js").Key} Key */

const DEPTHS = Array.from({ length: 100 }, (_, at) => at + 1);
const WIDTHS = [2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

const BIASES = ["zeros", "constant:0.01", "constant:0.1", "normal:0.1", "torch_default"];

/**
 * What the engine knows, once it has said so.
 * @type {{ activations: [string, string][] }}
 */
export const catalogue = {
  activations: [["relu", "relu"], ["tanh", "tanh"], ["sigmoid", "sigmoid"], ["gelu", "gelu"], ["identity", "identity"]],
};

/**
 * What the engine is asked with: the setting with its scale in the initializer's text.
 * @param {Key} key
 */
export function asked(key) {
  const { scale, init, ...rest } = state.setting(key);
  return { ...rest, init: scaled(init, scale) ?? init };
}

/**
 * Of a link whose setting the engine refuses, takes the usual in its place. Whether there was such a link.
 * @param {Key[]} keys
 * @param {{ message: string, field?: string, code?: string }} error what is at fault, where the engine knows it
 */
export function mended(keys, { message, field, code }) {
  // What has a code is no fault of the settings.
  if (!state.linked || code) return false;
  // What is found wrong only as a tensor is drawn is told by the tensor's name.
  const by = field ?? /\bbias\b/.exec(message)?.[0] ?? (/\b(weight|initializer)\b/.test(message) ? "init" : "");
  const names = { shape: ["depth", "width"], init: ["init", "scale"], "": [] }[by] ?? [by];
  const all = names.flatMap((name) => (Object.hasOwn(FIELDS, name) ? [name] : keys.map((key) => `${key}.${name}`)));
  const wrong = all.filter((key) => state.get(key) !== FIELDS[key].usual);
  if (wrong.length === 0) return false;
  // All that is known would be a long list here.
  const why = message.replace(/; known: .*/s, "");
  const whose = `Network ${keys.map((key) => key.toUpperCase()).join(" or ")}: `;
  state.mend(wrong, `${Object.hasOwn(FIELDS, names[0]) ? "" : whose}${why}`);
  return true;
}

/** A network in a line. @param {Key} key */
export function summary(key) {
  const own = asked(key);
  const extras = `${own.residual ? ", residual" : ""}${own.norm ? ", layer norm" : ""}`;
  return `${own.depth} layers of ${own.width}, ${own.activation}, ${own.init}${extras}`;
}

export class Card {
  /** @param {Key} key */
  constructor(key) {
    this.key = key;
    this.error = h("p", { class: "note", role: "status" });
    this.written = h("input", { type: "text", class: "code", spellcheck: false, autocomplete: "off", maxLength: 200 });
    this.written.addEventListener("change", () => this.#write());
    this.choice = h("select", { onchange: () => this.#choose() });
    this.about = h("p", { class: "hint" });
    this.amount = h("output", { class: "amount" });
    this.slider = h("input", {
      type: "range",
      class: "scale",
      min: String(-STEPS.most),
      max: String(STEPS.most),
      step: "1",
      oninput: () => state.set({ [`${key}.scale`]: factor(Number(this.slider.value)) }),
      ondblclick: () => state.set({ [`${key}.scale`]: 1 }),
    });
    this.reach = new Reach(key);
    this.kind = h("span", { class: "said", "aria-hidden": "true" });
    this.activation = choiceField(`${key}.activation`, "Activation", ABOUT.activation, () => [...catalogue.activations], { other: true });
    this.body = h(
      "div",
      { class: "body" },
      this.#initializer(),
      h(
        "div",
        { class: "pair" },
        numberField(`${key}.depth`, "Depth", ABOUT.depth, { through: DEPTHS }),
        numberField(`${key}.width`, "Width", ABOUT.width, { through: WIDTHS }),
        this.activation.element,
        choiceField(`${key}.bias`, "Bias", ABOUT.bias, () => BIASES.map((own) => [own, own]), { other: true }).element,
      ),
      flagField(`${key}.residual`, "Residual", ABOUT.residual),
      flagField(`${key}.norm`, "Layer norm", ABOUT.norm),
    );
    this.element = h("fieldset", { class: `card ${key}` }, h("legend", {}, this.#legend()), this.body);
    state.listen(() => this.#follow());
    this.#follow();
  }

  #legend() {
    const name = h("span", { class: "name" }, h("i", { class: `mark ${this.key}`, "aria-hidden": "true" }), `Network ${this.key.toUpperCase()}`);
    if (this.key === "a") return h("span", { class: "switched" }, name, this.kind);
    this.on = h("input", { type: "checkbox", class: "switch", onchange: () => state.set({ b: this.on.checked }, { step: true }) });
    this.on.setAttribute("aria-label", "Compare with network B");
    return h("label", { class: "switched" }, name, this.kind, this.on);
  }

  #initializer() {
    const [choice, slider, written] = [fresh("init"), fresh("scale"), fresh("written")];
    this.choice.id = choice;
    this.slider.id = slider;
    this.written.id = written;
    this.error.id = `${written}-note`;
    this.about.id = `${choice}-hint`;
    this.choice.setAttribute("aria-describedby", this.about.id);
    this.slider.setAttribute("aria-describedby", this.reach.words.id);
    this.written.setAttribute("aria-describedby", this.error.id);
    const marks = [-32, -16, 0, 16, 32].map((step) => h("span", {}, step < 0 ? `1/${2 ** (-step / STEPS.each)}` : String(factor(step))));
    return h(
      "div",
      { class: "initializer" },
      h("div", { class: "field choice" }, h("label", { htmlFor: choice }, "Initializer"), this.choice, this.about),
      h(
        "div",
        { class: "field scaling" },
        h("div", { class: "head" }, h("label", { htmlFor: slider }, "Scale"), this.amount),
        this.slider,
        this.reach.bar,
        h("div", { class: "ticks", "aria-hidden": "true" }, ...marks),
        this.reach.words,
      ),
      h("div", { class: "field text" }, h("label", { htmlFor: written }, "As it is written"), this.written, this.error),
    );
  }

  #choose() {
    if (this.choice.value === "") this.written.focus();
    else state.set({ [`${this.key}.init`]: this.choice.value, [`${this.key}.scale`]: 1 }, { step: true });
  }

  #write() {
    const { value, note } = FIELDS[`${this.key}.init`].check(this.written.value);
    this.fail(note ?? "");
    state.set({ [`${this.key}.init`]: value, [`${this.key}.scale`]: 1 }, { step: true });
    this.#follow();
  }

  /** What became of this network, in a word beside its name. @param {string} kind */
  judge(kind) {
    say(this.kind, kind);
  }

  /** Says what the engine found wrong with this network, or nothing. @param {string} message */
  fail(message) {
    say(this.error, message);
    this.written.toggleAttribute("aria-invalid", message !== "");
  }

  #follow() {
    const { init, scale } = state.setting(this.key);
    const known = INITS.find(([text]) => text === init);
    const options = [...INITS.map(([text]) => text), ...(known ? [] : [init])];
    if (this.choice.dataset.shown !== options.join()) {
      this.choice.replaceChildren(...options.map((text) => h("option", { value: text }, text)), h("option", { value: "" }, "Write another…"));
      this.choice.dataset.shown = options.join();
    }
    this.choice.value = init;
    say(this.about, known ? known[1] : "As you wrote it.");
    this.slider.disabled = !scales(init);
    const step = Math.round(Math.log2(scale) * STEPS.each);
    if (Number(this.slider.value) !== step) this.slider.value = String(step);
    this.slider.setAttribute("aria-valuetext", `times ${plain(scale)}`);
    say(this.amount, `× ${scale.toPrecision(3)}`);
    const text = scaled(init, scale) ?? init;
    if (this.written.value !== text && document.activeElement !== this.written) this.written.value = text;
    this.reach.follow(state.get("view") !== "bits" && state.keys().includes(this.key));
    if (this.on) {
      this.on.checked = state.get("b");
      this.body.hidden = !state.get("b");
      this.element.classList.toggle("off", !state.get("b"));
    }
  }

  /** The names of activations have come. */
  refresh() {
    this.activation.follow();
  }
}
