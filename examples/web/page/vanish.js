// Vanish: what a signal and a gradient go through in a deep network at initialization.

import { Chart, reading } from "./chart.js";
import { Command } from "./command.js";
import { h, say, settled } from "./dom.js";
import { engine } from "./engines.js";
import { Histograms } from "./histogram.js";
import { Latest } from "./latest.js";
import { duration, finite, sentence, short } from "./number.js";
import { asked, mended, summary } from "./settings.js";
import { state } from "./state.js";
import { Verdict } from "./verdict.js";

/** @typedef {import("./state.js").Key} Key */

/** Random inputs that go through each network. */
const BATCH = 64;

export class Vanish {
  /** @param {Record<Key, import("./settings.js").Card>} cards @param {(text: string) => void} announce */
  constructor(cards, announce) {
    this.cards = cards;
    this.announce = announce;
    /** @type {Record<Key, any>} */
    this.found = { a: null, b: null };
    this.asked = { a: "", b: "" };
    /** Timers, after which a network is said to be computed. */
    this.waits = { a: 0, b: 0 };
    const pick = (layer) => [this.signal, this.gradient].forEach((chart) => chart.mark(layer));
    this.signal = new Chart({
      title: "The signal, forward",
      about: "Variance of what each layer puts out. Marks are measured in this network, lines predicted; most networks of this width lie in the shade. 1 is what went in.",
      x: "layer",
      log: true,
      reference: 1,
      pick,
    });
    this.gradient = new Chart({
      title: "The gradient, back",
      about: "Variance of the gradient at each layer, on its way from the last to the first.",
      x: "layer",
      log: true,
      reference: 1,
      pick,
    });
    this.histograms = new Histograms();
    this.verdicts = { a: new Verdict("a", () => this.#apply("a")), b: new Verdict("b", () => this.#apply("b")) };
    this.commands = { a: new Command("", "network A"), b: new Command("", "network B") };
    this.time = h("p", { class: "hint time" });
    this.questions = {};
    for (const key of /** @type {Key[]} */ (["a", "b"])) {
      this.questions[key] = new Latest(
        (question) => engine(`probe ${key}`).call("probe", question),
        (answer, question) => this.#take(key, answer, question),
        (error) => this.#fail(key, error),
      );
    }
    this.advise = settled(300, () => this.#advise());
    this.tell = settled(900, () => this.#tell());
    this.lead = h("div", { class: "lead charts" }, this.signal.element, this.gradient.element);
    this.verdictRow = h("div", { class: "verdicts" }, this.verdicts.a.element, this.verdicts.b.element);
    this.rest = h("div", { class: "rest" }, this.#values(), this.#commands(), this.#theory());
    this.parts = [this.lead, this.verdictRow, this.rest];
  }

  #values() {
    const option = (value, label) => {
      const input = h("input", { type: "radio", name: "axis", value, onchange: () => state.set({ axis: value }) });
      return [input, h("label", { class: "option" }, input, label)];
    };
    const [same, sameLabel] = option("same", "the first layer's axis");
    const [own, ownLabel] = option("own", "each its own");
    this.axes = { same, own };
    return h(
      "section",
      { class: "panel" },
      h(
        "div",
        { class: "title" },
        h("h2", {}, "Values through depth"),
        h("fieldset", { class: "options" }, h("legend", {}, "Axis"), sameLabel, ownLabel),
      ),
      h("p", { class: "hint" }, `What the units of some layers put out for ${BATCH} random inputs: how many have which value. A signal that vanishes shrinks to a spike at 0; one that explodes leaves the picture.`),
      this.histograms.element,
    );
  }

  #commands() {
    return h(
      "section",
      { class: "panel" },
      h("h2", {}, "The same on your machine"),
      h("p", { class: "hint" }, "The command draws the very same weights and shows the same numbers."),
      this.commands.a.element,
      this.commands.b.element,
      this.time,
    );
  }

  #theory() {
    const p = (...children) => h("p", {}, ...children);
    return h(
      "section",
      { class: "prose" },
      h("h2", {}, "Why there is one right size"),
      p(
        "A unit adds up fan_in products of a weight and an input. Weights are drawn around 0, independently, so the variances of these products add: the sum has fan_in × Var(w) times the mean square of the inputs. The nonlinearity then takes its part; ReLU drops one half of the squares, so its gain² is 2.",
      ),
      p(
        "One layer multiplies the variance by the factor fan_in × Var(w) ÷ gain². A whole network multiplies by it once a layer: a factor of one half comes to 10⁻¹⁵ after 50 layers. With a standard deviation of 0.01 and 64 units of ReLU it is 0.0032, and after 31 layers float32 has no numbers left that are so small. So Var(w) has to be gain² ÷ fan_in. With ReLU that is He’s 2 ÷ fan_in.",
      ),
      p(
        "The gradient goes back through the same weights and is multiplied likewise. Where it vanishes, the first layers are told nothing, and never learn. Residual connections and layer norm forgive much: the one gives the signal a way around each layer, the other makes its size 1 again. Switch them on and move the scale.",
      ),
    );
  }

  /** The view is shown, or something that it shows has changed. */
  update() {
    this.advise();
    this.axes.same.checked = state.get("axis") === "same";
    this.axes.own.checked = state.get("axis") === "own";
    for (const key of state.keys()) {
      const question = { settings: asked(key), seed: state.get("seed"), batch: BATCH, device: "cpu" };
      const text = JSON.stringify(question);
      if (this.asked[key] === text) continue;
      this.asked[key] = text;
      clearTimeout(this.waits[key]);
      this.waits[key] = setTimeout(() => this.verdicts[key].wait(true), 300);
      this.questions[key].ask({ ...question, advise: false });
    }
    this.#show();
  }

  #answered(key) {
    clearTimeout(this.waits[key]);
    this.verdicts[key].wait(false);
  }

  #take(key, answer, question) {
    this.#answered(key);
    this.found[key] = { ...answer, asked: question.advise };
    this.cards[key].fail("");
    this.#show();
    if (!question.advise) this.advise();
    this.tell();
  }

