// What the page shows, and how it stands in the address: `#train?data=moons&a.init=normal:0.01&b=off`. Only
// what is not as usual is written. Whatever comes in, from a link or an input, is checked here.

/** @typedef {"a" | "b"} Key one of the two settings */
/**
 * @typedef {object} Setting one network, and how it is initialized
 * @property {number} depth
 * @property {number} width
 * @property {string} activation
 * @property {string} init as the user chose it
 * @property {number} scale what all weights are multiplied by
 * @property {string} bias
 * @property {boolean} residual
 * @property {boolean} norm
 */
/** @typedef {{ value: any, note?: string }} Checked with what is to be said where the value is another */
/** @typedef {{ usual: any, check: (text: string) => Checked, write?: (value: any) => string }} Field */

const VIEWS = ["vanish", "train", "bits"];
export const DATA = ["spirals", "rings", "moons", "digits"];
export const DTYPES = ["f32", "bf16", "f16", "f64"];

/** The factors that a scale's slider goes through: eight steps are a factor of two. */
export const STEPS = { most: 32, each: 8 };
export const factor = (step) => (step === 0 ? 1 : Number((2 ** (step / STEPS.each)).toPrecision(4)));

/** @returns {Field} */
function number(name, low, high, usual, isWhole = false) {
  const written = (end) => (Math.abs(end) < 1 && end !== 0 ? String(end) : end.toLocaleString("en"));
  const range = `${written(low)} to ${written(high)}`;
  return {
    usual,
    check(text) {
      const value = String(text).trim() === "" ? NaN : Number(text);
      const given = `${name}: got ${cut(text)}, needed ${isWhole ? "a whole number from " : ""}${range}`;
      if (Number.isNaN(value)) return { value: usual, note: `${given}; ${usual} is taken` };
      const fits = Math.min(high, Math.max(low, isWhole ? Math.round(value) : value));
      return fits === value ? { value } : { value: fits, note: `${given}; ${fits} is taken` };
    },
  };
}

/** @returns {Field} */
function choice(name, known, usual) {
  return {
    usual,
    check: (text) =>
      known.includes(text)
        ? { value: text }
        : { value: usual, note: `${name}: got ${cut(text)}, known are ${known.join(", ")}; ${usual} is taken` },
  };
}

/** @returns {Field} */
const flag = (name, usual) => ({
  usual,
  check: (text) =>
    ["on", "off"].includes(text)
      ? { value: text === "on" }
      : { value: usual, note: `${name}: got ${cut(text)}, needed on or off; ${usual ? "on" : "off"} is taken` },
  write: (value) => (value ? "on" : "off"),
});

/** What the engine reads; it says itself what is wrong with it. */
const LONGEST = 200;

/** @returns {Field} */
const text = (name, usual) => ({
  usual,
  check(given) {
    const value = String(given).trim();
    if (value !== "" && value.length <= LONGEST) return { value };
    const got = value === "" ? "nothing" : `${value.length} letters`;
    return { value: usual, note: `${name}: got ${got}, needed 1 to ${LONGEST} letters; ${usual} is taken` };
  },
});

const cut = (given) => {
  const whole = String(given);
  return whole === "" ? "nothing" : `“${whole.length > 40 ? `${whole.slice(0, 40)}…` : whole}”`;
};

/** @returns {Record<string, Field>} */
const setting = (key, init) => {
  const own = `Network ${key.toUpperCase()}, `;
  return {
    [`${key}.depth`]: number(`${own}depth`, 1, 256, 30, true),
    [`${key}.width`]: number(`${own}width`, 1, 1024, 64, true),
    [`${key}.activation`]: text(`${own}activation`, "relu"),
    [`${key}.init`]: text(`${own}initializer`, init),
    [`${key}.scale`]: number(`${own}scale`, factor(-STEPS.most), factor(STEPS.most), 1),
    [`${key}.bias`]: text(`${own}bias`, "zeros"),
    [`${key}.residual`]: flag(`${own}residual`, false),
    [`${key}.norm`]: flag(`${own}norm`, false),
  };
};

/** @type {Record<string, Field>} */
export const FIELDS = {
  seed: number("Seed", 0, Number.MAX_SAFE_INTEGER, 0, true),
  b: flag("Network B", true),
  ...setting("a", "he_normal"),
  ...setting("b", "xavier_normal"),
  axis: choice("Histograms' axis", ["same", "own"], "same"),
  data: choice("Data", DATA, "spirals"),
  optimizer: text("Optimizer", "sgd"),
  rate: number("Learning rate", 1e-6, 100, 0.015),
  schedule: text("Schedule", "cosine"),
  batch: number("Batch", 1, 1024, 16, true),
  epochs: number("Epochs", 1, 1000, 15, true),
  device: choice("Device", ["cpu", "gpu"], "cpu"),
  "bits.init": text("Initializer to draw", "normal:0.02"),
  "bits.rows": number("Rows", 1, 16384, 4096, true),
  "bits.columns": number("Columns", 1, 16384, 4096, true),
  "bits.name": text("Tensor's name", "weight"),
  "bits.dtype": choice("Dtype", DTYPES, "f32"),
};

