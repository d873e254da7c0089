//! Small pictures of digits, drawn from a font.

use super::generate::Draw;

/// Pixels on either side of a picture.
const SIDE: usize = 8;

/// Samples on either side of a pixel: a pixel is the mean of so many squared.
const SAMPLES: usize = 3;

/// Words a picture: six for the whole, then one a pixel.
pub(super) const WORDS: u64 = 6 + (SIDE * SIDE) as u64;

/// Five columns a glyph, in seven rows from the top, the leftmost column in the highest bit.
const FONT: [[u8; 7]; 10] = [
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

/// The pixels of one picture, row by row, from 0 (paper) to 1 (ink).
pub(super) fn draw(digit: usize, draw: &Draw) -> [f32; SIDE * SIDE] {
    let between = |at, low: f64, high: f64| low + (high - low) * draw.uniform(at);
    let (right, down) = (between(0, -0.9, 0.9), between(1, -0.9, 0.9));
    // Up to 16 degrees either way.
    let angle = between(2, -0.28, 0.28);
    let scale = between(3, 0.85, 1.1);
    let threshold = between(4, 0.25, 0.45);
    let ink = between(5, 0.6, 1.0);
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));

    let middle = SIDE as f64 / 2.0;
    let samples = (SAMPLES * SAMPLES) as f64;
    std::array::from_fn(|pixel| {
        let mut covered = 0.0;
        for sample in 0..SAMPLES * SAMPLES {
            let within = |index: usize| (index as f64 + 0.5) / SAMPLES as f64;
            // From the picture back to the glyph, whose middle is at (2.5, 3.5).
            let x = (pixel % SIDE) as f64 + within(sample % SAMPLES) - middle - right;
            let y = (pixel / SIDE) as f64 + within(sample / SAMPLES) - middle - down;
            let (x, y) = ((cos * x + sin * y) / scale + 2.5, (cos * y - sin * x) / scale + 3.5);
            // A soft edge, so that a small shift is a small change.
            covered += ((blend(digit, x, y) - threshold) * 4.0).clamp(0.0, 1.0);
        }
        let noise = 0.08 * draw.normal(6 + pixel as u64);
        (ink * covered / samples + noise).clamp(0.0, 1.0) as f32
    })
}

/// The glyph between the middles of its cells, bilinearly.
fn blend(digit: usize, x: f64, y: f64) -> f64 {
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right, bottom) = (x - left, y - top);
    let cell = |column: f64, row: f64| {
        if !(0.0..5.0).contains(&column) || !(0.0..7.0).contains(&row) {
            return 0.0;
        }
        let bits = FONT[digit % FONT.len()][row as usize];
        f64::from((bits >> (4 - column as u32)) & 1)
    };
    (cell(left, top) * (1.0 - right) + cell(left + 1.0, top) * right) * (1.0 - bottom)
        + (cell(left, top + 1.0) * (1.0 - right) + cell(left + 1.0, top + 1.0) * right) * bottom
}