  #fail(key, error) {
    this.#answered(key);
    if (mended([key], error)) return;
    this.cards[key].fail(error.message);
    this.found[key] = null;
    this.#show();
  }

  /** Once a slider rests: what to use instead takes trying, so it is not asked for at every step. */
  #advise() {
    if (state.get("view") !== "vanish") return;
    for (const key of state.keys()) {
      const found = this.found[key];
      if (found === null || found.verdict.kind === "healthy" || found.asked) continue;
      this.questions[key].ask({ ...JSON.parse(this.asked[key]), advise: true });
    }
  }

  #apply(key) {
    const change = this.found[key]?.advice;
    if (!change?.init) return;
    state.set(changed(key, change), { step: true });
  }

  #show() {
    const keys = state.keys();
    const networks = keys.flatMap((key) => (this.found[key] ? [{ key, layers: this.found[key].layers }] : []));
    const depth = Math.max(1, ...networks.map(({ layers }) => layers.length));
    /** @returns {import("./chart.js").Series[]} */
    const series = (name) =>
      networks.map(({ key, layers }) => ({
        key,
        points: layers.map((own) => [own.layer, finite(own[`${name}_var`])]),
        line: layers.map((own) => [own.layer, finite(own.predicted?.[`${name}_var`])]),
        // Of logarithms: two standard deviations either way.
        shade: layers.map((own) => [own.layer, Math.exp(2 * finite(own.predicted?.[`${name}_band`]))]),
      }));
    const read = (name) => (layer) => {
      const parts = networks.flatMap(({ key, layers }) => {
        const own = layers[layer - 1];
        return own ? [reading(key, finite(own[`${name}_var`]), finite(own.predicted?.[`${name}_var`]))] : [];
      });
      return `Layer ${layer}: ${parts.join(" · ")}`;
    };
    const empty = "Point at a layer, or use the arrow keys.";
    /** @returns {import("./chart.js").Picture} */
    const picture = (name) => ({ series: series(name), x: [1, depth], read: read(name), empty });
    this.signal.show(picture("activation"));
    this.gradient.show(picture("gradient"));
    this.histograms.show(networks, state.get("axis") === "same");
    for (const key of /** @type {Key[]} */ (["a", "b"])) this.#judge(key, keys.includes(key));
    const times = networks.map(({ key }) => `${key.toUpperCase()} ${duration(this.found[key].milliseconds)}`);
    say(this.time, times.length > 0 ? `Computed in this browser: ${times.join(", ")}.` : "");
  }

  #judge(key, on) {
    const found = this.found[key];
    this.verdicts[key].element.hidden = !on;
    this.commands[key].show(on && found ? found.command : null);
    this.cards[key].judge(on && found ? found.verdict.kind : "");
    if (!on || !found) {
      this.verdicts[key].show({ kind: "", text: "", rate: "", advice: null, act: null });
      return;
    }
    const { kind, text } = found.verdict;
    const advice = found.advice ?? null;
    this.verdicts[key].show({
      kind,
      text: sentence(text),
      rate: rate(found.layers),
      advice: advice && (advice.init ? "Tried and found healthy:" : sentence(advice.text)),
      act: advice?.init ? `Use ${advice.text}` : null,
    });
  }

  #tell() {
    if (state.get("view") !== "vanish") return;
    const parts = state.keys().flatMap((key) => {
      const kind = this.found[key]?.verdict.kind;
      return kind ? [`Network ${key.toUpperCase()}, ${summary(key)}: ${kind}, ${rate(this.found[key].layers)}`] : [];
    });
    this.announce(parts.join(". "));
  }
}

/** The mean factor on the variance from one hidden layer to the next: the signal's, or the gradient's on its way
 *  back where that is further from 1. */
function rate(layers) {
  const hidden = layers.slice(0, -1);
  const signal = growth(hidden.map((own) => finite(own.activation_var)));
  const gradient = growth(hidden.map((own) => finite(own.gradient_var)).reverse());
  const back = Math.abs(gradient) > 1.1 * Math.abs(signal) + 0.01 || Number.isNaN(signal);
  const found = back ? gradient : signal;
  if (Number.isNaN(found)) return "";
  return `${back ? "the gradient’s variance" : "variance"} × ${short(Math.exp(found))} a layer`;
}

/** Of values that grow or shrink, the mean logarithm of a step. */
function growth(values) {
  const last = values.findLastIndex((value) => value > 0 && Number.isFinite(value));
  if (last < 1 || !(values[0] > 0)) return NaN;
  return (Math.log(values[last]) - Math.log(values[0])) / last;
}

/** What an advice makes of a setting. */
function changed(key, { init, change }) {
  const own = { [`${key}.scale`]: 1 };
  if (init) own[`${key}.init`] = init;
  const names = { init: "init", bias: "bias", activation: "activation", width: "width", residual: "residual", norm: "norm" };
  for (const [name, field] of Object.entries(names)) {
    const value = change?.[name];
    // What an advice does not change stays as it is.
    if (value !== undefined && value !== null && value !== false) own[`${key}.${field}`] = value;
  }
  return own;
}
