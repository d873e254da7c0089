// Train: the two networks race from one seed over the same rows.

import { Boundary } from "./boundary.js";
import { Chart } from "./chart.js";
import { Command } from "./command.js";
import { h, say, settled } from "./dom.js";
import { engine } from "./engines.js";
import { choiceField, numberField, refuse } from "./field.js";
import { Guess, Pad } from "./pad.js";
import { counted, finite, percent, sentence, short, whole } from "./number.js";
import { asked, mended, summary } from "./settings.js";
import { DATA, FIELDS, state } from "./state.js";
import { DATA as ABOUT } from "./words.js";

/** @typedef {import("./state.js").Key} Key */

/**
 * Optimizers, and the learning rate that each is begun with.
 * @type {[string, number][]}
 */
const OPTIMIZERS = [["sgd", 0.015], ["sgd:0.9", 0.01], ["adam", 0.001], ["adamw", 0.001], ["rmsprop", 0.001]];

/** Milliseconds of training between two looks at it. */
const TURN = 40;
/** Milliseconds between two pictures of the plane: they cost as much as some steps do. */
const PICTURE = 350;

/** Said where an answer takes longer than these milliseconds. */
const READYING = "Getting ready…";
const NOTICED = 300;

export class Train {
  /** @param {(text: string) => void} announce */
  constructor(announce) {
    this.announce = announce;
    /** @type {"none" | "ready" | "running" | "paused" | "finished"} */
    this.stand = "none";
    // Whether it runs, or is to run as soon as it is ready: what it then stands still for is no pause.
    this.goOn = false;
    this.race = 0;
    // The race that a loop advances: there is never more than one.
    this.looping = 0;
    this.question = "";
    // What takes back the words beside the numbers that the engine refused.
    this.refused = [];
    this.begin = settled(200, () => this.#start());
    this.networks = { a: new Lane("a"), b: new Lane("b") };
    this.go = h("button", { type: "button", class: "main", onclick: () => this.#toggle() }, "Start");
    this.step = h("button", { type: "button", onclick: () => this.#step() }, "Step");
    this.reset = h("button", { type: "button", onclick: () => this.#reset() }, "Reset");
    this.progress = h("progress", { max: 1, value: 0, "aria-label": "Progress of the race" });
    this.where = h("span", { class: "where" });
    this.note = h("p", { class: "note", role: "status" });
    this.rows = h("p", { class: "hint" });
    this.pad = new Pad(() => this.#guess(), () => this.#sample());
    this.loss = new Chart({
      title: "Loss",
      about: "How wrong each is: on the rows it learns from, and fainter on those it never sees.",
      x: "epoch",
      pick: () => {},
    });
    this.gradient = new Chart({
      title: "Gradient by layer",
      about: "The size of each layer's gradient at this step: a layer that gets none does not learn.",
      x: "layer",
      log: true,
      pick: () => {},
    });
    this.command = new Command("The same race in a terminal:");
    this.parting = h(
      "p",
      { class: "hint", hidden: true },
      "The weights at the start have the same bits there. Sums are rounded otherwise, so what is trained parts from this by and by.",
    );
    this.lanes = h("div", { class: "lanes" }, this.networks.a.element, this.networks.b.element);
    this.lead = h(
      "div",
      { class: "lead race" },
      this.#data(),
      h("div", { class: "transport" }, this.go, this.step, this.reset, this.progress, this.where),
      this.note,
      h("div", { class: "field-of-play" }, this.pad.element, this.lanes),
    );
    this.rest = h(
      "div",
      { class: "rest" },
      h("div", { class: "charts" }, this.loss.element, this.gradient.element),
      h("section", { class: "panel options-panel" }, h("h2", {}, "How it trains"), this.#options()),
      h("section", { class: "panel" }, h("h2", {}, "The same on your machine"), this.command.element, this.parting),
    );
    this.parts = [this.lead, this.rest];
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#unseen("this tab went to the background");
    });
  }

  #data() {
    this.sets = DATA.map((name) => {
      const input = h("input", { type: "radio", name: "data", value: name, onchange: () => state.set({ data: name }, { step: true }) });
      return { name, input, element: h("label", { class: "option" }, input, name) };
    });
    return h("fieldset", { class: "options data" }, h("legend", {}, "Data"), ...this.sets.map((own) => own.element), this.rows);
  }

  #options() {
    /** @returns {[string, string][]} */
    const optimizers = () => OPTIMIZERS.map(([name]) => [name, name]);
    const also = (name) => {
      const known = OPTIMIZERS.find(([own]) => own === name);
      return known ? { rate: known[1] } : {};
    };
    const optimizer = choiceField("optimizer", "Optimizer", "makes steps of gradients", optimizers, { other: true, also });
    /** @returns {[string, string][]} */
    const schedules = () => [["cosine", "cosine, down to 0"], ["constant", "constant"]];
    const schedule = choiceField("schedule", "Schedule", "of the learning rate", schedules, { other: true });
    const device = choiceField("device", "Computes on", "this browser’s own", () => [["cpu", "CPU"], ["gpu", "GPU"]]);
    return h(
      "div",
      { class: "trio" },
      optimizer.element,
      numberField("rate", "Learning rate", "how far a step goes", { step: "any" }),
      schedule.element,
      numberField("batch", "Batch", "rows to a step"),
      numberField("epochs", "Epochs", "times through all rows"),
      device.element,
    );
  }

  /** The view is shown, or something that it shows has changed. */
  update() {
    for (const { name, input } of this.sets) input.checked = state.get("data") === name;
    const digits = state.get("data") === "digits";
    for (const key of /** @type {Key[]} */ (["a", "b"])) {
      const lane = this.networks[key];
      lane.element.hidden = !state.keys().includes(key);
      lane.boundary.canvas.hidden = digits;
      lane.guess.element.hidden = !digits;
    }
    this.pad.element.hidden = !digits;
    this.lead.classList.toggle("digits", digits);
    const question = {
      data: state.get("data"),
      seed: state.get("seed"),
      runs: state.keys().map(asked),
      optimizer: state.get("optimizer"),
      lr: state.get("rate"),
      schedule: state.get("schedule"),
      batch: state.get("batch"),
      epochs: state.get("epochs"),
      device: state.get("device"),
    };
    const text = JSON.stringify(question);
    if (text === this.question) return;
    this.question = text;
    // What ran, or was about to, goes on with the new settings, from their start.
    this.race += 1;
    this.stand = "none";
    if (this.#accept()) say(this.note, "");
    this.begin();
    this.#controls();
  }

  /** Another view is shown: nothing that is not seen goes on. */
  leave() {
    // Elsewhere the same number may do; who comes back is told again.
    if (this.#accept()) this.question = "";
    this.#unseen("another view was shown");
  }

  /** @param {string} why */
  #unseen(why) {
    if (!this.goOn) return;
    this.#pause();
    const text = `Paused, since ${why}. Start goes on from there.`;
    say(this.note, text);
    // A race that is about to begin has its note cleared.
    if (this.stand === "none") this.kept = text;
  }

  async #start() {
    const race = this.race;
    const question = JSON.parse(this.question);
    const keys = state.keys();
    try {
      const started = await this.#readied(engine("train").call("train.start", question));
      if (race !== this.race) return;
      this.started = started;
      this.keys = keys;
      this.history = keys.map(() => []);
      this.last = null;
      say(this.note, this.kept ?? "");
      this.kept = undefined;
      say(this.rows, `${ABOUT[question.data]} ${rowsOf(started)}`);
      keys.forEach((key, run) => this.networks[key].start(started, run, question.data === "digits"));
      this.command.show(started.command);
      this.parting.hidden = false;
      this.stand = "ready";
      this.#show();
      await this.#pictures(race);
      if (race === this.race && this.goOn) this.#run();
    } catch (error) {
      if (race === this.race) this.#fail(error);
    }
  }

  #fail(error) {
    if (error.name === "AbortError") return;
    this.stand = "none";
    this.goOn = false;
    this.kept = undefined;
    this.#controls();
    if (state.get("device") === "gpu" && (error.code === "no-jspi" || error.code === "device-lost" || error.code === "no-gpu")) {
      say(this.note, `${sentence(error.message)} The race is on the CPU now.`);
      this.kept = this.note.textContent;
      state.set({ device: "cpu" });
      return;
    }
    if (mended(state.keys(), error)) return;
    say(this.note, error.message);
    this.refused = numbersOf(error.message).map((key) => refuse(key, error.message));
    if (state.get("view") !== "train") this.leave();
  }

  /** Takes back what was said beside numbers; whether there was anything. */
  #accept() {
    const refused = this.refused.splice(0);
    for (const back of refused) back();
    return refused.length > 0;
  }

  /** Says that an answer is waited for, where it takes long: nothing else shows yet that it computes. */
  async #readied(answer) {
    const late = setTimeout(() => this.note.textContent === "" && say(this.note, READYING), NOTICED);
    try {
      return await answer;
    } finally {
      clearTimeout(late);
      if (this.note.textContent === READYING) say(this.note, "");
    }
  }

  #toggle() {
    if (this.stand === "running") this.#pause();
    else if (this.stand === "finished") this.#again(true);
    else this.#run();
  }

  #reset() {
    this.#again(false);
  }

