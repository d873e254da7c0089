// Same bits: what this GPU and this CPU draw and train, beside what any other machine does.

import { Command } from "./command.js";
import { fresh, h, say } from "./dom.js";
import { support } from "./engine.js";
import { engine, stop } from "./engines.js";
import { choiceField, numberField, textField } from "./field.js";
import { duration, finite, sentence, whole } from "./number.js";
import { asked, summary } from "./settings.js";
import { DTYPES, state } from "./state.js";

/** @typedef {"cpu" | "gpu"} Device */

/** One worker a device, so that both compute at once and either can be ended. */
const worker = (device) => engine(`bits ${device}`);
const DEVICES = /** @type {Device[]} */ (["cpu", "gpu"]);
const NAMES = { cpu: "CPU", gpu: "GPU" };

export class Bits {
  /** @param {(text: string) => void} announce */
  constructor(announce) {
    this.announce = announce;
    /** Why there is no GPU here, once that is known. */
    this.without = support.jspi ? "" : "This browser lacks JavaScript Promise Integration, which waiting for a GPU takes. The CPU does all of it.";
    this.gpu = h("p", { class: "device gpu" }, "Looking for a GPU…");
    this.cpu = h("p", { class: "device cpu" }, "CPU");
    this.draw = new Draw(this);
    this.training = new Training(this);
    this.own = new Own(this);
    this.verify = new Verify(this);
    this.parts = [
      h("div", { class: "lead devices" }, this.cpu, this.gpu),
      h("div", { class: "rest" }, this.draw.element, this.training.element, this.own.element, this.verify.element),
    ];
  }

  /** The view is shown, or the state has changed. */
  update() {
    if (this.looked === undefined) this.looked = this.#look();
    this.draw.update();
    this.own.update();
  }

  async #look() {
    try {
      const about = await worker("cpu").call("about");
      say(this.cpu, `CPU: by WebAssembly, ${about.cpu}`);
    } catch (error) {
      say(this.cpu, `CPU: ${error.message}`);
    }
    if (!this.without) {
      try {
        const found = await worker("gpu").call("gpu");
        if (found.none) this.without = `${sentence(found.none)} The CPU does all of it.`;
        else {
          const kind = found.software ? " (a software driver: it computes on the CPU, in a GPU’s stead)" : "";
          this.software = found.software;
          say(this.gpu, `GPU: ${[found.vendor, found.architecture].filter(Boolean).join(" ") || found.name}${kind}`);
        }
      } catch (error) {
        this.without = `${sentence(error.message)}${error.code === "no-wasm" ? "" : " The CPU does all of it."}`;
      }
    }
    if (this.without) {
      say(this.gpu, `GPU: none. ${this.without}`);
    }
  }

  /** The devices that there are. */
  async devices() {
    await this.looked;
    return this.without ? DEVICES.filter((own) => own !== "gpu") : DEVICES;
  }

  /**
   * Asks every device the same, each in a lane of its own; where one fails the others go on.
   * @param {Record<Device, Lane>} lanes
   * @param {string} method
   * @param {object} question
   * @param {(own: any, device: Device, lane: Lane) => void} show what an answer looks like
   */
  async beside(lanes, method, question, show) {
    const devices = await this.devices();
    for (const device of DEVICES) if (!devices.includes(device)) lanes[device].absent();
    const errors = [];
    const ask = async (device) => {
      const lane = lanes[device];
      try {
        const own = await worker(device).call(method, { ...question, device }, { onProgress: (far) => lane.far(far) });
        show(own, device, lane);
        return own;
      } catch (error) {
        lane.fail(error);
        errors.push(error);
        return null;
      }
    };
    const answers = await Promise.all(devices.map(ask));
    return { found: answers.filter(Boolean), errors };
  }
}

