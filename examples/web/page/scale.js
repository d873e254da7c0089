// The text of an initializer whose weights are all multiplied by a factor.

import { plain } from "./number.js";

/**
 * A text's name and its arguments, in order, each with its name where it was given one.
 * @param {string} text
 */
function read(text) {
  const [name, rest] = text.trim().split(/:(.*)/s);
  const given = rest === undefined || rest.trim() === "" ? [] : rest.split(",").map((part) => part.trim());
  const values = given.map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? { key: "", value: part } : { key: part.slice(0, at).trim(), value: part.slice(at + 1).trim() };
  });
  return { name, values };
}

const numeric = (text) => text !== "" && Number.isFinite(Number(text));

/** Multiplies the arguments of these names (the first ones may stand without theirs). */
function times(parsed, names, factor) {
  const values = parsed.values.map(({ key, value }, at) => {
    const own = key === "" ? names[at] : key;
    if (!names.includes(own)) return { key, value };
    return numeric(value) ? { key, value: plain(Number(value) * factor) } : null;
  });
  if (values.includes(null)) return null;
  return write(parsed.name, values);
}

const write = (name, values) => {
  const parts = values.map(({ key, value }) => (key === "" ? value : `${key}=${value}`));
  return parts.length > 0 ? `${name}:${parts.join(",")}` : name;
};

/** A gain that stands alone as an argument, or by its name; 1 where it does not. */
function gained(parsed, factor) {
  if (parsed.values.length === 0) return `${parsed.name}:gain=${plain(factor)}`;
  return times(parsed, ["gain"], factor);
}

/** One whose variance is `gain^2 / fan_in`, as the scheme that says a variance outright. */
function variance(parsed, square, distribution, factor) {
  if (parsed.values.length > 0) return null;
  return `variance_scaling:scale=${plain(square * factor * factor)},mode=fan_in,distribution=${distribution}`;
}

/** @type {Record<string, (parsed: any, factor: number) => string | null>} */
const RULES = {
  ones: (_, factor) => `constant:${plain(factor)}`,
  constant: (parsed, factor) => times(parsed, ["value"], factor),
  normal: (parsed, factor) => times(parsed, ["std", "mean"], factor),
  truncated_normal: (parsed, factor) => times(parsed, ["std", "mean"], factor),
  truncated_normal_corrected: (parsed, factor) => times(parsed, ["std", "mean"], factor),
  uniform: (parsed, factor) => {
    const positional = ["low", "high"].slice(0, parsed.values.length);
    const named = parsed.values.length === 1 ? ["bound"] : positional;
    return times(parsed, named, factor);
  },
  variance_scaling(parsed, factor) {
    const has = parsed.values.some(({ key }, at) => key === "scale" || (key === "" && at === 0));
    const whole = has ? parsed : { ...parsed, values: [{ key: "scale", value: "1" }, ...parsed.values] };
    return times(whole, ["scale"], factor * factor);
  },
  he_normal: (parsed, factor) => variance(parsed, 2, "normal", factor),
  he_uniform: (parsed, factor) => variance(parsed, 2, "uniform", factor),
  he_truncated_normal: (parsed, factor) => variance(parsed, 2, "truncated_normal", factor),
  lecun_normal: (parsed, factor) => variance(parsed, 1, "normal", factor),
  lecun_uniform: (parsed, factor) => variance(parsed, 1, "uniform", factor),
  xavier_fan_in_normal: (parsed, factor) => variance(parsed, 1, "normal", factor),
  xavier_fan_in_uniform: (parsed, factor) => variance(parsed, 1, "uniform", factor),
  torch_default: (parsed, factor) => variance(parsed, 1 / 3, "uniform", factor),
  xavier_normal: gained,
  xavier_uniform: gained,
  orthogonal: gained,
  identity: gained,
  dirac: gained,
  siren(parsed, factor) {
    if (parsed.values.length === 0) return `siren:${plain(30 / factor)}`;
    return times(parsed, ["omega"], 1 / factor);
  },
};

const ALSO = {
  one: "ones",
  random_normal: "normal",
  trunc_normal: "truncated_normal",
  glorot_normal: "xavier_normal",
  glorot_uniform: "xavier_uniform",
  kaiming_normal: "he_normal",
  kaiming_uniform: "he_uniform",
  torch_linear: "torch_default",
  torch_conv: "torch_default",
  eye: "identity",
};

/**
 * The text of the same initializer with every weight multiplied, or null where its text has no scale that
 * could be.
 * @param {string} text
 * @param {number} factor
 */
export function scaled(text, factor) {
  if (factor === 1) return text;
  const parsed = read(text);
  const rule = RULES[ALSO[parsed.name] ?? parsed.name];
  return rule ? rule(parsed, factor) : null;
}

/** Whether a slider has anything to move. */
export const scales = (text) => scaled(text, 2) !== null;
