// Inputs that stand for a part of the state: what they hold is checked as a link's is, and what is wrong with
// it is said beside them.

import { fresh, h, say } from "./dom.js";
import { FIELDS, state } from "./state.js";

/** What is said beside an input, and the label and the sentence that it has. */
function framed(label, about, input, kind) {
  const id = fresh("field");
  const note = h("p", { class: "note", id: `${id}-note`, role: "status" });
  const hint = about && h("p", { class: "hint", id: `${id}-hint` }, about);
  input.id = id;
  input.setAttribute("aria-describedby", `${hint ? `${id}-hint ` : ""}${id}-note`);
  const element = h("div", { class: `field ${kind}` }, h("label", { htmlFor: id }, label), hint, input, note);
  return { element, note };
}

/** Checks what was put in and keeps it; a range that moves is not a step back each time. */
function take(key, text, note, step) {
  const checked = FIELDS[key].check(text);
  say(note, checked.note ?? "");
  state.set({ [key]: checked.value }, { step });
  return checked.value;
}

/** The inputs of numbers, each with what is said beside it. @type {Map<string, { input: any, note: any }>} */
const numbers = new Map();

/**
 * Says beside a number what the engine has against it.
 * @param {string} key
 * @param {string} message
 * @returns {() => void} takes that back, where nothing else is said there by then
 */
export function refuse(key, message) {
  const own = numbers.get(key);
  if (own === undefined) return () => {};
  const { input, note } = own;
  say(note, message);
  input.setAttribute("aria-invalid", "true");
  return () => {
    input.removeAttribute("aria-invalid");
    if (note.textContent === message) say(note, "");
  };
}

/**
 * A number, and a slider through the values that are given.
 * @param {string} key
 * @param {string} label
 * @param {string} about
 * @param {{ through?: number[], step?: string }} [options]
 */
export function numberField(key, label, about, { through, step = "1" } = {}) {
  const put = (text) => {
    const value = take(key, text, note, true);
    input.value = String(value);
  };
  const input = h("input", { type: "number", step, inputMode: "decimal", autocomplete: "off", onchange: () => put(input.value) });
  const { element, note } = framed(label, about, input, "number");
  numbers.set(key, { input, note });
  const range =
    through &&
    h("input", {
      type: "range",
      min: "0",
      max: String(through.length - 1),
      oninput: () => {
        say(note, "");
        state.set({ [key]: through[Number(range.value)] });
      },
    });
  if (range) {
    range.setAttribute("aria-label", label);
    input.after(range);
  }
  const follow = () => {
    const value = state.get(key);
    if (document.activeElement !== input || Number(input.value) !== value) input.value = String(value);
    if (!range) return;
    const at = nearest(through, value);
    if (Number(range.value) !== at) range.value = String(at);
    range.setAttribute("aria-valuetext", String(value));
  };
  state.listen(follow);
  follow();
  return element;
}

const nearest = (values, value) =>
  values.reduce((best, own, at) => (Math.abs(own - value) < Math.abs(values[best] - value) ? at : best), 0);

/**
 * One of several texts, or another that is written.
 * @param {string} key
 * @param {string} label
 * @param {string} about
 * @param {() => [string, string][]} known each with what is shown for it
 * @param {{ other?: boolean, also?: (value: string) => Record<string, any> }} [options] whether another may be
 * written, and what else changes with it
 */
export function choiceField(key, label, about, known, { other = false, also = () => ({}) } = {}) {
  const put = (text) => {
    const value = FIELDS[key].check(text).value;
    if (value !== state.get(key)) state.set(also(value));
    take(key, text, note, true);
  };
  const select = h("select", {
    onchange() {
      if (select.value !== "") {
        written.hidden = true;
        put(select.value);
        return;
      }
      written.hidden = false;
      written.value = state.get(key);
      written.focus();
      written.select();
    },
  });
  const written = h("input", { type: "text", hidden: true, spellcheck: false, autocomplete: "off", maxLength: 200 });
  written.setAttribute("aria-label", `${label}, as it is written`);
  written.addEventListener("change", () => {
    written.hidden = true;
    put(written.value);
    follow();
  });
  const { element, note } = framed(label, about, select, "choice");
  select.after(written);
  const follow = () => {
    const value = state.get(key);
    const options = known();
    if (!options.some(([text]) => text === value)) options.push([value, value]);
    if (other) options.push(["", "Other…"]);
    const shown = options.map(([text, name]) => `${text}\n${name}`).join("\n");
    if (select.dataset.shown !== shown) {
      select.replaceChildren(...options.map(([text, name]) => h("option", { value: text }, name)));
      select.dataset.shown = shown;
    }
    if (written.hidden) select.value = value;
  };
  state.listen(follow);
  follow();
  return { element, follow };
}

/** @param {string} key */
export function textField(key, label, about) {
  const input = h("input", { type: "text", spellcheck: false, autocomplete: "off", maxLength: 200 });
  input.addEventListener("change", () => {
    input.value = take(key, input.value, note, true);
  });
  const { element, note } = framed(label, about, input, "text");
  const follow = () => {
    if (document.activeElement !== input) input.value = state.get(key);
  };
  state.listen(follow);
  follow();
  return element;
}

/** @param {string} key */
export function flagField(key, label, about) {
  const id = fresh("flag");
  const input = h("input", { type: "checkbox", id, onchange: () => state.set({ [key]: input.checked }, { step: true }) });
  input.setAttribute("aria-describedby", `${id}-hint`);
  const follow = () => {
    input.checked = state.get(key);
  };
  state.listen(follow);
  follow();
  return h(
    "div",
    { class: "field flag" },
    input,
    h("label", { htmlFor: id }, label),
    h("p", { class: "hint", id: `${id}-hint` }, about),
  );
}