/** A button that starts something, and ends it while it goes on. */
class Action {
  /** @param {string} label @param {() => Promise<void>} act */
  constructor(label, act) {
    this.label = label;
    this.act = act;
    this.busy = false;
    this.note = h("p", { class: "note", role: "status" });
    this.button = h("button", { type: "button", class: "main", onclick: () => this.#press() }, label);
    this.element = h("div", { class: "row" }, this.button, this.note);
  }

  async #press() {
    if (this.busy) {
      for (const device of DEVICES) stop(`bits ${device}`);
      return;
    }
    if (Action.current) {
      say(this.note, "Something else is under way: stop it first, or wait.");
      return;
    }
    Action.current = this;
    this.busy = true;
    say(this.note, "");
    say(this.button, "Stop");
    try {
      await this.act();
    } catch (error) {
      say(this.note, error.name === "AbortError" ? "Stopped." : error.message);
    } finally {
      Action.current = null;
      this.busy = false;
      say(this.button, this.label);
    }
  }
}
/** @type {Action | null} */
Action.current = null;

/** What one device does: how far it is, and what came of it. */
class Lane {
  /** @param {Device} device @param {string} what */
  constructor(device, what) {
    this.progress = h("progress", { max: 1, value: 0, "aria-label": `${NAMES[device]}: ${what}` });
    this.digest = h("code", { class: "digest" });
    this.facts = h("span", { class: "hint" });
    this.element = h("div", { class: `result ${device}` }, h("b", {}, NAMES[device]), this.progress, this.digest, this.facts);
    this.clear();
  }

  clear() {
    this.progress.value = 0;
    this.progress.hidden = false;
    this.digest.replaceChildren();
    this.digest.hidden = true;
    say(this.facts, "");
  }

  far({ done, total }) {
    this.progress.value = total > 0 ? done / total : 0;
  }

  done(digest, facts) {
    this.progress.hidden = true;
    this.digest.hidden = false;
    this.digest.replaceChildren(...grouped(digest));
    say(this.facts, facts);
  }

  /** This device is not here. */
  absent() {
    this.progress.hidden = true;
    say(this.facts, "not here");
  }

  fail(error) {
    this.progress.hidden = true;
    say(this.facts, error.name === "AbortError" ? "stopped" : error.message);
  }
}

/** A digest in groups of eight, which eyes can compare; what is copied has no gaps. */
const grouped = (digest) => (digest.match(/.{1,8}/g) ?? []).map((part) => h("span", {}, part));

/** Whether digests are one, in words. */
function verdict(element, digests, announce, what) {
  const found = digests.filter(Boolean);
  const equal = found.every((own) => own === found[0]);
  element.dataset.equal = found.length < 2 ? "alone" : String(equal);
  const text =
    found.length < 2
      ? `There is one device to compare here. The command below gives the same digest elsewhere.`
      : equal
        ? `Equal: ${what}`
        : "Not equal. This device does not keep the contract: please report it, with its name.";
  say(element, text);
  announce(text);
}

/** Sixteen million weights. */
class Draw {
  /** @param {Bits} bits */
  constructor(bits) {
    this.bits = bits;
    this.lanes = { cpu: new Lane("cpu", "drawing"), gpu: new Lane("gpu", "drawing") };
    this.equal = h("p", { class: "equal" });
    this.values = h("p", { class: "hint values" });
    this.command = new Command("The digest of the same tensor, elsewhere:");
    this.size = h("span", { class: "hint" });
    this.action = new Action("Draw on both", () => this.#run());
    this.element = h(
      "section",
      { class: "panel" },
      h("h2", {}, "Draw"),
      h("p", { class: "hint" }, "One tensor of weights, drawn by each device into its own memory, then read back and digested."),
      h(
        "div",
        { class: "trio" },
        textField("bits.init", "Initializer", "any that fanin knows"),
        numberField("bits.rows", "Rows", "outputs"),
        numberField("bits.columns", "Columns", "inputs"),
        choiceField("bits.dtype", "Dtype", "how each is stored", () => DTYPES.map((own) => [own, own])).element,
        textField("bits.name", "Name", "its own stream of numbers"),
        numberField("seed", "Seed", "where they begin"),
      ),
      this.size,
      this.action.element,
      h("div", { class: "results" }, this.lanes.cpu.element, this.lanes.gpu.element),
      this.equal,
      this.values,
      this.command.element,
    );
  }

  update() {
    say(this.size, `${whole(state.get("bits.rows") * state.get("bits.columns"))} weights.`);
    const question = JSON.stringify(this.#question());
    // What stands there is of other settings.
    if (this.of !== undefined && this.of !== question && !this.action.busy) this.#clear();
  }

  #question() {
    return {
      init: state.get("bits.init"),
      shape: [state.get("bits.rows"), state.get("bits.columns")],
      name: state.get("bits.name"),
      seed: state.get("seed"),
      dtype: state.get("bits.dtype"),
    };
  }

  #clear() {
    this.of = undefined;
    for (const lane of Object.values(this.lanes)) lane.clear();
    say(this.equal, "");
    say(this.values, "");
    this.command.show(null);
  }