/** What an address asks for, and what is to be said of it. */
export function parse(fragment) {
  /** @type {Record<string, any>} */
  const values = { view: "vanish" };
  const notes = [];
  for (const [key, field] of Object.entries(FIELDS)) values[key] = field.usual;
  const [view, query = ""] = fragment.replace(/^#/, "").split(/\?(.*)/s);
  if (VIEWS.includes(view)) values.view = view;
  else if (view !== "") notes.push(`View: got ${cut(view)}, known are ${VIEWS.join(", ")}; vanish is shown`);
  for (const [key, given] of new URLSearchParams(query)) {
    const field = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
    if (field === undefined) {
      notes.push(`${cut(key)} is nothing that this page knows; it is left out`);
      continue;
    }
    const { value, note } = field.check(given);
    values[key] = value;
    if (note) notes.push(note);
  }
  return { values, notes };
}

/** The address of a state. */
function format(values) {
  const parts = [];
  for (const [key, field] of Object.entries(FIELDS)) {
    if (values[key] === field.usual) continue;
    const value = field.write ? field.write(values[key]) : String(values[key]);
    // What a fragment may hold as it is stays legible.
    parts.push(`${key}=${encodeURIComponent(value).replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%3D/g, "=")}`);
  }
  return `#${values.view}${parts.length > 0 ? `?${parts.join("&")}` : ""}`;
}

/** The state of this page, one for all: who changes it says so, who shows it listens. */
class State {
  #listeners = new Set();
  #write = 0;

  constructor() {
    const { values, notes } = parse(location.hash);
    this.values = values;
    /** What was wrong with the link that led here. */
    this.notes = notes;
    /** Whether all is still as a link has it. */
    this.linked = true;
    addEventListener("popstate", () => this.#follow());
    addEventListener("hashchange", () => this.#follow());
  }

  #follow() {
    if (location.hash === format(this.values)) return;
    const { values, notes } = parse(location.hash);
    clearTimeout(this.#write);
    this.values = values;
    this.notes = notes;
    this.linked = true;
    this.#tell({ linked: true });
  }

  /**
   * Takes the usual in place of what a link has and the engine refuses.
   * @param {string[]} keys
   * @param {string} why
   */
  mend(keys, why) {
    const usual = keys.map((key) => FIELDS[key].usual);
    keys.forEach((key, at) => (this.values[key] = usual[at]));
    this.notes.push(`${why}; ${usual.join(", ")} ${keys.length > 1 ? "are" : "is"} taken`);
    history.replaceState(null, "", format(this.values));
    this.#tell({ linked: true });
  }

  get(key) {
    return this.values[key];
  }

  /** @returns {Setting} @param {Key} key */
  setting(key) {
    const own = (name) => this.values[`${key}.${name}`];
    return {
      depth: own("depth"),
      width: own("width"),
      activation: own("activation"),
      init: own("init"),
      scale: own("scale"),
      bias: own("bias"),
      residual: own("residual"),
      norm: own("norm"),
    };
  }

  /** The settings that are on. @returns {Key[]} */
  keys() {
    return this.values.b ? ["a", "b"] : ["a"];
  }

  /**
   * Changes what is given. A step is one that the browser's back button undoes.
   * @param {Record<string, any>} changes
   */
  set(changes, { step = false } = {}) {
    const before = { ...this.values };
    Object.assign(this.values, changes);
    if (Object.keys(changes).every((key) => before[key] === this.values[key])) return;
    this.linked = false;
    clearTimeout(this.#write);
    if (step) {
      // What a moving slider has not written yet belongs to the address that is left.
      history.replaceState(null, "", format(before));
      history.pushState(null, "", format(this.values));
    } else {
      // Browsers refuse addresses that change at every frame.
      this.#write = setTimeout(() => history.replaceState(null, "", format(this.values)), 250);
    }
    this.#tell({ linked: false });
  }

  /** The address of this state, with another view. */
  link(view) {
    return format({ ...this.values, view });
  }

  /** @param {(news: { linked: boolean }) => void} listener is told of every change */
  listen(listener) {
    this.#listeners.add(listener);
  }

  #tell(news) {
    for (const listener of this.#listeners) listener(news);
  }
}

export const state = new State();