  #again(goOn) {
    this.race += 1;
    this.stand = "none";
    this.goOn = goOn;
    this.#controls();
    this.#start();
  }

  #pause() {
    if (this.stand === "running") this.stand = "paused";
    this.goOn = false;
    this.#controls();
  }

  async #step() {
    const race = this.race;
    this.stand = "paused";
    say(this.note, "");
    this.#controls();
    try {
      await this.#advance(race, 0);
      if (race === this.race && this.stand !== "finished") await this.#pictures(race);
    } catch (error) {
      if (race === this.race) this.#fail(error);
    }
  }

  async #run() {
    const race = this.race;
    this.stand = "running";
    this.goOn = true;
    say(this.note, "");
    this.#controls();
    // A loop whose pause it has not come to yet goes on.
    if (this.looping === race) return;
    this.looping = race;
    let pictured = 0;
    const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 3 * PICTURE : PICTURE;
    try {
      while (race === this.race && this.stand === "running") {
        await this.#advance(race, TURN);
        if (race === this.race && this.stand !== "finished" && performance.now() - pictured > pause) {
          await this.#pictures(race);
          pictured = performance.now();
        }
      }
    } catch (error) {
      if (race === this.race) this.#fail(error);
    } finally {
      if (this.looping === race) this.looping = 0;
    }
  }

  /** Goes on for so long, and to the end where it is one: by whatever it was come to, it is judged. */
  async #advance(race, milliseconds) {
    let answer;
    do {
      const call = engine("train").call("train.advance", { milliseconds });
      answer = await (this.last === null ? this.#readied(call) : call);
      if (race !== this.race) return;
      this.last = answer;
      answer.runs.forEach((run, own) => this.history[own].push(...run.epochs));
      // After the last step comes a test, which may be left to the next call.
    } while (!answer.finished && answer.step >= this.started.steps);
    const ended = answer.finished && this.stand !== "finished";
    if (ended) {
      this.stand = "finished";
      this.goOn = false;
      // That it was paused on its last steps is of no interest any more.
      say(this.note, "");
    }
    this.#show();
    if (!ended) return;
    await this.#pictures(race);
    if (race === this.race) await this.#verdicts(race);
  }

  /** What each says of the plane, or of what is drawn. */
  async #pictures(race) {
    if (this.started.columns !== 2) return this.#guess();
    for (const [run, key] of this.keys.entries()) {
      const side = this.networks[key].side;
      const began = performance.now();
      const picture = await engine("train").call("train.boundary", { run, columns: side, rows: side, extent: this.started.extent });
      if (race !== this.race) return;
      this.networks[key].picture({ ...picture, columns: side, rows: side }, performance.now() - began);
    }
  }

  async #verdicts(race) {
    const said = [];
    for (const [run, key] of this.keys.entries()) {
      const verdict = await engine("train").call("train.verdict", { run });
      if (race !== this.race) return;
      this.networks[key].judge(verdict);
      said.push(`Network ${key.toUpperCase()}: ${verdict.kind}, ${percent(finite(verdict.test_accuracy ?? 0))} of test rows right`);
    }
    this.announce(`The race is over. ${said.join(". ")}.`);
  }

  async #guess() {
    if (this.started?.columns !== 64 || this.stand === "none") return;
    const race = this.race;
    if (this.pad.empty) {
      for (const key of this.keys) this.networks[key].guess.show(null);
      return;
    }
    // One question at a time; the last picture is the one that counts.
    this.drawn = true;
    if (this.guessing) return;
    this.guessing = true;
    try {
      while (this.drawn && race === this.race) {
        this.drawn = false;
        for (const [run, key] of this.keys.entries()) {
          const answer = await engine("train").call("train.predict", { run, features: [...this.pad.ink] });
          if (race === this.race) this.networks[key].guess.show(answer.probabilities.map(finite));
        }
      }
    } catch (error) {
      if (race === this.race) this.#fail(error);
    } finally {
      this.guessing = false;
    }
  }

  /** Puts a picture that no network has learned from on the pad. */
  #sample() {
    if (this.started?.columns !== 64) return;
    const { features, test, means, stds } = this.started;
    const tested = [...test.keys()].filter((own) => test[own] === 1);
    const own = tested[(this.sampled = ((this.sampled ?? -1) + 7) % tested.length)];
    this.pad.set(features.slice(own * 64, own * 64 + 64).map((value, pixel) => value * stds[pixel] + means[pixel]));
  }

  #controls() {
    const running = this.stand === "running";
    say(this.go, running ? "Pause" : this.stand === "finished" ? "Start anew" : "Start");
    this.go.disabled = this.stand === "none";
    this.step.disabled = this.stand !== "ready" && this.stand !== "paused";
    this.reset.disabled = this.stand === "none" || this.stand === "ready";
  }

  #show() {
    this.#controls();
    const { steps, steps_per_epoch: each } = this.started;
    const done = this.last?.step ?? 0;
    this.progress.value = done / steps;
    const epochs = Math.round(steps / each);
    const epoch = Math.min(epochs, Math.floor(done / each));
    say(this.where, `epoch ${epoch} of ${epochs}, step ${whole(done)}`);
    this.keys.forEach((key, run) => this.networks[key].show(this.history[run].at(-1), this.last?.runs[run]));
    this.#losses(epochs);
    this.#gradients();
  }

  #losses(epochs) {
    /** @returns {[number, number][]} */
    const line = (run, name) => this.history[run].map((own) => [own.epoch, finite(own[name])]);
    /** @type {import("./chart.js").Series[]} */
    const series = this.keys.flatMap((key, run) => [
      { key, line: line(run, "test_loss"), faint: true },
      { key, line: line(run, "train_loss"), points: line(run, "train_loss") },
    ]);
    const read = (epoch) => {
      const parts = this.keys.flatMap((key, run) => {
        const own = this.history[run].find((one) => one.epoch === epoch);
        return own ? [`${key.toUpperCase()} ${short(finite(own.train_loss))}, test ${short(finite(own.test_loss))}`] : [];
      });
      return `Epoch ${epoch}: ${parts.join(" · ") || "not there yet"}`;
    };
    // A loss that blows up would flatten all others.
    const first = this.history.flatMap((own) => finite(own[0]?.train_loss)).filter(Number.isFinite);
    const most = 2.5 * Math.max(...first, 0.1);
    for (const own of series) own.line = own.line.map(([x, y]) => [x, Math.min(y, most)]);
    for (const own of series) if (own.points) own.points = own.points.map(([x, y]) => [x, Math.min(y, most)]);
    this.loss.show({ series, x: [0, Math.max(1, epochs)], read, empty: this.last ? "" : "Start the race to see it." });
  }

  #gradients() {
    const layers = Math.max(1, ...this.started.runs.map((run) => run.layers.length));
    const series = this.last
      ? this.keys.map((key, run) => {
          const points = this.last.runs[run].gradient.map((value, layer) => [layer + 1, finite(value)]);
          return { key, points, line: points };
        })
      : [];
    const read = (layer) => {
      const parts = series.flatMap(({ key, points }) => (points[layer - 1] ? [`${key.toUpperCase()} ${short(points[layer - 1][1])}`] : []));
      return `Layer ${layer}: ${parts.join(" · ")}`;
    };
    this.gradient.show({ series, x: [1, layers], read, empty: this.last ? "" : "Start the race to see it." });
  }
}

