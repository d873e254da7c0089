// The command that does the same on the reader's own machine, to be copied.

import { h, say } from "./dom.js";

export class Command {
  /** @param {string} about what it does there @param {string} [name] which of several */
  constructor(about, name = "") {
    this.text = h("code");
    this.said = h("span", { class: "said", role: "status" });
    this.button = h("button", { type: "button", class: "quiet", onclick: () => this.#copy() }, "Copy");
    this.button.setAttribute("aria-label", name ? `Copy the command for ${name}` : "Copy the command");
    this.element = h(
      "div",
      { class: "command", hidden: true },
      about && h("p", { class: "hint" }, about),
      h("div", { class: "row" }, h("pre", { tabIndex: 0 }, this.text), this.button, this.said),
    );
  }

  /** @param {string | null} command */
  show(command) {
    this.element.hidden = !command;
    say(this.text, command ?? "");
    say(this.said, "");
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.text.textContent);
      say(this.said, "Copied");
    } catch {
      // Where the clipboard is refused, the text is marked, to be copied by hand.
      getSelection()?.selectAllChildren(this.text);
      say(this.said, "Marked: press Ctrl+C or ⌘C");
    }
    setTimeout(() => say(this.said, ""), 4000);
  }
}
