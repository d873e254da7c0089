// The page: the views, the settings that they share, and which of them is shown.

import { Bits } from "./bits.js";
import { h, say } from "./dom.js";
import { engine } from "./engines.js";
import { numberField } from "./field.js";
import { Card, catalogue } from "./settings.js";
import { state } from "./state.js";
import { Train } from "./train.js";
import { Vanish } from "./vanish.js";
import { ABOUT } from "./words.js";

const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const notices = document.querySelector(".notices");
const spoken = document.querySelector(".spoken");
/** @type {NodeListOf<HTMLAnchorElement>} */
const links = document.querySelectorAll("nav a");

const announce = (text) => say(spoken, text);
const cards = { a: new Card("a"), b: new Card("b") };
const settings = h(
  "aside",
  { class: "settings", "aria-label": "Settings" },
  cards.a.element,
  cards.b.element,
  h("div", { class: "shared" }, numberField("seed", "Seed", ABOUT.seed)),
);
const vanish = new Vanish(cards, announce);
// The others are made when they are first shown.
const make = { vanish: () => vanish, train: () => new Train(announce), bits: () => new Bits(announce) };
/** @type {Record<string, any>} */
const views = {};

/** Sentences of a message at most. */
const MOST = 12;

/** A message above all, until it is put away. */
function notice(texts) {
  if (texts.length === 0) return;
  const said = texts.length > MOST ? [...texts.slice(0, MOST), `And ${texts.length - MOST} more.`] : texts;
  const box = h(
    "div",
    { class: "notice", role: "alert" },
    h("ul", {}, ...said.map((text) => h("li", {}, text))),
    h("button", { type: "button", class: "quiet", onclick: () => box.remove() }, "Close"),
  );
  notices.replaceChildren(box);
}

// A link of this page's own would take the place of the state in the address.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

let shown = "";

function show({ linked }) {
  const view = state.get("view");
  if (view !== shown) {
    views[shown]?.leave?.();
    shown = view;
    views[view] ??= make[view]();
    /** @type {HTMLTemplateElement} */
    const template = document.querySelector(`template#${view}`);
    const intro = template.content.cloneNode(true);
    const parts = view === "bits" ? views[view].parts : [views[view].parts[0], settings, ...views[view].parts.slice(1)];
    main.dataset.view = view;
    main.replaceChildren(intro, ...parts);
    document.title = `${main.querySelector("h1").dataset.title} · fanin`;
  }
  for (const link of links) {
    link.href = state.link(link.dataset.view);
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (linked) {
    notices.replaceChildren();
    notice(state.notes);
  }
  // Their verdicts stand beside their names, in the race too.
  if (view !== "bits") vanish.update();
  if (view !== "vanish") views[view].update();
}

for (const link of links) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    state.set({ view: link.dataset.view }, { step: true });
    // The new view's first words are where reading goes on.
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
}

state.listen(show);
show({ linked: true });
document.documentElement.classList.add("ready");

try {
  const [known, about] = await Promise.all([engine("probe a").call("catalogue"), engine("probe a").call("about")]);
  catalogue.activations = known.activations.map(({ name }) => [name, name]);
  for (const card of Object.values(cards)) card.refresh();
  say(document.querySelector("footer .version"), about.version);
} catch (error) {
  notice([`The engine did not start: ${error.message}`]);
}