  async #run() {
    this.#clear();
    const question = this.#question();
    this.of = JSON.stringify(question);
    const { found, errors } = await this.bits.beside(this.lanes, "draw", question, (own, device, lane) => {
      const where = own.engine === device ? "" : ", drawn by the CPU";
      lane.done(own.sha256, `${duration(1000 * own.seconds)}, ${whole(own.bytes)} bytes${where}`);
    });
    if (found.length === 0) {
      // Once is enough of what both say.
      for (const lane of Object.values(this.lanes)) lane.clear();
      throw errors[0];
    }
    this.command.show(found[0].command);
    say(this.values, `The first: ${found[0].first.map((own) => Number(finite(own).toPrecision(7))).join(", ")}, …`);
    if (errors.length > 0) throw errors[0];
    if (found.length > 1 && found.every((own) => own.engine === "cpu")) {
      const text = "Such a tensor is made as a whole, which the CPU does on every machine: there is nothing to compare here. The command below gives the same digest elsewhere.";
      this.equal.dataset.equal = "alone";
      say(this.equal, text);
      this.bits.announce(text);
      return;
    }
    verdict(this.equal, found.map((own) => own.sha256), this.bits.announce, `all ${whole(found[0].elements)} weights have the same bits on both.`);
  }
}

/** Short runs whose ends are promised. */
class Training {
  /** @param {Bits} bits */
  constructor(bits) {
    this.bits = bits;
    this.body = h("tbody");
    this.count = h("p", { class: "equal" });
    this.action = new Action("Train all on both", () => this.#run());
    this.table = table("Short runs of exact training", ["run", "network", "promised everywhere", "CPU", "GPU"], this.body);
    this.element = h(
      "section",
      { class: "panel" },
      h("h2", {}, "Train exactly"),
      h("p", { class: "hint" }, "With --exact every sum has an order of its own and every function is made of operations that are rounded alike everywhere. So not only the first weights are the same, but the trained ones too. These short runs have every optimizer, loss, nonlinearity and kind of layer; each ends with a digest that fanin promises on all devices."),
      this.action.element,
      this.count,
      this.table,
    );
    this.table.hidden = true;
  }

  async #run() {
    const runs = await worker("cpu").call("exact.runs");
    const rows = runs.map((run) => {
      const cells = { cpu: h("td", { class: "code" }, "…"), gpu: h("td", { class: "code" }, "…") };
      const network = h("td", { class: "code network" }, run.network);
      const element = h("tr", {}, h("th", { scope: "row" }, run.name), network, h("td", { class: "code" }, run.golden.slice(0, 16)), cells.cpu, cells.gpu);
      return { run, cells, element };
    });
    this.body.replaceChildren(...rows.map((own) => own.element));
    this.table.hidden = false;
    say(this.count, "");
    if (this.bits.software) say(this.action.note, "A software driver takes minutes: each network is compiled anew.");
    let [kept, done] = [0, 0];
    const tell = (ok) => {
      done += 1;
      if (ok) kept += 1;
      say(this.count, `${kept} of ${done} digests are those promised.`);
    };
    const devices = await this.bits.devices();
    if (!devices.includes("gpu")) for (const { cells } of rows) say(cells.gpu, "no GPU");
    try {
      await Promise.all(devices.map((device) => this.#each(device, rows, tell)));
    } finally {
      for (const { cells } of rows) for (const cell of Object.values(cells)) if (cell.textContent === "…") say(cell, "–");
    }
    this.count.dataset.equal = String(kept === done);
    this.bits.announce(this.count.textContent);
  }

  /** All runs on one device. */
  async #each(device, rows, tell) {
    for (const { run, cells } of rows) {
      const found = await worker(device).call("exact", { device, run: run.name });
      const cell = cells[device];
      cell.classList.add(found.ok ? "holds" : "fails");
      say(cell, `${found.ok ? "✓" : "✗"} ${found.digest.slice(0, 16)}`);
      cell.title = found.digest;
      tell(found.ok);
    }
  }
}

/** The reader's own network, trained to the same bits on both. */
class Own {
  /** @param {Bits} bits */
  constructor(bits) {
    this.bits = bits;
    this.what = h("p", { class: "hint" });
    this.lanes = { cpu: new Lane("cpu", "training"), gpu: new Lane("gpu", "training") };
    this.equal = h("p", { class: "equal" });
    this.command = new Command("The same weights and optimizer, trained elsewhere:");
    this.action = new Action("Train network A on both", () => this.#run());
    this.element = h(
      "section",
      { class: "panel" },
      h("h2", {}, "Train yours"),
      this.what,
      this.action.element,
      h("div", { class: "results" }, this.lanes.cpu.element, this.lanes.gpu.element),
      this.equal,
      this.command.element,
    );
  }

  #question() {
    return {
      data: state.get("data"),
      settings: asked("a"),
      seed: state.get("seed"),
      optimizer: state.get("optimizer"),
      lr: state.get("rate"),
      schedule: state.get("schedule"),
      batch: state.get("batch"),
      epochs: Math.min(3, state.get("epochs")),
    };
  }