/** One network's side of the race. */
class Lane {
  /** @param {Key} key */
  constructor(key) {
    this.key = key;
    this.side = 48;
    this.boundary = new Boundary(`What network ${key.toUpperCase()} says of the plane`);
    this.guess = new Guess(key);
    this.built = h("p", { class: "hint built" });
    this.right = h("span", { class: "right" });
    this.losses = h("span", { class: "hint" });
    this.verdict = h("p", { class: "outcome" });
    this.element = h(
      "section",
      { class: `lane ${key}`, "aria-label": `Network ${key.toUpperCase()}` },
      h("h2", {}, h("i", { class: `mark ${key}`, "aria-hidden": "true" }), `Network ${key.toUpperCase()}`),
      this.built,
      this.boundary.canvas,
      this.guess.element,
      h("p", { class: "score" }, this.right, this.losses),
      this.verdict,
    );
  }

  start(started, run, digits) {
    if (digits) this.guess.show(null);
    else this.boundary.start(started);
    say(this.built, `${summary(this.key)}: ${whole(started.runs[run].parameters)} parameters`);
    say(this.verdict, "");
    delete this.element.dataset.kind;
  }

  /** A plane that takes long is drawn coarser. */
  picture(picture, milliseconds) {
    if (milliseconds > 160) this.side = 32;
    else if (milliseconds < 40) this.side = 64;
    this.boundary.show(picture);
  }

