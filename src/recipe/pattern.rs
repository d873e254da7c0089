//! Patterns: many names in one (`h.{0..12}.attn.{q,k,v}`), and globs (`*.bias`).

/// The most names that one recipe may have.
pub(super) const MAX_NAMES: u64 = 1_000_000;

/// A stretch of a pattern.
enum Part<'a> {
    Literal(&'a str),
    /// `{0..12}`: half-open, as in Rust.
    Range(u64, u64),
    /// `{q,k,v}`.
    Choice(Vec<&'a str>),
}

impl Part<'_> {
    fn count(&self) -> u64 {
        match self {
            Part::Literal(_) => 1,
            Part::Range(start, end) => end - start,
            Part::Choice(choices) => choices.len() as u64,
        }
    }
}

/// Every name that `pattern` stands for, the leftmost braces varying slowest; or what is wrong
/// with it, more than `limit` names included.
pub(super) fn expand(pattern: &str, limit: u64) -> Result<Vec<String>, String> {
    let parts = parse(pattern)?;
    // Counted before any is made: `{0..18446744073709551615}` is a mistake, not a wait.
    let count = parts.iter().try_fold(1u64, |product, part| product.checked_mul(part.count()));
    if count.is_none_or(|count| count > limit) {
        let given = count.map_or("more than 2^64".into(), |count| count.to_string());
        return Err(format!(
            "`{pattern}` stands for {given} names; needed at most {limit}, as no recipe has more than \
             {MAX_NAMES}"
        ));
    }
    Ok(parts.iter().fold(vec![String::new()], |names, part| match part {
        Part::Literal(text) => names.into_iter().map(|name| name + text).collect(),
        Part::Range(start, end) => names
            .iter()
            .flat_map(|name| (*start..*end).map(move |number| format!("{name}{number}")))
            .collect(),
        Part::Choice(choices) => names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{choice}")))
            .collect(),
    }))
}

fn parse(pattern: &str) -> Result<Vec<Part<'_>>, String> {
    let unbalanced = || format!("`{pattern}`: unbalanced braces; needed `{{` and `}}` in pairs");
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, braces) = rest.split_at(at);
        let inside = braces.strip_prefix('{').ok_or_else(unbalanced)?;
        let (inside, after) = inside.split_once('}').ok_or_else(unbalanced)?;
        if inside.contains('{') {
            return Err(format!("`{pattern}`: braces in braces; needed them side by side"));
        }
        parts.push(Part::Literal(literal));
        parts.push(braced(pattern, inside)?);
        rest = after;
    }
    parts.push(Part::Literal(rest));
    Ok(parts)
}

/// What stands between two braces.
fn braced<'a>(pattern: &str, inside: &'a str) -> Result<Part<'a>, String> {
    if let Some((start, end)) = inside.split_once("..")
        && let (Some(start), Some(end)) = (number(start), number(end))
    {
        if start < end {
            return Ok(Part::Range(start, end));
        }
        return Err(format!(
            "`{pattern}`: the range {{{inside}}} is empty; needed a start below the end, which is \
             not counted: {{0..3}} is 0, 1, 2"
        ));
    }
    if inside.contains(',') && !inside.contains("..") {
        return Ok(Part::Choice(inside.split(',').collect()));
    }
    Err(format!(
        "`{pattern}`: {{{inside}}} is neither a range of numbers, as {{0..12}}, nor alternatives, \
         as {{q,k,v}}"
    ))
}

/// A number as names have them: digits, without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (plain && !padded).then(|| text.parse().ok()).flatten()
}

/// Whether all of `name` fits `glob`: `*` is any run of characters, dots too, `?` is one character.
///
/// Written here because the crates for globs are about paths: their `*` stops at separators, or
/// they give `[` or `\` a meaning, and names of tensors may hold either.
pub(super) fn matches(glob: &str, name: &str) -> bool {
    let (mut glob, mut name) = (glob.chars(), name.chars());
    // What follows the last star, and what it has not taken yet.
    let mut star = None;
    loop {
        let (mut after, mut left) = (glob.clone(), name.clone());
        match (after.next(), left.next()) {
            (Some('*'), _) => {
                star = Some((after.clone(), name.clone()));
                glob = after;
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                (glob, name) = (after, left);
            }
            _ => {
                // The star takes one character more, and what follows it is tried again.
                let Some((after, left)) = &mut star else { return false };
                if left.next().is_none() {
                    return false;
                }
                (glob, name) = (after.clone(), left.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, by recursion.
    fn plainly(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], _) => name.is_empty(),
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| plainly(rest, &name[taken..])),
            (['?', rest @ ..], [_, left @ ..]) => plainly(rest, left),
            ([wanted, rest @ ..], [found, left @ ..]) => wanted == found && plainly(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_are_as_defined(glob in "[ab*?é]{0,8}", name in "[abé]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&glob, &name), plainly(&chars(&glob), &chars(&name)));
        }

        #[test]
        fn expansion_never_panics(pattern in "[a{},.0-9]{0,24}") {
            let _ = expand(&pattern, 1000);
        }
    }

    #[test]
    fn the_leftmost_braces_vary_slowest() {
        let names = expand("h.{9..11}.{q,k}", 4).unwrap();
        assert_eq!(names, ["h.9.q", "h.9.k", "h.10.q", "h.10.k"]);
        assert!(expand("h.{9..11}.{q,k}", 3).is_err());
    }
}
