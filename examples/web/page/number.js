// Numbers as they are shown.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** An exponent, raised: 10 to the -16 is `10⁻¹⁶`. */
export const power = (exponent) =>
  exponent === 0 ? "1" : `10${[...String(exponent)].map((digit) => RAISED[digit]).join("")}`;

/** What the engine sends for numbers that JSON has not. */
export function finite(value) {
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  if (value === "nan" || value === null || value === undefined) return NaN;
  return Number(value);
}

/**
 * Three digits: `0.713`, `12.5`, `4.66 × 10⁻¹⁰`.
 * @param {number} value
 */
export function short(value) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : "−infinite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size >= 0.001 && size < 99950) {
    const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
    return sign + size.toFixed(Math.min(digits, 5));
  }
  let exponent = Math.floor(Math.log10(size));
  let mantissa = scaled(size, exponent).toFixed(1);
  if (mantissa === "10.0") [mantissa, exponent] = ["1.0", exponent + 1];
  return `${sign}${mantissa} × ${power(exponent)}`;
}

// In two steps: a power of ten by itself may lie beyond what a number holds.
const scaled = (size, exponent) => {
  const half = Math.trunc(exponent / 2);
  return size / 10 ** half / 10 ** (exponent - half);
};

/** A number as a text that is read back, without digits that say nothing. */
export const plain = (value) => String(Number(value.toPrecision(4)));

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** A sentence that begins with a capital and ends with a stop. */
export const sentence = (text) => (text === "" ? "" : `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`);

/** `16,777,216`. */
export const whole = (value) => value.toLocaleString("en");

/** `1.2 s` or `34 ms`. */
export const duration = (milliseconds) =>
  milliseconds < 995 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

/** `1 layer`, `2 layers`. */
export const counted = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
