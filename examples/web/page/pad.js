// An 8 by 8 picture to draw a digit in, by mouse, touch or keyboard, and what networks take it for.

import { fresh, h, say } from "./dom.js";
import { percent } from "./number.js";

const SIDE = 8;

export class Pad {
  /** @param {() => void} change told whenever the picture is another @param {() => void} sample puts a test row in */
  constructor(change, sample) {
    this.change = change;
    this.ink = new Float32Array(SIDE * SIDE);
    this.at = { x: 3, y: 1 };
    this.pressed = null;
    const hint = fresh("pad");
    this.where = h("p", { class: "spoken", role: "status" });
    this.cells = Array.from({ length: SIDE * SIDE }, () => h("i"));
    this.grid = h(
      "div",
      {
        class: "pad",
        tabIndex: 0,
        role: "application",
        "aria-label": "A picture of 8 by 8 to draw a digit in",
        "aria-describedby": hint,
        onkeydown: (event) => this.#key(event),
        onpointerdown: (event) => this.#down(event),
        onpointermove: (event) => this.#move(event),
        onpointerup: () => (this.pressed = null),
        onpointercancel: () => (this.pressed = null),
        onfocus: () => this.#show(),
        onblur: () => this.#show(),
      },
      ...this.cells,
    );
    this.element = h(
      "div",
      { class: "drawing" },
      h("h2", {}, "Draw a digit"),
      this.grid,
      h("p", { class: "hint", id: hint }, "With a finger or the mouse; or arrow keys to move, Space to paint, Backspace to rub out."),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "Clear"),
        h("button", { type: "button", class: "quiet", onclick: sample }, "Take a test picture"),
      ),
      this.where,
    );
    this.#show();
  }

  get empty() {
    return this.ink.every((value) => value === 0);
  }

  clear() {
    this.set(new Float32Array(SIDE * SIDE));
  }

  /** @param {Float32Array} ink 0 is paper, 1 is ink */
  set(ink) {
    this.ink = ink.map((value) => Math.min(1, Math.max(0, value)));
    this.#show();
    this.change();
  }

  #paint(x, y, amount) {
    if (x < 0 || y < 0 || x >= SIDE || y >= SIDE) return;
    const own = y * SIDE + x;
    this.ink[own] = Math.min(1, Math.max(0, this.ink[own] + amount));
  }

  /** A soft brush, about a pixel wide, as the digits that networks learn from have it. */
  #brush(px, py) {
    for (let y = Math.floor(py) - 1; y <= Math.floor(py) + 1; y += 1) {
      for (let x = Math.floor(px) - 1; x <= Math.floor(px) + 1; x += 1) {
        const far = Math.hypot(px - x - 0.5, py - y - 0.5);
        const ink = Math.max(0, 1 - far * 1.05);
        if (x >= 0 && y >= 0 && x < SIDE && y < SIDE) {
          const own = y * SIDE + x;
          this.ink[own] = Math.max(this.ink[own], ink > 0.25 ? Math.min(1, ink + 0.2) : 0);
        }
      }
    }
  }

  #place(event) {
    const box = this.grid.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  #down(event) {
    event.preventDefault();
    this.grid.focus();
    this.grid.setPointerCapture(event.pointerId);
    this.pressed = this.#place(event);
    this.#brush(...this.pressed);
    this.#show();
    this.change();
  }

  #move(event) {
    if (this.pressed === null) return;
    const [[x0, y0], [x1, y1]] = [this.pressed, this.#place(event)];
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) * 4));
    for (let step = 1; step <= steps; step += 1) {
      this.#brush(x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps);
    }
    this.pressed = [x1, y1];
    this.#show();
    this.change();
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { x, y } = this.at;
    if (moves[event.key]) {
      const [right, down] = moves[event.key];
      this.at = { x: Math.min(SIDE - 1, Math.max(0, x + right)), y: Math.min(SIDE - 1, Math.max(0, y + down)) };
      // Held with Shift, the pen stays on the paper.
      if (event.shiftKey) this.#paint(this.at.x, this.at.y, 1);
    } else if (event.key === " " || event.key === "Enter") this.#paint(x, y, 1);
    else if (event.key === "Backspace" || event.key === "Delete") this.#paint(x, y, -1);
    else return;
    event.preventDefault();
    this.#show();
    this.change();
    const inked = this.ink[this.at.y * SIDE + this.at.x] > 0.5 ? "ink" : "paper";
    say(this.where, `Row ${this.at.y + 1}, column ${this.at.x + 1}: ${inked}`);
  }

  #show() {
    const focused = document.activeElement === this.grid;
    this.cells.forEach((cell, own) => {
      cell.style.setProperty("--ink", this.ink[own].toFixed(2));
      cell.classList.toggle("here", focused && own === this.at.y * SIDE + this.at.x);
    });
  }
}

/** What a network takes a picture for: a bar a class. */
export class Guess {
  /** @param {import("./state.js").Key} key */
  constructor(key) {
    this.said = h("p", { class: "says" });
    this.bars = Array.from({ length: 10 }, (_, digit) => {
      const bar = h("i");
      const share = h("span", { class: "share" });
      return { bar, share, element: h("li", {}, h("span", { class: "digit" }, String(digit)), h("span", { class: "track" }, bar), share) };
    });
    this.element = h("div", { class: `guess ${key}` }, this.said, h("ol", { start: 0 }, ...this.bars.map((own) => own.element)));
    this.show(null);
  }

  /** @param {number[] | null} probabilities */
  show(probabilities) {
    const most = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    say(this.said, probabilities ? (most < 0 ? "Its numbers are no longer finite" : `Takes it for a ${most}`) : "Draw, and it says what it sees");
    this.bars.forEach(({ bar, share, element }, digit) => {
      const own = probabilities?.[digit] ?? 0;
      bar.style.setProperty("--share", String(Number.isFinite(own) ? own : 0));
      say(share, probabilities && Number.isFinite(own) ? percent(own) : "");
      element.classList.toggle("most", digit === most);
    });
  }
}
