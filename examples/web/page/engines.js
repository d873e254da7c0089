// The workers, by what they do: one that is stopped or lost is made anew when it is asked again.

import { Engine } from "./engine.js";

/** @type {Map<string, Engine>} */
const engines = new Map();

/** @param {string} name */
export function engine(name) {
  let own = engines.get(name);
  if (own === undefined) engines.set(name, (own = new Engine(name)));
  return own;
}

/** Ends a worker and what it is doing. @param {string} name */
export function stop(name) {
  engines.get(name)?.stop();
  engines.delete(name);
}
