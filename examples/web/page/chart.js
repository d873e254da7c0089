// Plots of two settings over layers or epochs: measured points on predicted lines, a logarithmic or a straight
// axis. What a pointer or the arrow keys pick is read out under the plot.

import { everyFrame, fresh, h, say, svg } from "./dom.js";
import { power, short } from "./number.js";

/** @typedef {import("./state.js").Key} Key */
/**
 * @typedef {object} Series
 * @property {Key} key whose colour and mark it has
 * @property {[number, number][]} [points] measured
 * @property {[number, number][]} [line] predicted, or what joins the points
 * @property {[number, number][]} [shade] by which factor either way the line may be off
 * @property {boolean} [faint] a second line of the same setting
 */
/**
 * @typedef {object} Picture
 * @property {Series[]} series
 * @property {[number, number]} x
 * @property {(x: number) => string} [read] what stands under the plot for one x
 * @property {string} [empty] what is said where there is nothing to draw
 */

const MARGIN = { left: 50, right: 30, top: 12, bottom: 34 };

/** The ends that a logarithmic axis may have: few, so that it seldom jumps while a slider moves. */
const ENDS = [2, 4, 8, 12, 20, 30, 45, 60, 80, 100, 160, 320];

export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {string} options.about what it shows, in a sentence
   * @param {string} options.x what stands on the axis below
   * @param {boolean} [options.log]
   * @param {number} [options.least] of the exponents on a logarithmic axis that is always shown
   * @param {number} [options.reference] a line to compare with
   * @param {(x: number) => void} [options.pick] told what the reader points at
   */
  constructor(options) {
    this.options = options;
    /** @type {Picture | null} */
    this.picture = null;
    /** @type {number | null} */
    this.at = null;
    this.redraw = everyFrame(() => this.#draw());
    const title = fresh("chart");
    this.grid = svg("g", { class: "grid" });
    this.marks = svg("g", { class: "marks" });
    this.cursor = svg("line", { class: "cursor" });
    this.drawing = svg("svg", { "aria-hidden": "true" }, this.grid, this.cursor, this.marks);
    this.plot = h(
      "div",
      {
        class: "plot",
        tabIndex: 0,
        role: "slider",
        "aria-labelledby": title,
        "aria-orientation": "horizontal",
        onpointermove: (event) => this.#point(event),
        onpointerdown: (event) => this.#point(event),
        onpointerleave: () => this.#choose(null),
        onkeydown: (event) => this.#key(event),
        onblur: () => this.#choose(null),
      },
      this.drawing,
    );
    this.reading = h("p", { class: "reading" });
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, h("h2", { id: title }, options.title), h("p", { class: "hint" }, options.about)),
      this.plot,
      this.reading,
    );
    new ResizeObserver(this.redraw).observe(this.plot);
  }

  /** @param {Picture} picture */
  show(picture) {
    this.picture = picture;
    this.redraw();
  }

  /** Marks an x, as another plot has it. @param {number | null} x */
  mark(x) {
    if (this.at === x) return;
    this.at = x;
    this.redraw();
  }

  #choose(x) {
    if (this.at === x) return;
    this.mark(x);
    this.options.pick?.(x);
  }

  #point(event) {
    if (this.picture === null || this.axis === undefined) return;
    const box = this.plot.getBoundingClientRect();
    const [low, high] = this.picture.x;
    const x = Math.round(this.axis.unx(event.clientX - box.left));
    this.#choose(Math.min(high, Math.max(low, x)));
  }

  #key(event) {
    if (this.picture === null) return;
    const [low, high] = this.picture.x;
    const from = this.at ?? low - 1;
    const many = Math.max(1, Math.round((high - low) / 10));
    const to = {
      ArrowRight: from + 1,
      ArrowUp: from + 1,
      ArrowLeft: from - 1,
      ArrowDown: from - 1,
      PageUp: from + many,
      PageDown: from - many,
      Home: low,
      End: high,
      Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#choose(to === null ? null : Math.min(high, Math.max(low, to)));
  }

  #draw() {
    const picture = this.picture;
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (picture === null || width === 0) return;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const axis = this.#axis(picture, width, height);
    this.axis = axis;
    const drawn = picture.series.filter((own) => own.shade).map((own) => svg("path", { class: `shade ${own.key}`, d: shade(own, axis) }));
    for (const own of picture.series) {
      const kind = `${own.key}${own.faint ? " faint" : ""}`;
      if (own.line) drawn.push(svg("path", { class: `line ${kind}`, d: path(own.line, axis) }));
      if (own.points) drawn.push(svg("path", { class: `points ${kind}`, d: marks(own, axis) }));
    }
    this.marks.replaceChildren(...drawn, ...names(picture.series, axis, width));
    this.grid.replaceChildren(...this.#grid(axis, width, height));
    this.#read(picture, axis, height);
  }

  /** Where numbers stand. */
  #axis(picture, width, height) {
    const [x0, x1] = picture.x;
    const across = width - MARGIN.left - MARGIN.right;
    const down = height - MARGIN.top - MARGIN.bottom;
    const span = x1 > x0 ? x1 - x0 : 1;
    const x = (value) => MARGIN.left + ((value - x0) / span) * across;
    const unx = (pixel) => x0 + ((pixel - MARGIN.left) / across) * span;
    const values = picture.series.flatMap((own) => [...(own.points ?? []), ...(own.line ?? [])]);
    const sound = values.map(([, y]) => y).filter((y) => Number.isFinite(y) && (!this.options.log || y > 0));
    const [low, high] = this.options.log
      ? exponents(sound, this.options.least ?? 2)
      : [0, (sound.length > 0 ? Math.max(1e-9, ...sound) : 1) * 1.08];
    const place = (value) => MARGIN.top + (1 - (value - low) / (high - low)) * down;
    // What no axis has room for stands at its end: 0 at the bottom, infinity at the top.
    const end = (value) => (Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : value > 0 ? high : low);
    const y = (value) => place(end(this.options.log ? Math.log10(value) : value));
    const ys = values.map(([, own]) => own);
    // What stands at an end is named there.
    const ends = { low: this.options.log && ys.includes(0) ? "0" : "", high: ys.includes(Infinity) ? "∞" : "" };
    return { x, unx, y, low, high, x0, x1, ends };
  }

  #grid(axis, width, height) {
    const parts = [];
    const right = width - MARGIN.right;
    const rule = (y, kind) => svg("line", { class: kind, x1: MARGIN.left, x2: right, y1: y, y2: y });
    const label = (x, y, anchor, text) => svg("text", { x, y, "text-anchor": anchor }, text);
    for (const tick of ticks(axis.low, axis.high, Math.max(2, Math.floor(height / 48)), this.options.log)) {
      const y = axis.y(this.options.log ? 10 ** tick : tick);
      parts.push(rule(y, "rule"));
      // The ends have room for their own names alone.
      const near = (end) => Math.abs(y - axis.y(end === "0" ? 0 : Infinity)) < 14;
      if (Object.values(axis.ends).some((end) => end !== "" && near(end))) continue;
      const text = this.options.log ? power(tick) : String(Number(tick.toPrecision(3)));
      parts.push(label(MARGIN.left - 8, y + 4, "end", text));
    }
    for (const end of Object.values(axis.ends)) {
      if (end !== "") parts.push(label(MARGIN.left - 8, axis.y(end === "0" ? 0 : Infinity) + 4, "end", end));
    }
    if (this.options.reference !== undefined) parts.push(rule(axis.y(this.options.reference), "reference"));
    const bottom = height - MARGIN.bottom;
    const many = Math.max(2, Math.floor((width - MARGIN.left - MARGIN.right) / 64));
    const below = ticks(axis.x0, axis.x1, many, true).filter((tick) => tick !== axis.x0 || tick > 0);
    for (const tick of new Set([...(axis.x0 === 1 ? [1] : []), ...below])) {
      parts.push(svg("line", { class: "tick", x1: axis.x(tick), x2: axis.x(tick), y1: bottom, y2: bottom + 4 }));
      parts.push(label(axis.x(tick), bottom + 17, "middle", String(tick)));
    }
    const name = label(right, height - 1, "end", this.options.x);
    name.setAttribute("class", "name");
    parts.push(name);
    return parts;
  }

  #read(picture, axis, height) {
    const within = this.at !== null && this.at >= axis.x0 && this.at <= axis.x1;
    this.cursor.setAttribute("visibility", within ? "visible" : "hidden");
    if (within) {
      const x = axis.x(this.at);
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: MARGIN.top, y2: height - MARGIN.bottom })) {
        this.cursor.setAttribute(name, String(value));
      }
    }
    const text = within ? (picture.read?.(this.at) ?? "") : (picture.empty ?? "");
    say(this.reading, text);
    this.plot.setAttribute("aria-valuemin", String(axis.x0));
    this.plot.setAttribute("aria-valuemax", String(axis.x1));
    this.plot.setAttribute("aria-valuenow", String(this.at ?? axis.x0));
    this.plot.setAttribute("aria-valuetext", text || picture.read?.(axis.x0) || "");
  }
}

