// Small multiples: what values the units of a few layers have, both settings in each picture.

import { everyFrame, h, say, svg } from "./dom.js";
import { finite, percent, short } from "./number.js";

/** @typedef {import("./state.js").Key} Key */
/** @typedef {{ low: any, high: any, counts: number[] }} Histogram */

const BINS = 48;
const HEIGHT = 84;
const WIDTH = 160;

/** The share of values a bin that reaches the top: half of ReLU's are 0, and go over it. */
const TOP = 0.16;

export class Histograms {
  constructor() {
    this.element = h("div", { class: "histograms" });
    this.panels = [];
    this.redraw = everyFrame(() => this.#draw());
    /** @type {{ key: Key, layers: any[] }[]} */
    this.networks = [];
    this.same = true;
  }

  /** @param {{ key: Key, layers: any[] }[]} networks @param {boolean} same whether all have one axis */
  show(networks, same) {
    this.networks = networks;
    this.same = same;
    this.redraw();
  }

  #draw() {
    const depth = Math.max(0, ...this.networks.map(({ layers }) => layers.length));
    const layers = chosen(depth);
    while (this.panels.length < layers.length) this.panels.push(panel());
    this.panels.length = layers.length;
    this.element.replaceChildren(...this.panels.map((own) => own.element));
    const reach = this.same ? span(this.networks.map((own) => own.layers[0]?.histogram)) : null;
    layers.forEach((layer, place) => {
      const own = this.panels[place];
      const found = this.networks.map(({ key, layers: all }) => ({ key, report: all[layer - 1] }));
      const ends = reach ?? span(found.map(({ report }) => report?.histogram));
      own.drawing.replaceChildren(
        svg("line", { class: "rule", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
        svg("line", { class: "rule", x1: WIDTH / 2, x2: WIDTH / 2, y1: HEIGHT, y2: HEIGHT + 4 }),
        ...found.flatMap(({ key, report }) => bars(key, report?.histogram, ends)),
      );
      say(own.name, layer === depth ? `Layer ${layer} (last)` : `Layer ${layer}`);
      own.facts.replaceChildren(...found.map(({ key, report }) => fact(key, report, ends)));
      say(own.axis, ends > 0 && Number.isFinite(ends) ? `±${short(ends)}` : "");
    });
  }
}

function panel() {
  const drawing = svg("svg", { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 6}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const name = h("h3");
  const axis = h("span", { class: "axis" });
  const facts = h("p", { class: "facts" });
  return { element: h("div", { class: "histogram" }, h("div", { class: "head" }, name, axis), drawing, facts), drawing, name, axis, facts };
}

/** Layers from the first to the last, evenly. */
function chosen(depth) {
  const many = Math.min(6, depth);
  const layers = Array.from({ length: many }, (_, at) => Math.round(1 + (at * (depth - 1)) / Math.max(1, many - 1)));
  return [...new Set(layers)];
}

/** The furthest from 0 that any reaches. */
function span(histograms) {
  const ends = histograms.filter(Boolean).flatMap(({ low, high }) => [Math.abs(finite(low)), Math.abs(finite(high))]);
  return Math.max(0, ...ends.filter((end) => Number.isFinite(end)));
}

/** The share of values in each bin from `-ends` to `ends`, and of those beyond. */
function rebinned({ low, high, counts }, ends) {
  const [from, to] = [finite(low), finite(high)];
  const all = counts.reduce((sum, count) => sum + count, 0) || 1;
  const shares = new Array(BINS).fill(0);
  let beyond = 0;
  const wide = (to - from) / counts.length;
  counts.forEach((count, bin) => {
    const [start, end] = [from + bin * wide, from + (bin + 1) * wide];
    const share = count / all;
    if (!(end > start)) {
      shares[place(start, ends)] += share;
      return;
    }
    // A bin's values are spread over it evenly.
    let kept = 0;
    const first = place(Math.max(start, -ends), ends);
    const last = place(Math.min(end, ends), ends);
    for (let at = first; at <= last; at += 1) {
      const left = -ends + (at * 2 * ends) / BINS;
      const overlap = Math.min(end, left + (2 * ends) / BINS) - Math.max(start, left);
      const part = (share * Math.max(0, overlap)) / (end - start);
      shares[at] += part;
      kept += part;
    }
    beyond += Math.max(0, share - kept);
  });
  return { shares, beyond };
}

const place = (value, ends) => Math.min(BINS - 1, Math.max(0, Math.floor(((value + ends) / (2 * ends)) * BINS)));

function bars(key, histogram, ends) {
  if (!histogram || !(ends > 0)) return [];
  const { shares } = rebinned(histogram, ends);
  let outline = `M0 ${HEIGHT}`;
  shares.forEach((share, bin) => {
    const y = (HEIGHT * (1 - Math.min(1, share / TOP))).toFixed(1);
    outline += `L${((bin * WIDTH) / BINS).toFixed(1)} ${y}L${(((bin + 1) * WIDTH) / BINS).toFixed(1)} ${y}`;
  });
  return [svg("path", { class: `bars ${key}`, d: `${outline}L${WIDTH} ${HEIGHT}` })];
}

function fact(key, report, ends) {
  const histogram = report?.histogram;
  const spread = report ? Math.sqrt(finite(report.activation_var)) : NaN;
  const beyond = histogram && ends > 0 ? rebinned(histogram, ends).beyond : 0;
  const parts = report ? `sd ${short(spread)}${beyond > 0.005 ? `, ${percent(beyond)} beyond` : ""}` : "no such layer";
  return h("span", { class: `own ${key}` }, h("b", {}, key.toUpperCase()), ` ${parts}`);
}
