// Rows in the plane, and what a network says of every place in it.

import { h } from "./dom.js";

/**
 * @typedef {object} Rows
 * @property {Float32Array} features two to a row
 * @property {Uint32Array} labels
 * @property {Uint8Array} test 1 where a row is for testing
 * @property {[number, number, number, number]} extent
 * @property {string[]} classes
 */

/** What parts classes for eyes that see no colours: a disc, a square, a triangle, a diamond. */
const OUTLINES = [
  (to, x, y, r) => to.arc(x, y, r, 0, 7),
  (to, x, y, r) => to.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76),
  (to, x, y, r) => polygon(to, [[x, y - r * 1.2], [x + r * 1.1, y + r * 0.8], [x - r * 1.1, y + r * 0.8]]),
  (to, x, y, r) => polygon(to, [[x, y - r * 1.3], [x + r * 1.3, y], [x, y + r * 1.3], [x - r * 1.3, y]]),
];

function polygon(to, [[x, y], ...rest]) {
  to.moveTo(x, y);
  for (const [nextX, nextY] of rest) to.lineTo(nextX, nextY);
  to.closePath();
}

export class Boundary {
  /** @param {string} label */
  constructor(label) {
    this.canvas = h("canvas", { class: "boundary", role: "img", "aria-label": label });
    this.label = label;
    /** @type {Rows | null} */
    this.rows = null;
    this.said = null;
    this.ground = document.createElement("canvas");
    this.points = document.createElement("canvas");
    new ResizeObserver(() => this.#size()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#size());
  }

  /** @param {Rows} rows */
  start(rows) {
    this.rows = rows;
    this.said = null;
    this.#size();
  }

  /** @param {{ classes: Uint8Array, certainty: Float32Array, columns: number, rows: number }} said */
  show(said) {
    this.said = said;
    this.#draw();
  }

  /** @param {string} words what the picture comes to, for who does not see it */
  describe(words) {
    const label = `${this.label}: ${words}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
  }

  #size() {
    const side = Math.round(this.canvas.clientWidth * Math.min(2, devicePixelRatio || 1));
    if (side === 0) return;
    for (const own of [this.canvas, this.points]) [own.width, own.height] = [side, side];
    const style = getComputedStyle(this.canvas);
    this.colours = [0, 1, 2, 3].map((own) => style.getPropertyValue(`--class-${own}`).trim());
    this.paper = style.getPropertyValue("--paper").trim();
    this.#scatter(side);
    this.#draw();
  }

  /** The rows are drawn once, and laid over each picture. */
  #scatter(side) {
    const to = this.points.getContext("2d");
    to.clearRect(0, 0, side, side);
    if (this.rows === null) return;
    const { features, labels, test, extent } = this.rows;
    const [x0, x1, y0, y1] = extent;
    const radius = Math.max(1.6, side / 190);
    to.lineWidth = Math.max(0.7, side / 600);
    for (const tested of [0, 1]) {
      for (let own = 0; own < labels.length; own += 1) {
        if (test[own] !== tested) continue;
        const x = ((features[2 * own] - x0) / (x1 - x0)) * side;
        const y = ((y1 - features[2 * own + 1]) / (y1 - y0)) * side;
        to.beginPath();
        OUTLINES[labels[own] % 4](to, x, y, radius);
        // Test rows are hollow.
        to.fillStyle = tested ? this.paper : this.colours[labels[own] % 4];
        to.strokeStyle = tested ? this.colours[labels[own] % 4] : this.paper;
        to.fill();
        to.stroke();
      }
    }
  }

  #draw() {
    const side = this.canvas.width;
    const to = this.canvas.getContext("2d");
    to.clearRect(0, 0, side, side);
    if (this.rows === null) return;
    if (this.said !== null) {
      to.imageSmoothingEnabled = true;
      to.drawImage(this.#ground(), 0, 0, side, side);
    }
    to.drawImage(this.points, 0, 0);
  }

  /** Each place in the colour of its class, the stronger the surer the network is. */
  #ground() {
    const { classes, certainty, columns, rows } = this.said;
    const picture = new ImageData(columns, rows);
    const parts = this.colours.map(channels);
    const guess = 1 / this.rows.classes.length;
    for (let own = 0; own < classes.length; own += 1) {
      const [red, green, blue] = parts[classes[own] % 4];
      const sure = Math.max(0, Math.min(1, (certainty[own] - guess) / (1 - guess)));
      picture.data.set([red, green, blue, 255 * (0.06 + 0.4 * sure)], 4 * own);
    }
    [this.ground.width, this.ground.height] = [columns, rows];
    this.ground.getContext("2d").putImageData(picture, 0, 0);
    return this.ground;
  }
}

const channels = (colour) => [1, 3, 5].map((from) => Number.parseInt(colour.slice(from, from + 2), 16) || 0);
