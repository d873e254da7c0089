//! A config.json's fields, each with its type, and what is wrong with them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::random::Dtype;
use crate::{Error, Result};

/// The longest axis: then no product of two axes and a small number leaves 64 bits.
const MOST: u64 = i32::MAX as u64;

/// A config.json that is being read.
pub(super) struct Config<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    /// Other names of fields, and the fields: transformers' `attribute_map`.
    aliases: &'static [(&'static str, &'static str)],
    /// Sizes of fields that need not be there.
    defaults: &'static [(&'static str, u64)],
    /// The fields that were asked for.
    asked: RefCell<BTreeSet<&'static str>>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Config<'a> {
    pub(super) fn new(
        path: &str,
        fields: &'a Map<String, Value>,
        aliases: &'static [(&'static str, &'static str)],
    ) -> Config<'a> {
        let (asked, notes) = Default::default();
        Config { path: path.into(), fields, aliases, defaults: &[], asked, notes }
    }

    /// The config of a part of the model, and sizes that it need not have.
    pub(super) fn part(
        &self,
        name: &'static str,
        defaults: &'static [(&'static str, u64)],
    ) -> Result<Config<'a>> {
        match self.value(name)? {
            Some(Value::Object(fields)) => {
                Ok(Config { defaults, ..Config::new(&self.place(name), fields, &[]) })
            }
            Some(other) => Err(self.wrong(name, other, "an object")),
            None => Err(self.missing(name, "an object: the config of a part of the model")),
        }
    }

    /// What is to be said to whoever gave the file.
    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    /// The place of a field in messages.
    fn place(&self, name: &str) -> String {
        format!("{}: {name}", self.path)
    }

    /// That a field's value is not what it is to be.
    pub(super) fn wrong(&self, name: &str, given: &Value, needed: impl Into<String>) -> Error {
        Error::invalid(self.place(name), given, needed)
    }

    fn missing(&self, name: &str, needed: &str) -> Error {
        // Of two slips, it may be another field: kv_lora_rank, q_lora_rank.
        let near = self.fields.keys().find(|given| near(given, name, 1));
        let near = near.map(|given| format!(" (nearest: `{given}`)")).unwrap_or_default();
        Error::invalid(self.place(name), format!("no such field{near}"), needed)
    }

    /// A field's value, be it under another name; none where it is null or not there.
    fn value(&self, name: &'static str) -> Result<Option<&'a Value>> {
        self.asked.borrow_mut().insert(name);
        let mut found = self.fields.get(name).filter(|value| !value.is_null());
        for (alias, _) in self.aliases.iter().filter(|(_, field)| *field == name) {
            self.asked.borrow_mut().insert(alias);
            let Some(other) = self.fields.get(*alias).filter(|value| !value.is_null()) else {
                continue;
            };
            match found {
                Some(own) if own != other => {
                    let needed = format!("the same as {alias}, its other name, which is {other}");
                    return Err(self.wrong(name, own, needed));
                }
                _ => found = Some(other),
            }
        }
        Ok(found)
    }

    fn whole(&self, name: &'static str, value: &Value, least: u64) -> Result<u64> {
        let number = value.as_u64().filter(|number| (least..=MOST).contains(number));
        number.ok_or_else(|| {
            self.wrong(name, value, format!("a whole number from {least} to {MOST}"))
        })
    }

    /// A size that has to be there.
    pub(super) fn size(&self, name: &'static str) -> Result<u64> {
        let Some(value) = self.value(name)? else {
            let default = self.defaults.iter().find(|(field, _)| *field == name);
            let missing = || self.missing(name, "a whole number above 0");
            return default.map(|(_, size)| *size).ok_or_else(missing);
        };
        self.whole(name, value, 1)
    }

    /// A size; none where it is null or not there.
    pub(super) fn optional_size(&self, name: &'static str) -> Result<Option<u64>> {
        self.value(name)?.map(|value| self.whole(name, value, 1)).transpose()
    }

    /// A size, or its default.
    pub(super) fn size_or(&self, name: &'static str, default: u64) -> Result<u64> {
        Ok(self.optional_size(name)?.unwrap_or(default))
    }

    /// As many as there are of something, which may be none; or the default.
    pub(super) fn count_or(&self, name: &'static str, default: u64) -> Result<u64> {
        Ok(self
            .value(name)?
            .map(|value| self.whole(name, value, 0))
            .transpose()?
            .unwrap_or(default))
    }

    /// Whether a field is there at all, be it null.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.asked.borrow_mut().insert(name);
        self.fields.contains_key(name)
    }

    /// One size, or as many of them as there are axes.
    pub(super) fn sizes<const N: usize>(&self, name: &'static str) -> Result<[u64; N]> {
        match self.value(name)? {
            Some(Value::Array(values)) if values.len() == N => {
                let mut sizes = [0; N];
                for (size, value) in sizes.iter_mut().zip(values) {
                    *size = self.whole(name, value, 1)?;
                }
                Ok(sizes)
            }
            Some(value @ Value::Array(_)) => {
                Err(self.wrong(name, value, format!("one whole number, or {N} of them")))
            }
            _ => self.size(name).map(|size| [size; N]),
        }
    }

    /// Whole numbers in a list, which may be empty or not there.
    pub(super) fn numbers(&self, name: &'static str) -> Result<Vec<u64>> {
        match self.value(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| self.whole(name, value, 0)).collect()
            }
            Some(other) => Err(self.wrong(name, other, "a list of whole numbers")),
        }
    }

    /// A value of any kind; none where it is null or not there.
    pub(super) fn any(&self, name: &'static str) -> Result<Option<&'a Value>> {
        self.value(name)
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool> {
        match self.value(name)? {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(name, other, "true or false")),
        }
    }

    /// That a flag is not set, of what is not known here.
    pub(super) fn refuse(&self, name: &'static str) -> Result<()> {
        match self.flag(name, false)? {
            false => Ok(()),
            true => Err(self.wrong(name, &true.into(), "false: what it adds is not known here")),
        }
    }

    /// A number of at least 0, or its default.
    pub(super) fn number(&self, name: &'static str, default: f64) -> Result<f64> {
        let Some(value) = self.value(name)? else { return Ok(default) };
        let number = value.as_f64().filter(|number| (0.0..=f64::from(f32::MAX)).contains(number));
        number.ok_or_else(|| self.wrong(name, value, "a number, and no negative one"))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a text")),
        }
    }

    /// A row of an embedding, from the end where it is negative, as PyTorch counts `padding_idx`; `null`
    /// is none, and the default holds where the field is not there.
    pub(super) fn row(
        &self,
        name: &'static str,
        default: Option<u64>,
        rows: u64,
    ) -> Result<Option<u64>> {
        let wrong = |value: &Value| {
            self.wrong(name, value, format!("null, or a row of the {rows} of the embedding"))
        };
        let number = match self.value(name)? {
            None if self.has(name) => return Ok(None),
            None => default.map(u64::cast_signed),
            Some(value) => Some(value.as_i64().ok_or_else(|| wrong(value))?),
        };
        let Some(number) = number else { return Ok(None) };
        let row = if number < 0 { number.saturating_add_unsigned(rows) } else { number };
        match u64::try_from(row) {
            Ok(row) if row < rows => Ok(Some(row)),
            _ => Err(wrong(&Value::from(number))),
        }
    }

    /// That one size is a multiple of another.
    pub(super) fn check_divides(&self, whole: (&str, u64), part: (&str, u64)) -> Result<()> {
        if whole.1.is_multiple_of(part.1) {
            return Ok(());
        }
        let needed = format!("a multiple of {}, which is {}", part.0, part.1);
        Err(self.wrong(whole.0, &Value::from(whole.1), needed))
    }

    /// The labels of a classifier: `id2label`'s, else `num_labels`, else 2.
    pub(super) fn labels(&self) -> Result<u64> {
        let number = self.optional_size("num_labels")?;
        let names = match self.value("id2label")? {
            None => None,
            Some(Value::Object(names)) if !names.is_empty() => Some(names.len() as u64),
            Some(other) => return Err(self.wrong("id2label", other, "an object of labels")),
        };
        match (names, number) {
            (Some(names), Some(number)) if names != number => {
                let needed = format!("as many as id2label names, which is {names}");
                Err(self.wrong("num_labels", &Value::from(number), needed))
            }
            (names, number) => Ok(names.or(number).unwrap_or(2)),
        }
    }

    /// `dtype`, or `torch_dtype` as it was called, or f32.
    pub(super) fn dtype(&self) -> Result<Dtype> {
        let (name, text) = match self.text("dtype")? {
            Some(text) => ("dtype", text),
            None => match self.text("torch_dtype")? {
                Some(text) => ("torch_dtype", text),
                None => return Ok(Dtype::F32),
            },
        };
        let known = [
            ("float32", Dtype::F32),
            ("bfloat16", Dtype::Bf16),
            ("float16", Dtype::F16),
            ("float64", Dtype::F64),
        ];
        let found = known.iter().find(|(name, _)| text.trim_start_matches("torch.") == *name);
        found.map(|(_, dtype)| *dtype).ok_or_else(|| {
            let names = known.map(|(name, _)| name).join(", ");
            self.wrong(name, &Value::from(text), format!("one of {names}"))
        })
    }

    /// That no field that was not asked for is one, misspelled, that was and is not there.
    pub(super) fn check_spelling(&self) -> Result<()> {
        let asked = self.asked.borrow();
        for given in self.fields.keys().filter(|given| !asked.contains(given.as_str())) {
            let meant =
                asked.iter().find(|name| !self.fields.contains_key(**name) && near(given, name, 2));
            if let Some(meant) = meant {
                let needed = format!("`{meant}`, or a name that is not so near it");
                return Err(Error::invalid(self.place(given), "a field of this name", needed));
            }
        }
        Ok(())
    }
}

/// Whether a name is so near another that it is taken for a slip, of so many letters at most.
fn near(given: &str, meant: &str, slips: usize) -> bool {
    // Where one is much longer, likeness takes time and memory by both lengths.
    given.len() <= meant.len() + slips
        && strsim::damerau_levenshtein(given, meant) <= slips
        && strsim::normalized_damerau_levenshtein(given, meant) > 0.8
}
