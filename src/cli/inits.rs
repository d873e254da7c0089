//! Several initializers in one argument.

use std::collections::HashSet;

use fanin::init::Init;
use fanin::{Error, Result};

/// `he_normal,uniform:-0.1,0.1,zeros`: a part that does not begin with a letter, or is a parameter
/// with a name, belongs to the initializer before it.
pub fn parse_inits(text: &str) -> Result<Vec<(String, Init)>> {
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let named = part.find('=').is_some_and(|at| !part[..at].contains(':'));
        let begins = part.starts_with(|c: char| c.is_ascii_alphabetic());
        match parts.last_mut() {
            Some(last) if !begins || named => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let mut seen = HashSet::new();
    if let Some(twice) = parts.iter().find(|part| !seen.insert(part.as_str())) {
        return Err(Error::Invalid {
            what: "--init".into(),
            given: format!("{twice} twice"),
            needed: "each initializer once".into(),
        });
    }
    parts.into_iter().map(|part| Ok((part.clone(), part.parse()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initializers_keep_their_commas() {
        let names = |text: &str| -> Vec<String> {
            parse_inits(text).unwrap().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names("he_normal,xavier_normal,zeros"), ["he_normal", "xavier_normal", "zeros"]);
        assert_eq!(
            names("uniform:-0.1,0.1,normal:std=0.1,mean=0.5,zeros"),
            ["uniform:-0.1,0.1", "normal:std=0.1,mean=0.5", "zeros"]
        );
        assert!(parse_inits("zeros,zeros").is_err());
        assert!(parse_inits("").is_err());
    }
}
