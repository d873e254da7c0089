//! The contract of the drawn numbers, written anew: from its page (`src/random/contract.md`) and from the
//! constants and the table that `fanin contract --json` prints. Nothing here comes from the crate.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The document's constants.
pub struct Contract {
    rounds: u64,
    multipliers: Vec<u64>,
    weyl: Vec<u64>,
    /// Base, round, slope, curve.
    segments: Vec<Vec<u64>>,
}

/// A distribution in the numbers of section 4: `f32(integer) * scale + shift`.
#[derive(Clone, Copy)]
pub struct Sampler {
    /// `words`, `constant`, `unit`, `symmetric`, `normal` or `truncated`: 0 to 5, as in the shaders.
    pub kind: u32,
    pub scale: f32,
    pub shift: f32,
    pub low_word: u32,
    /// Of a constant.
    pub value: f64,
}

/// Numbers, those of 64 bits in hexadecimal.
pub fn numbers(value: &Value) -> Vec<u64> {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| long(value));
    value.as_array().unwrap().iter().map(number).collect()
}

/// 64 bits, which the document writes in hexadecimal.
pub fn long(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

/// Section 2: the id of a name.
pub fn id_of(name: &str) -> u64 {
    u64::from_le_bytes(Sha256::digest(name.as_bytes())[..8].try_into().unwrap())
}

impl Contract {
    pub fn read(document: &Value) -> Contract {
        let (philox, quantile) = (&document["philox"], &document["quantile"]);
        assert_eq!(quantile["fractional_bits"], 21);
        Contract {
            rounds: philox["rounds"].as_u64().unwrap(),
            multipliers: numbers(&philox["multipliers"]),
            weyl: numbers(&philox["weyl"]),
            segments: quantile["segments"].as_array().unwrap().iter().map(numbers).collect(),
        }
    }

    /// Section 1.
    pub fn philox(&self, counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
        let [mut c0, mut c1, mut c2, mut c3] = counter.map(u64::from);
        let [mut k0, mut k1] = key.map(u64::from);
        for _ in 0..self.rounds {
            let (p0, p1) = (c0 * self.multipliers[0], c2 * self.multipliers[1]);
            (c0, c1) = ((p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFF_FFFF);
            (c2, c3) = ((p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFF_FFFF);
            k0 = (k0 + self.weyl[0]) & 0xFFFF_FFFF;
            k1 = (k1 + self.weyl[1]) & 0xFFFF_FFFF;
        }
        [c0, c1, c2, c3].map(|word| word as u32)
    }

    /// Section 2.
    pub fn word(&self, seed: u64, id: u64, index: u64) -> u32 {
        let halves = |long: u64| [long as u32, (long >> 32) as u32];
        let ([b0, b1], [i0, i1]) = (halves(index / 4), halves(id));
        self.philox([b0, b1, i0, i1], halves(seed))[(index % 4) as usize]
    }

    /// Section 3: units of 2^-21.
    pub fn quantile(&self, word: u32) -> i32 {
        let x = u64::from(word.min(!word)) + 32;
        let octave = u64::from(x.ilog2()) - 5;
        // The 21 bits after the leading one, so many of them as there are.
        let y = (x << (26 - octave)) - (1 << 31);
        let t = (y >> 10) & 0xFFFF;
        let [base, round, slope, curve] = self.segments[(octave * 32 + (y >> 26)) as usize][..]
        else {
            panic!("four numbers a segment");
        };
        let parabola = (t * (65_536 - t)) >> 14;
        let drop = (slope * t + ((curve * parabola) >> 9) + (round << 8)) >> 16;
        let size = (base - drop) as i32;
        if word < 1 << 31 { -size } else { size }
    }

    /// Section 4.
    pub fn sampler(&self, distribution: &Value) -> Sampler {
        let get = |name: &str| distribution[name].as_f64().unwrap();
        let scaled = |size: f64, bits: i32| (size * 2f64.powi(-bits)) as f32;
        let plain = Sampler { kind: 0, scale: 0.0, shift: 0.0, low_word: 0, value: 0.0 };
        match distribution["kind"].as_str().unwrap() {
            "words" => plain,
            "constant" => {
                let value = get("value");
                Sampler { kind: 1, shift: value as f32, value, ..plain }
            }
            "uniform" => {
                let (low, high) = (get("low"), get("high"));
                let wide = scaled(high - low, 24) * 16_777_215.0 == f32::INFINITY;
                if low == -high {
                    Sampler { kind: 3, scale: scaled(high, 23), ..plain }
                } else if wide {
                    let (half, middle) = (high / 2.0 - low / 2.0, high / 2.0 + low / 2.0);
                    Sampler { kind: 3, scale: scaled(half, 23), shift: middle as f32, ..plain }
                } else {
                    Sampler { kind: 2, scale: scaled(high - low, 24), shift: low as f32, ..plain }
                }
            }
            "normal" => Sampler {
                kind: 4,
                scale: scaled(get("std"), 21),
                shift: get("mean") as f32,
                ..plain
            },
            "truncated_normal" => {
                let edge = -get("cut") * 2f64.powi(21);
                // The quantile rises with the word.
                let (mut low, mut high) = (0u64, 1u64 << 31);
                while low < high {
                    let middle = (low + high) / 2;
                    if f64::from(self.quantile(middle as u32)) < edge {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                let kind = if low == 0 { 4 } else { 5 };
                let (scale, shift) = (scaled(get("std"), 21), get("mean") as f32);
                Sampler { kind, scale, shift, low_word: low as u32, ..plain }
            }
            other => panic!("{other}"),
        }
    }

    /// Section 4: the bits of the f32, or of the word.
    pub fn bits(&self, sampler: &Sampler, word: u32) -> u32 {
        let integer = match sampler.kind {
            0 => return word,
            1 => return sampler.shift.to_bits(),
            2 => (word >> 8) as i32,
            3 => 2 * (word >> 9) as i32 + 1 - (1 << 23),
            4 => self.quantile(word),
            _ => {
                let inside = (1u64 << 32) - 2 * u64::from(sampler.low_word);
                let mapped = (u64::from(word) * inside) >> 32;
                self.quantile(sampler.low_word + mapped as u32)
            }
        };
        let product = integer as f32 * sampler.scale;
        if sampler.shift == 0.0 { product.to_bits() } else { (product + sampler.shift).to_bits() }
    }

    /// An element of a stream, as the bits that the dtype stores.
    pub fn element(&self, sampler: &Sampler, dtype: &str, at: (u64, u64, u64)) -> u64 {
        let (seed, id, index) = at;
        match (sampler.kind, dtype) {
            (1, "f64") => sampler.value.to_bits(),
            _ => rounded(dtype, self.bits(sampler, self.word(seed, id, index))),
        }
    }

    /// Section 6: Stewart's reflections, 32 together, `[rows, columns]` row-major in f32.
    pub fn orthogonal(
        &self,
        seed: u64,
        id: u64,
        rows: usize,
        columns: usize,
        gain: f64,
    ) -> Vec<f32> {
        let (m, n) = (rows.max(columns), rows.min(columns));
        // Column by column: the first n of the identity, times the signs.
        let mut q = vec![vec![0.0; m]; n];
        let mut blocks = Vec::new();
        for first in (0..n).step_by(32) {
            let width = 32.min(n - first);
            let mut v: Vec<Vec<f64>> = Vec::new();
            let mut t = vec![vec![0.0; width]; width];
            for i in 0..width {
                let k = first + i;
                let mut column = vec![0.0; m];
                let mut square = 0.0;
                for j in 0..m - k {
                    let word = self.word(seed, id, (k * m + j) as u64);
                    let normal = f64::from(self.quantile(word)) * 2f64.powi(-21);
                    square += normal * normal;
                    column[k + j] = normal;
                }
                let sign = if column[k] < 0.0 { -1.0 } else { 1.0 };
                q[k][k] = -sign;
                column[k] += sign * square.sqrt();
                v.push(column);
                let products: Vec<f64> =
                    (0..=i).map(|j| dot(&v[j][first..], &v[i][first..])).collect();
                let tau = if products[i] > 0.0 { 2.0 / products[i] } else { 0.0 };
                for row in 0..i {
                    t[row][i] = -tau * dot(&t[row][row..i], &products[row..i]);
                }
                t[i][i] = tau;
            }
            blocks.push((first, v, t));
        }
        for (first, v, t) in blocks.iter().rev() {
            for column in &mut q {
                let w: Vec<f64> = v.iter().map(|v| dot(&v[*first..], &column[*first..])).collect();
                let x: Vec<f64> = (0..w.len()).map(|i| dot(&t[i][i..], &w[i..])).collect();
                for row in *first..m {
                    let line: Vec<f64> = v.iter().map(|v| v[row]).collect();
                    column[row] -= dot(&line, &x);
                }
            }
        }
        let at = |row: usize, column: usize| {
            if rows >= columns { q[column][row] } else { q[row][column] }
        };
        (0..rows * columns).map(|i| (at(i / columns, i % columns) * gain) as f32).collect()
    }

    /// Section 6: `centre[output][input]` at the centre of a convolution's weight, 0 elsewhere.
    pub fn at_centre(&self, out_in: bool, taps: usize, at: usize, centre: &[Vec<f32>]) -> Vec<f32> {
        let (outputs, inputs) = (centre.len(), centre[0].len());
        let mut out = vec![0.0; outputs * inputs * taps];
        for (output, row) in centre.iter().enumerate() {
            for (input, value) in row.iter().enumerate() {
                let place = match out_in {
                    true => (output * inputs + input) * taps + at,
                    false => (at * inputs + input) * outputs + output,
                };
                out[place] = *value;
            }
        }
        out
    }

    /// Section 6: a normal of which the smallest words of another stream take elements away.
    pub fn sparse(&self, at: (u64, u64), shape: [usize; 2], sparsity: f64, std: f64) -> Vec<f32> {
        let ((seed, id), [rows, columns]) = (at, shape);
        let normal = self.sampler(&json!({ "kind": "normal", "mean": 0.0, "std": std }));
        let draw = |i: usize| f32::from_bits(self.bits(&normal, self.word(seed, id, i as u64)));
        let mut out: Vec<f32> = (0..rows * columns).map(draw).collect();
        for column in 0..columns {
            let place = |row: usize| row * columns + column;
            let rank = |row: usize| (self.word(seed, !id, place(row) as u64), row);
            let mut ranks: Vec<_> = (0..rows).map(rank).collect();
            ranks.sort();
            for (_, row) in &ranks[..(sparsity * rows as f64).ceil() as usize] {
                out[place(*row)] = 0.0;
            }
        }
        out
    }

    /// Section 7.
    pub fn order(&self, seed: u64, id: u64, first: u64, count: usize) -> Vec<u64> {
        let mut order: Vec<u64> = (0..count as u64).collect();
        for (step, i) in (1..count).rev().enumerate() {
            let word = self.word(seed, id, first + step as u64);
            order.swap(i, ((u64::from(word) * (i as u64 + 1)) >> 32) as usize);
        }
        order
    }

    /// Section 8: whether an element of `[rows, columns]` is kept at a step.
    pub fn kept(
        &self,
        at: (u64, u64),
        probability: f64,
        step: u32,
        columns: u32,
        place: [u32; 2],
    ) -> bool {
        let ((seed, id), [row, column]) = (at, place);
        let block = row * columns.div_ceil(4) + column / 4;
        let (key, id) = ([seed as u32, (seed >> 32) as u32], [id as u32, (id >> 32) as u32]);
        let words = self.philox([block, step, id[0], id[1]], key);
        f64::from(words[(column % 4) as usize]) >= (probability * 2f64.powi(32)).round()
    }
}

/// In the order of the terms, from 0.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// Section 5: the bits of an f32 as the dtype stores them. By the two neighbours and the distances to
/// them, in f64, which holds all of these exactly.
pub fn rounded(dtype: &str, bits: u32) -> u64 {
    let value = f64::from(f32::from_bits(bits));
    let (size_bits, fraction, least) = match dtype {
        "bf16" => (15, 7, -126),
        "f16" => (15, 10, -14),
        "f8_e4m3" => (7, 3, -6),
        "f8_e5m2" => (7, 2, -14),
        "f64" => return value.to_bits(),
        _ => return bits.into(),
    };
    let size = value.abs();
    // The spacing of the dtype's numbers there.
    let exponent = (((size.to_bits() >> 52) as i32) - 1023).max(least);
    let unit = 2f64.powi(exponent - fraction);
    let units = size / unit;
    let down = units.floor();
    let up = units - down > 0.5 || units - down == 0.5 && down % 2.0 == 1.0;
    let whole = down as u64 + u64::from(up);
    // One more than the exponent's field, where it is not subnormal, is in the leading bit of `whole`.
    let field = (exponent - least) as u64;
    let sign = u64::from(value.is_sign_negative()) << size_bits;
    sign | ((field << fraction) + whole)
}