  show(epoch, run) {
    const right = epoch ? finite(epoch.test_accuracy) : NaN;
    say(this.right, Number.isNaN(right) ? "–" : percent(right));
    const loss = run ? finite(run.loss) : NaN;
    const words = run?.diverged ? "its numbers are no longer finite" : Number.isNaN(loss) ? "of test rows right" : `of test rows right, loss ${short(loss)}`;
    say(this.losses, words);
    this.boundary.describe(Number.isNaN(right) ? "not trained yet" : `${percent(right)} of test rows right`);
  }

  judge(verdict) {
    this.element.dataset.kind = verdict.kind;
    say(this.verdict, sentence(verdict.text ? `${verdict.kind}: ${verdict.text}` : verdict.kind));
  }
}

/** The numbers that the engine's message is about: it begins with a name, and what it got. */
function numbersOf(message) {
  const [, name, got] = message.match(/^(\w+): got (\d+)/) ?? [];
  const keys = name ? [name, ...state.keys().map((key) => `${key}.${name}`)] : [];
  return keys.filter((key) => typeof FIELDS[key]?.usual === "number" && state.get(key) === Number(got));
}

const rowsOf = ({ test, labels, classes, columns }) => {
  const tested = test.reduce((sum, own) => sum + own, 0);
  const others = columns === 2 ? "hollow ones" : "others";
  return `${counted(labels.length - tested, "row")} of ${classes.length} classes to learn from, ${whole(tested)} ${others} to test with.`;
};