/** The least and the greatest exponent of an axis that holds these values. */
function exponents(values, least) {
  let [low, high] = [-least, least];
  for (const value of values) {
    const exponent = Math.log10(value);
    if (exponent < low) low = -(ENDS.find((end) => -end <= exponent) ?? 320);
    if (exponent > high) high = ENDS.find((end) => end >= exponent) ?? 320;
  }
  return [low, high];
}

/** Round numbers from one end to the other, so many at most. */
function ticks(low, high, most, isWhole) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((own) => (high - low) / own <= most);
  if (isWhole && step !== undefined) return from(low, high, step);
  const rough = (high - low) / most;
  const base = 10 ** Math.floor(Math.log10(rough));
  return from(low, high, base * ([1, 2, 5, 10].find((own) => own * base >= rough) ?? 10));
}

function from(low, high, step) {
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

const at = (value) => value.toFixed(1);

function path(points, axis) {
  let [text, pen] = ["", "M"];
  for (const [x, y] of points) {
    if (Number.isNaN(y)) {
      pen = "M";
      continue;
    }
    text += `${pen}${at(axis.x(x))} ${at(axis.y(y))}`;
    pen = "L";
  }
  return text;
}

/** What lies between a factor below a line and one above. @param {Series} own @param {any} axis */
function shade({ line = [], shade: factors = [] }, axis) {
  const sound = line.flatMap(([x, y], own) => (y > 0 && factors[own][1] >= 1 ? [[x, y, factors[own][1]]] : []));
  if (sound.length < 2) return "";
  const above = sound.map(([x, y, by]) => `${at(axis.x(x))} ${at(axis.y(y * by))}`);
  const below = sound.map(([x, y, by]) => `${at(axis.x(x))} ${at(axis.y(y / by))}`).reverse();
  return `M${above.concat(below).join("L")}z`;
}

/**
 * A's are discs, B's are diamonds, so that colour is not all that tells them apart.
 * @param {Series} own
 * @param {any} axis
 */
function marks({ key, points = [] }, axis) {
  const room = points.length > 1 ? (axis.x(points.at(-1)[0]) - axis.x(points[0][0])) / (points.length - 1) : 9;
  const size = Math.min(3.4, Math.max(1.2, room * 0.36));
  let text = "";
  for (const [x, y] of points) {
    if (Number.isNaN(y)) continue;
    const [cx, cy] = [axis.x(x), axis.y(y)];
    if (key === "a") {
      text += `M${at(cx - size)} ${at(cy)}a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0`;
    } else {
      const far = size * 1.25;
      text += `M${at(cx)} ${at(cy - far)}l${far} ${far}l${-far} ${far}l${-far} ${-far}z`;
    }
  }
  return text;
}

/** The settings' names at the right ends of what they draw, apart from each other. */
function names(series, axis, width) {
  const ends = series
    .filter((own) => !own.faint)
    .map((own) => ({ key: own.key, end: (own.points ?? own.line ?? []).findLast(([, y]) => !Number.isNaN(y)) }))
    .filter(({ end }) => end !== undefined)
    .map(({ key, end }) => ({ key, x: axis.x(end[0]), y: axis.y(end[1]) }));
  if (ends.length === 2 && Math.abs(ends[0].y - ends[1].y) < 15) {
    const middle = (ends[0].y + ends[1].y) / 2;
    const up = ends[0].y <= ends[1].y ? 0 : 1;
    ends[up].y = middle - 7.5;
    ends[1 - up].y = middle + 7.5;
  }
  return ends.map(({ key, x, y }) =>
    svg("text", { class: `own ${key}`, x: Math.min(x + 9, width - 12), y: y + 4.5 }, key.toUpperCase()),
  );
}

/** One setting's number for a reading, with what was predicted. */
export function reading(key, value, predicted) {
  const told = predicted === undefined || Number.isNaN(predicted) ? "" : ` (predicted ${short(predicted)})`;
  return `${key.toUpperCase()} ${short(value)}${told}`;
}
