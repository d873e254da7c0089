// Elements without a framework.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with its properties and children. A property whose name begins with `on` is a listener; one
 * that the element has is set, any other is an attribute.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any} of the tag's own type
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/**
 * The same for what stands in a drawing.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...present(children));
  return element;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

const present = (children) =>
  children.filter((child) => child !== null && child !== undefined && child !== false);

/** Sets a text only where it is another: what is set anew is read out anew. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let numbered = 0;

/** A name that no other element has, for labels and descriptions. */
export const fresh = (stem) => `${stem}-${(numbered += 1)}`;

/** Calls back at most once a frame, however often it is asked. */
export function everyFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** Calls back once nothing has asked for so many milliseconds. */
export function settled(milliseconds, act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}
