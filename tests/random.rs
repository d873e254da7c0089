//! The contract of the drawn numbers: known answers, golden digests, exact formulas.

use fanin::random::philox::philox4x32_10;
use fanin::random::{
    Distribution, Dtype, PhiloxRng, Stream, bf16_from_f32, f8_e4m3_from_f32, f8_e5m2_from_f32,
    f16_from_f32, f32_from_f8_e4m3, f32_from_f8_e5m2, f64_from_f32, quantile,
};
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Random123, `tests/kat_vectors`, the three lines of `philox4x32 10`.
#[test]
fn philox_gives_random123s_answers() {
    let known = [
        ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
        ([!0; 4], [!0; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
        (
            [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
            [0xa4093822, 0x299f31d0],
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
        ),
    ];
    for (counter, key, block) in known {
        assert_eq!(philox4x32_10(counter, key), block);
    }
}

#[test]
fn a_streams_counter_and_key_are_the_contracts() {
    let stream = Stream::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    for index in [0, 1, 3, 4, 1 << 33, (1 << 34) - 1, 1 << 34, u64::MAX] {
        let block = index / 4;
        let counter = [block as u32, (block >> 32) as u32, 0x7654_3210, 0xfedc_ba98];
        let want = philox4x32_10(counter, [0x89ab_cdef, 0x0123_4567])[(index % 4) as usize];
        assert_eq!(stream.word(index), want, "{index}");
    }
}

/// SHA-256("abc") is FIPS 180's own example; its first bytes are ba7816bf 8f01cfea.
#[test]
fn a_names_id_is_the_head_of_its_sha256() {
    assert_eq!(Stream::named(0, "abc").id, 0xeacf_018f_bf16_78ba);
    // SHA-256 of the empty string: e3b0c442 98fc1c14.
    assert_eq!(Stream::named(0, "").id, 0x141c_fc98_42c4_b0e3);
}

#[test]
fn the_generator_yields_the_streams_words() {
    let stream = Stream::named(7, "rng");
    let mut rng = PhiloxRng::new(stream);
    for start in [0, 1, 2, 3, (1 << 34) - 5, u64::MAX - 2] {
        rng.set_word_pos(start);
        for ahead in 0..9 {
            let index = start.wrapping_add(ahead);
            assert_eq!(rng.word_pos(), index);
            assert_eq!(rng.next_u32(), stream.word(index), "{start} + {ahead}");
        }
    }
    rng.set_word_pos(5);
    let pair = u64::from(stream.word(5)) | u64::from(stream.word(6)) << 32;
    assert_eq!(rng.next_u64(), pair);
    let mut bytes = [0; 7];
    rng.fill_bytes(&mut bytes);
    assert_eq!(bytes[..4], stream.word(7).to_le_bytes());
    assert_eq!(bytes[4..], stream.word(8).to_le_bytes()[..3]);

    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&stream.seed.to_le_bytes());
    seed[8..].copy_from_slice(&stream.id.to_le_bytes());
    assert_eq!(PhiloxRng::from_seed(seed).stream(), stream);
}

#[test]
fn sixteen_bits_round_as_the_half_crate_rounds() {
    let rng = PhiloxRng::new(Stream::named(7, "halves"));
    let mut patterns: Vec<u32> = (0..1 << 20).map(|i| rng.stream().word(i)).collect();
    // Around every value of either kind, and around the middle between it and the next.
    for half in 0..=u16::MAX {
        let bf16 = u32::from(half) << 16;
        let f16 = half::f16::from_bits(half).to_f32().to_bits();
        for around in [bf16, bf16 | 0x8000, f16, f16 | 0x1000] {
            patterns.extend([around.wrapping_sub(1), around, around.wrapping_add(1)]);
        }
    }
    for bits in patterns {
        let value = f32::from_bits(bits);
        let (bf16, f16) = (half::bf16::from_f32(value), half::f16::from_f32(value));
        if value.is_nan() {
            assert!(half::bf16::from_bits(bf16_from_f32(bits)).is_nan(), "{bits:#x}");
            assert!(half::f16::from_bits(f16_from_f32(bits)).is_nan(), "{bits:#x}");
        } else {
            assert_eq!(bf16_from_f32(bits), bf16.to_bits(), "{bits:#x}");
            assert_eq!(f16_from_f32(bits), f16.to_bits(), "{bits:#x}");
        }
    }
}

/// An 8-bit float by its definition, in f64.
struct Eight {
    bias: i32,
    fraction: u32,
    /// What follows the largest number: NaN or infinity, which rounding takes for the number after it.
    end: u8,
    from: fn(u32) -> u8,
    value: fn(u8) -> f32,
}

const EIGHTS: [Eight; 2] = [
    Eight { bias: 7, fraction: 3, end: 0x7F, from: f8_e4m3_from_f32, value: f32_from_f8_e4m3 },
    Eight { bias: 15, fraction: 2, end: 0x7C, from: f8_e5m2_from_f32, value: f32_from_f8_e5m2 },
];

impl Eight {
    fn size(&self, code: u8) -> f64 {
        let exponent = i32::from(code >> self.fraction);
        let fraction = f64::from(code % (1 << self.fraction)) / f64::from(1 << self.fraction);
        match exponent {
            0 => fraction * 2f64.powi(1 - self.bias),
            _ => (1.0 + fraction) * 2f64.powi(exponent - self.bias),
        }
    }

    /// The code nearest to an f32 that is not NaN, by distances; of two, the even one.
    fn nearest(&self, bits: u32) -> u8 {
        let value = f64::from(f32::from_bits(bits & 0x7FFF_FFFF));
        let above = (0..=self.end).find(|code| self.size(*code) >= value).unwrap_or(self.end);
        let below = above.saturating_sub(1);
        let (down, up) = (value - self.size(below), self.size(above) - value);
        let code = if down < up || down == up && below % 2 == 0 { below } else { above };
        code | (bits >> 24) as u8 & 0x80
    }
}

#[test]
fn eight_bits_round_to_the_nearest_by_definition() {
    let rng = PhiloxRng::new(Stream::named(7, "eights"));
    for eight in EIGHTS {
        // Every bf16, and so every exponent; any bits; each number, each middle, and what is next to them.
        let mut patterns: Vec<u32> = (0..=u16::MAX).map(|bf16| u32::from(bf16) << 16).collect();
        patterns.extend((0..1 << 18).map(|i| rng.stream().word(i)));
        for code in 0..eight.end {
            for of in [eight.size(code), 0.5 * (eight.size(code) + eight.size(code + 1))] {
                assert_eq!(f64::from(of as f32), of);
                let bits = (of as f32).to_bits();
                for around in [bits.saturating_sub(1), bits, bits + 1] {
                    patterns.extend([around, around | 1 << 31]);
                }
            }
        }
        for bits in patterns {
            let found = (eight.from)(bits);
            match f32::from_bits(bits).is_nan() {
                true => assert!((eight.value)(found).is_nan(), "{bits:#x}"),
                false => assert_eq!(found, eight.nearest(bits), "{bits:#x}"),
            }
        }
    }
}

#[test]
fn every_eight_bits_go_round() {
    for eight in EIGHTS {
        for code in 0..=u8::MAX {
            let value = (eight.value)(code);
            match code & 0x7F {
                size if size < eight.end => {
                    assert_eq!(f64::from(value.abs()), eight.size(size), "{code:#x}");
                    assert_eq!(value.is_sign_negative(), code > 0x7F, "{code:#x}");
                    assert_eq!((eight.from)(value.to_bits()), code);
                }
                0x7C if eight.end == 0x7C => assert!(value.is_infinite(), "{code:#x}"),
                _ => assert!(value.is_nan(), "{code:#x}"),
            }
        }
    }
}

/// As `ml_dtypes` 0.6 has them, and PyTorch (`torch.float8_e4m3fn`, `torch.float8_e5m2`; from 2.12 on
/// that gives 448 where there is NaN here).
#[test]
fn eight_bits_are_those_of_others() {
    for (value, e4m3, e5m2) in [
        (0.0f32, 0x00, 0x00),
        (-0.0, 0x80, 0x80),
        (1.0, 0x38, 0x3C),
        (-1.5, 0xBC, 0xBE),
        (0.1, 0x1D, 0x2E),
        (0.02, 0x0A, 0x25),
        (3.0e-3, 0x02, 0x1A),
        (0.000_976_562_5, 0x00, 0x14),
        (0.002_929_687_5, 0x02, 0x1A),
        (1.0e-5, 0x00, 0x01),
        (-17.0, 0xD8, 0xCC),
        (19.0, 0x5A, 0x4D),
        (448.0, 0x7E, 0x5F),
        (464.0, 0x7E, 0x5F),
        (464.1, 0x7F, 0x5F),
        (-1.0e9, 0xFF, 0xFC),
        (57_344.0, 0x7F, 0x7B),
        (61_439.0, 0x7F, 0x7B),
        (61_440.0, 0x7F, 0x7C),
        (f32::INFINITY, 0x7F, 0x7C),
    ] {
        assert_eq!(f8_e4m3_from_f32(value.to_bits()), e4m3, "{value}");
        assert_eq!(f8_e5m2_from_f32(value.to_bits()), e5m2, "{value}");
    }
}

/// Sign, significand and exponent of either have the same value: integers times powers of two.
#[test]
fn an_f64_is_the_f32_itself() {
    let rng = PhiloxRng::new(Stream::named(7, "doubles"));
    let ends = (0..255u32).flat_map(|exponent| [0, 1, 0x7F_FFFF].map(|end| exponent << 23 | end));
    for bits in ends.chain((0..100_000).map(|i| rng.stream().word(i))) {
        let (exponent, fraction) = ((bits >> 23 & 0xFF) as i32, i64::from(bits & 0x7F_FFFF));
        if exponent == 0xFF {
            continue;
        }
        let hidden = if exponent == 0 { 0 } else { 1 << 23 };
        // In units of 2^-149, the least of them.
        let whole = (fraction + hidden) as f64 * 2f64.powi(exponent.max(1) - 1);
        let size = whole * 2f64.powi(-149);
        let sign = u64::from(bits >> 31) << 63;
        assert_eq!(f64_from_f32(bits), size.to_bits() | sign, "{bits:#x}");
    }
}

/// Words at both ends, in the middle, and many between.
fn indices() -> impl Iterator<Item = u64> {
    (0..20_000).chain((1 << 34) - 100..(1 << 34) + 100)
}

/// The formulas of the contract, written out again in exact integers and f64.
#[test]
fn values_are_the_contracts_formulas() {
    let stream = Stream::named(7, "formulas");
    let value = |distribution: Distribution, index| distribution.value(&stream, index).unwrap();
    for index in indices() {
        let word = stream.word(index);
        // f64 holds these products exactly, so the cast is the one rounding.
        let bound = 0.0361;
        let odd = f64::from(word >> 9) * 2.0 + 1.0 - 8_388_608.0;
        let scale = f64::from((bound * 2f64.powi(-23)) as f32);
        assert_eq!(value(Distribution::symmetric(bound), index), (odd * scale) as f32);

        let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
        assert_eq!(f64::from(value(unit, index)), f64::from(word >> 8) * 2f64.powi(-24));

        let (low, high) = (-0.3, 1.1);
        let scale = f64::from(((high - low) * 2f64.powi(-24)) as f32);
        let product = (f64::from(word >> 8) * scale) as f32;
        let shifted = Distribution::Uniform { low, high };
        assert_eq!(value(shifted, index), product + low as f32);

        let z = f64::from(quantile::fixed(word));
        let scale = f64::from((0.02 * 2f64.powi(-21)) as f32);
        let product = (z * scale) as f32;
        assert_eq!(value(Distribution::normal(0.02), index), product);
        let shifted = Distribution::Normal { mean: 0.7, std: 0.02 };
        assert_eq!(value(shifted, index), product + 0.7f32);
    }
}

/// Uniforms whose width alone is beyond f32, about their middle.
#[test]
fn uniforms_wider_than_f32_are_drawn_about_their_middle() {
    let stream = Stream::named(7, "wide");
    for (low, high) in [(-3.1e38, 3e38), (-1e38, 3.3e38), (-3.4e38, 1e38)] {
        let wide = Distribution::Uniform { low, high };
        let scale = f64::from(((high / 2.0 - low / 2.0) * 2f64.powi(-23)) as f32);
        let middle = (high / 2.0 + low / 2.0) as f32;
        let (mut least, mut greatest) = (f32::MAX, f32::MIN);
        for index in indices() {
            let odd = f64::from(stream.word(index) >> 9) * 2.0 + 1.0 - 8_388_608.0;
            let value = wide.value(&stream, index).unwrap();
            assert_eq!(value, (odd * scale) as f32 + middle, "{low}..{high}: {index}");
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        // 20,200 draws come within a thousandth of either end; missing it has odds of e^-20.
        assert!(
            f64::from(least) >= low * (1.0 + 1e-7) && f64::from(greatest) <= high * (1.0 + 1e-7)
        );
        assert!(f64::from(least) < low + 1e-3 * (high / 2.0 - low / 2.0) * 2.0);
        assert!(f64::from(greatest) > high - 1e-3 * (high / 2.0 - low / 2.0) * 2.0);
    }
    // Where the width fits, as ever.
    let fits = Distribution::Uniform { low: -1e38, high: 2.4e38 };
    let scale = (3.4e38 * 2f64.powi(-24)) as f32;
    let want = (stream.word(5) >> 8) as f32 * scale + -1e38;
    assert_eq!(fits.value(&stream, 5).unwrap(), want);
}

#[test]
fn the_last_element_of_a_stream_is_2_to_the_64_less_1() {
    let (stream, last) = (Stream::named(7, "last"), u64::MAX);
    let mut bytes = [0; 20];
    Distribution::Words.draw(&stream, Dtype::U32, last - 4, &mut bytes).unwrap();
    assert_eq!(bytes[16..], stream.word(last).to_le_bytes());
    let mut beyond = [0; 24];
    let error = Distribution::Words.draw(&stream, Dtype::U32, last - 4, &mut beyond).unwrap_err();
    assert!(error.to_string().contains("an end within 2^64"), "{error}");
}

#[test]
fn a_symmetric_uniform_stays_inside_and_off_zero() {
    let stream = Stream::named(7, "inside");
    for bound in [1.0, 0.1, 0.036, 3.0] {
        for index in indices() {
            let value = Distribution::symmetric(bound).value(&stream, index).unwrap();
            assert!(value != 0.0 && f64::from(value.abs()) < f64::from(bound as f32), "{value}");
        }
    }
}

#[test]
fn a_cut_keeps_what_is_inside_and_nothing_else() {
    let stream = Stream::named(7, "cut");
    for cut in [0.5, 1.0, 2.0, 3.7] {
        // Found here by walking from the formula's neighbourhood, not by bisection.
        let lattice = cut * 2f64.powi(21);
        let tail = 0.5 * statrs::function::erf::erfc(cut / 2f64.sqrt());
        let mut low = (tail * 2f64.powi(32)) as u32 - 2000;
        assert!(f64::from(quantile::fixed(low)) < -lattice);
        while f64::from(quantile::fixed(low)) < -lattice {
            low += 1;
        }
        let inside = u128::from((1u64 << 32) - 2 * u64::from(low));
        for index in indices() {
            let word = u128::from(stream.word(index));
            let mapped = low + ((word * inside) >> 32) as u32;
            let scale = f64::from((0.02 * 2f64.powi(-21)) as f32);
            let want = (f64::from(quantile::fixed(mapped)) * scale) as f32;
            let got = Distribution::truncated_normal(0.02, cut).value(&stream, index).unwrap();
            assert_eq!(got, want);
            assert!(f64::from(got.abs()) <= 0.02 * cut * (1.0 + 2f64.powi(-23)));
        }
    }
}

#[test]
fn a_cut_beyond_the_reach_is_the_plain_normal() {
    let stream = Stream::named(7, "beyond");
    for index in indices() {
        let plain = Distribution::normal(0.02).value(&stream, index);
        let cut = Distribution::truncated_normal(0.02, 100.0).value(&stream, index);
        assert_eq!(plain.unwrap(), cut.unwrap());
    }
}

/// Digests of 2^16 elements of stream (7, "golden") from index 2^34 - 2^15, over the carry of the
/// block's low word. They are the contract: a change here changes every weight ever drawn, and is a
/// major version.
const GOLDEN: &[(&str, &str, &str)] = &[
    ("words", "u32", "546f256334fb95fcaa16464c698bee39ac5948295a319b61bfcb3a87396f8f0e"),
    ("uniform (-b, b)", "f32", "508f906bde9cc5e1bc02c46f4ad7a4f557609643008982f04d4d5e1573b8f58a"),
    ("uniform (-b, b)", "bf16", "5a673738011d100ceb160c2acf08ad502a88e96de8a38f2e910235f4dc4577d1"),
    ("uniform (-b, b)", "f16", "5fe24867214ef817b0768440940c2ae57a072baed036394ad9063f8379859ff8"),
    (
        "uniform (-b, b)",
        "f8_e4m3",
        "a6e61218744c89365dec7b39a5de9b553ffbcf1fff85df41423832214788e35a",
    ),
    (
        "uniform (-b, b)",
        "f8_e5m2",
        "54a1cfbb4addfe83f0e2eacfa3ddc7ed29c3b0736ead2d85c1cb2f9e262e5551",
    ),
    ("uniform (-b, b)", "f64", "4c743fd216bfd9532ff60fe627d8d3fffee5cb6b29e91a7a024a3cd7e048002c"),
    (
        "uniform [low, high)",
        "f32",
        "8ca0fa5e432cae11c5f68ce91e755de4b8bf1ad7725a2f91a3a8827ac791c0b6",
    ),
    (
        "uniform [low, high)",
        "bf16",
        "880b65ab03dbeec2d92ac1f42b706cff488d3cee2a3494f5f633c54187a9097f",
    ),
    (
        "uniform [low, high)",
        "f16",
        "a1f633b907db4b13c669ff72fa39ff2728df99dd9d5fa2efdf108d4e6430dbc6",
    ),
    (
        "uniform [low, high)",
        "f8_e4m3",
        "312557cd915bef3a9094aa5e383fd3a8234d8e4fe0c79bb82e3ff505cca1ad21",
    ),
    (
        "uniform [low, high)",
        "f8_e5m2",
        "b5febe111166d8ad9af94fda4b9fe3051491f35b97bebceae24cfc0cd421c33a",
    ),
    (
        "uniform [low, high)",
        "f64",
        "a9e5fd1fbe6dca0dd970e4355ad4728651089f0043386afbbc8d813ecca94c64",
    ),
    ("normal", "f32", "46c06c3be399b393bb3d6b15cf302321759b7a94b02b462cc885cad89a42aba8"),
    ("normal", "bf16", "f65b5077adbb8fbefdb0177482fdf0706d85f7c33a8559f20b70b055c5fe7baf"),
    ("normal", "f16", "9bedcb1c47d26da992f6c39d4a57b8bd8d10ef9bdaf049436b4a7d2710cc339a"),
    ("normal", "f8_e4m3", "82d8a5a487e982e32b4146bff802e3081be4f1e149dab18018c6a5d98102c805"),
    ("normal", "f8_e5m2", "514a0551892bbcbfefe94fc78dffbc0754cdf98e5c842b6e92e781bd0379e24f"),
    ("normal", "f64", "631a7a68c2c400d1f13ef6032e077952b0dc708df0b073f7e5530dc930473696"),
    ("normal with mean", "f32", "5d75fa720e224229cb7326e7f7ab46a6719d825a828d8c2fed8c743050e257f6"),
    (
        "normal with mean",
        "bf16",
        "cdabd4ee06147102821fdc2c39ff4643b61529bedd2b52cd57f8b41082ac2870",
    ),
    ("normal with mean", "f16", "e0abdf997f4cf98697e55117d56501a74baea96c51729c88c38e5367e36ee500"),
    (
        "normal with mean",
        "f8_e4m3",
        "58883a538317e6bf36135fe2a91d7314f613895ddd012bf6efccd8939847d9d7",
    ),
    (
        "normal with mean",
        "f8_e5m2",
        "583143ce400c54eabed173e4b26a4668a27d68fc1ec9d150bd89ccaf92166559",
    ),
    ("normal with mean", "f64", "a042e80468edf62c113da728aa8742e01f70bafc5f85cf1a526cbc56b3e93d27"),
    ("truncated normal", "f32", "4f1c5eea98b9982b342955f761a04cff73534309a9707c559230b93fd746f44a"),
    (
        "truncated normal",
        "bf16",
        "95b29a129e60b33c2f3d87d817dcf7d69197354c4c510151ad5facdd4b3e5d0d",
    ),
    ("truncated normal", "f16", "c880107e5076a8ef97155346c70d89311a00dc990db5eb0a48d481cb231f9afb"),
    (
        "truncated normal",
        "f8_e4m3",
        "d5371bf9878c409f903d05e6339614864a9b63b31ec9c891565a35df61a391d2",
    ),
    (
        "truncated normal",
        "f8_e5m2",
        "7a63ace43a94f4743f7b3daf5b533fa2e3be438fd2f750ae06833c2fe3042f57",
    ),
    ("truncated normal", "f64", "9d194422a08e8fdf7de1ad62f22aaba9ea6212d866ea5881d5f6c5a51ff7bcda"),
    (
        "truncated with mean",
        "f32",
        "4486ce9c1e145faa74fbde273a8f777cac3da05909a1c1349b9eeeeb8e2c2cb2",
    ),
    (
        "truncated with mean",
        "bf16",
        "4ca96a779fc3d69d56bba619da175342d31823456811022cc7f0d735e238b744",
    ),
    (
        "truncated with mean",
        "f16",
        "9484fb66f9576215d4129b2e094bf190e2e47cf3cb4c5437e8fa97271cb650fe",
    ),
    (
        "truncated with mean",
        "f8_e4m3",
        "2486b2d0e05c63259cbc8b3f13af224b23cbe35ea59b0e077fe521bc0b67ec10",
    ),
    (
        "truncated with mean",
        "f8_e5m2",
        "2081709f07922c3851bd0068ca20fa2c47233a433f57b9cc2807d35d79047ce8",
    ),
    (
        "truncated with mean",
        "f64",
        "8af0cab44fbd544a03c047eccb37296b0322fc75f1d293e282f82f9564852952",
    ),
    ("constant", "f32", "6b0b5b2a109e5366b05de9eb57c9b9241276a7e885f2697db76ea4002c96685d"),
    ("constant", "bf16", "11724da80c0dad7e8181b0a3e009fa026d26a485bf13f323bb490cf5f573ea69"),
    ("constant", "f16", "d8c5adf569334de29cf078576da5ae1ef43567e66a359e88a369c1ded094cd98"),
    ("constant", "f8_e4m3", "ac5f57d984b20f78b36a294e26cc99512a1196eb96e4c30d7cec153813e93e1b"),
    ("constant", "f8_e5m2", "b007fe445ff5b583c095c4688c75d8afef66d4c93eb6aeebcea0942e670e1cd3"),
    ("constant", "f64", "41031316ddac45aebb7e283f4b251c223c31a7c8ef7b5cca586de417a8d347a4"),
];

#[test]
fn golden_digests_do_not_move() {
    let stream = Stream::named(7, "golden");
    let mut found = Vec::new();
    for (name, distribution, dtype) in fanin::verify::cases() {
        let mut bytes = vec![0; (1 << 16) * dtype.size()];
        distribution.draw(&stream, dtype, (1 << 34) - (1 << 15), &mut bytes).unwrap();
        let digest: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        found.push((name, dtype.name(), digest));
    }
    let found: Vec<(&str, &str, &str)> =
        found.iter().map(|(name, dtype, digest)| (*name, *dtype, digest.as_str())).collect();
    assert_eq!(found, GOLDEN);
}

#[test]
fn constants_come_in_every_dtype_that_holds_them() {
    for (dtype, value, bytes) in [
        (Dtype::F32, 0.1, 0.1f32.to_le_bytes().to_vec()),
        (Dtype::F64, 0.1, 0.1f64.to_le_bytes().to_vec()),
        (Dtype::Bf16, 1.0, vec![0x80, 0x3f]),
        (Dtype::F16, 1.0, vec![0x00, 0x3c]),
        (Dtype::F8E4M3, -1.0, vec![0xB8]),
        (Dtype::F8E4M3, 464.0, vec![0x7E]),
        (Dtype::F8E5M2, 57_344.0, vec![0x7B]),
        // The f32 nearest to it is.
        (Dtype::F8E4M3, 464.000_001, vec![0x7E]),
        (Dtype::I64, -2.0, (-2i64).to_le_bytes().to_vec()),
        (Dtype::U8, 255.0, vec![255]),
        (Dtype::I8, -128.0, vec![128]),
        (Dtype::Bool, 1.0, vec![1]),
        (Dtype::I16, -1.0, vec![255, 255]),
        (Dtype::U64, 4.0, 4u64.to_le_bytes().to_vec()),
    ] {
        assert_eq!(dtype.constant(value).unwrap(), bytes, "{dtype}");
    }
    for (dtype, value) in [
        (Dtype::F32, f64::NAN),
        (Dtype::F32, 1e39),
        (Dtype::F16, 65_520.0),
        // The f32 nearest to it is 65,520.
        (Dtype::F16, 65_519.999),
        // Of f32 the one below infinity, but of bf16 that is rounded to it.
        (Dtype::Bf16, 3.4e38),
        (Dtype::F8E4M3, 465.0),
        (Dtype::F8E4M3, f64::NAN),
        (Dtype::F8E5M2, -61_440.0),
        (Dtype::F64, f64::INFINITY),
        (Dtype::U8, 256.0),
        (Dtype::U8, -1.0),
        (Dtype::I32, 0.5),
        (Dtype::Bool, 2.0),
        (Dtype::I64, 2f64.powi(63)),
    ] {
        let error = dtype.constant(value).unwrap_err().to_string();
        assert!(error.contains("constant: got"), "{error}");
    }
}

#[test]
fn parameters_outside_the_contract_are_refused_by_name() {
    for (distribution, part) in [
        (Distribution::normal(0.0), "std: got 0"),
        (Distribution::normal(-0.1), "std: got -0.1"),
        (Distribution::normal(f64::NAN), "std: got NaN"),
        (Distribution::normal(f64::INFINITY), "std: got inf"),
        // Products of these could be subnormal, which devices may flush; or overflow.
        (Distribution::normal(1e-33), "std: got"),
        (Distribution::normal(1e38), "std: got"),
        (Distribution::symmetric(1e-32), "bound: got"),
        (Distribution::symmetric(0.0), "low < high"),
        (Distribution::Uniform { low: 1.0, high: 1.0 }, "low 1, high 1"),
        (Distribution::Uniform { low: 0.0, high: f64::INFINITY }, "high inf"),
        (Distribution::Uniform { low: -1e308, high: 1.7e308 }, "(high - low) / 2: got"),
        (Distribution::Uniform { low: 3e38, high: 3.5e38 }, "low: got"),
        (Distribution::Uniform { low: -3.5e38, high: 0.0 }, "(high + low) / 2: got"),
        (Distribution::Normal { mean: 1e-40, std: 1.0 }, "mean: got"),
        (Distribution::Normal { mean: f64::NAN, std: 1.0 }, "mean: got NaN"),
        (Distribution::truncated_normal(1.0, 0.0), "cut: got 0"),
        (Distribution::truncated_normal(1.0, f64::NAN), "cut: got NaN"),
        (Distribution::Constant { value: f64::INFINITY }, "constant: got inf"),
    ] {
        let error = distribution.check().unwrap_err();
        assert!(error.to_string().contains(part) && error.is_usage(), "{error}");
    }
}

#[test]
fn expected_moments_are_the_textbooks() {
    let std = |distribution: Distribution| distribution.std();
    assert!((std(Distribution::symmetric(3f64.sqrt())) - 1.0).abs() < 1e-15);
    assert_eq!(std(Distribution::Normal { mean: 3.0, std: 0.5 }), 0.5);
    // scipy.stats.truncnorm(-2, 2).std()
    let cut = std(Distribution::truncated_normal(1.0, 2.0));
    assert!((cut - 0.879_625_661_034_239_8).abs() < 1e-14, "{cut}");
    assert_eq!(Distribution::Uniform { low: 1.0, high: 4.0 }.mean(), 2.5);
}
