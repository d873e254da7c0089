//! The recipes that come with the crate.

use super::Recipe;
use crate::{Error, Result};

static BUILTINS: [(&str, &str); 4] = [
    ("mlp", include_str!("builtin/mlp.toml")),
    ("gpt2", include_str!("builtin/gpt2.toml")),
    ("resnet50", include_str!("builtin/resnet50.toml")),
    ("llama-3.2-1b", include_str!("builtin/llama-3.2-1b.toml")),
];

impl Recipe {
    /// The built-in recipe of this name.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is none.
    pub fn builtin(name: &str) -> Result<Recipe> {
        let (name, text) = Recipe::builtins()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| Error::unknown("recipe", name, BUILTINS.map(|(known, _)| known)))?;
        Recipe::parse(text, &format!("<built-in {name}>"))
    }

    /// Every built-in recipe: its name, and its text in TOML.
    pub fn builtins() -> impl Iterator<Item = (&'static str, &'static str)> {
        BUILTINS.into_iter()
    }
}