  update() {
    const question = this.#question();
    say(this.what, `Network A as it stands in the other views (${summary("a")}), on ${question.data}, for ${question.epochs} epochs by ${question.optimizer}.`);
    const text = JSON.stringify(question);
    if (this.of !== undefined && this.of !== text && !this.action.busy) this.#clear();
  }

  #clear() {
    this.of = undefined;
    for (const lane of Object.values(this.lanes)) lane.clear();
    say(this.equal, "");
    this.command.show(null);
  }

  async #run() {
    this.#clear();
    const question = this.#question();
    this.of = JSON.stringify(question);
    const { found, errors } = await this.bits.beside(this.lanes, "exact.train", question, (own, _, lane) => {
      lane.done(own.digest, duration(own.milliseconds));
    });
    if (found.length === 0) throw errors[0];
    this.command.show(found[0].command);
    if (errors.length > 0) throw errors[0];
    verdict(this.equal, found.map((own) => own.digest), this.bits.announce, "all trained weights have the same bits on both.");
  }
}

/** Every promise, checked here. */
class Verify {
  /** @param {Bits} bits */
  constructor(bits) {
    this.bits = bits;
    this.device = fresh("verify");
    this.body = h("tbody");
    this.count = h("p", { class: "equal" });
    this.choice = h("select", { id: this.device }, h("option", { value: "cpu" }, "CPU"), h("option", { value: "gpu" }, "GPU"));
    this.action = new Action("Verify", () => this.#run());
    this.table = table("Checks of the contract", ["check", "holds", "what was found"], this.body);
    this.table.hidden = true;
    this.element = h(
      "section",
      { class: "panel" },
      h("h2", {}, "Verify"),
      h("p", { class: "hint" }, "Every distribution in every dtype, against the contract’s known answers: what `fanin verify` does in a terminal."),
      h("div", { class: "row" }, h("label", { htmlFor: this.device }, "Device"), this.choice, this.action.element),
      this.count,
      this.table,
    );
  }

  async #run() {
    const device = this.choice.value;
    if (!(await this.bits.devices()).includes(device)) throw new Error(`There is no GPU here. ${this.bits.without}`);
    this.body.replaceChildren();
    this.table.hidden = false;
    let [passed, all] = [0, 0];
    const row = ({ name, ok, detail }) => {
      all += 1;
      if (ok) passed += 1;
      const holds = h("td", { class: ok ? "holds" : "fails" }, ok ? "✓ yes" : "✗ no");
      this.body.append(h("tr", {}, h("th", { scope: "row" }, name), holds, h("td", {}, detail)));
      say(this.count, `${passed} of ${all} hold so far.`);
    };
    const found = await worker(device).call("verify", { device }, { onProgress: row });
    this.count.dataset.equal = String(found.failed === 0);
    say(this.count, `${found.passed} checks hold on this ${NAMES[device]}, ${found.failed} fail.`);
    this.bits.announce(this.count.textContent);
  }
}

function table(caption, columns, body) {
  const head = h("thead", {}, h("tr", {}, ...columns.map((own) => h("th", { scope: "col" }, own))));
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, h("table", {}, h("caption", { class: "unseen" }, caption), head, body));
}
