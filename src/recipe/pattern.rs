//! Patterns: many names in one (`h.{0..12}.attn.{q,k,v}`), and globs (`*.bias`).

/// The most names that one recipe may have.
pub(super) const MAX_NAMES: u64 = 1_000_000;

/// A stretch of a pattern.
enum Segment<'a> {
    Literal(&'a str),
    /// `{0..12}`: half-open, as in Rust.
    Range(u64, u64),
    /// `{q,k,v}`.
    Choice(Vec<&'a str>),
}

impl Segment<'_> {
    fn count(&self) -> u64 {
        match self {
            Segment::Literal(_) => 1,
            Segment::Range(start, end) => end - start,
            Segment::Choice(choices) => choices.len() as u64,
        }
    }

    /// Puts one of them, below `count`, at the end of a name.
    fn put(&self, index: u64, name: &mut String) {
        match self {
            Segment::Literal(text) => *name += text,
            Segment::Range(start, _) => *name += &(start + index).to_string(),
            Segment::Choice(choices) => *name += choices[index as usize],
        }
    }
}

/// Every name that `pattern` stands for, the leftmost braces varying slowest, each made as it is
/// asked for; or what is wrong with it, more than `limit` names included.
pub(super) fn expand(
    pattern: &str,
    limit: u64,
) -> Result<impl Iterator<Item = String> + '_, String> {
    let parts = parse(pattern)?;
    let count = parts.iter().try_fold(1u64, |product, part| product.checked_mul(part.count()));
    let Some(count) = count.filter(|count| *count <= limit) else {
        let given = count.map_or("more than 2^64".into(), |count| count.to_string());
        return Err(format!(
            "`{pattern}` stands for {given} names; needed at most {limit}, as no recipe has more than \
             {MAX_NAMES}"
        ));
    };
    Ok((0..count).map(move |index| {
        let (mut name, mut index, mut each) = (String::new(), index, count);
        for part in &parts {
            each /= part.count();
            part.put(index / each, &mut name);
            index %= each;
        }
        name
    }))
}

/// The stretches of a pattern, or what is wrong with it.
fn parse(pattern: &str) -> Result<Vec<Segment<'_>>, String> {
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
        parts.push(Segment::Literal(literal));
        parts.push(braced(pattern, inside)?);
        rest = after;
    }
    parts.push(Segment::Literal(rest));
    Ok(parts)
}

/// What stands between two braces.
fn braced<'a>(pattern: &str, inside: &'a str) -> Result<Segment<'a>, String> {
    if let Some((start, end)) = inside.split_once("..")
        && let (Some(start), Some(end)) = (number(start), number(end))
    {
        if start < end {
            return Ok(Segment::Range(start, end));
        }
        return Err(format!(
            "`{pattern}`: the range {{{inside}}} is empty; needed a start below the end, which is \
             not counted: {{0..3}} is 0, 1, 2"
        ));
    }
    if inside.contains(',') && !inside.contains("..") {
        return Ok(Segment::Choice(inside.split(',').collect()));
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

/// What a name may be: `*` is any run of characters, dots too, `?` is one character, and braces are as
/// in names.
///
/// Written here because the crates for globs are about paths: their `*` stops at separators, or
/// they give `[` or `\` a meaning, and names of tensors may hold either.
#[derive(Clone, Debug)]
pub(super) struct Glob(Vec<Token>);

#[derive(Clone, Debug)]
enum Token {
    Text(String),
    One,
    Run,
    Range(u64, u64),
    Choice(Vec<Vec<Token>>),
}

impl Glob {
    /// Reads a pattern, or says what is wrong with it.
    pub(super) fn parse(pattern: &str) -> Result<Glob, String> {
        let tokens = parse(pattern)?.into_iter().flat_map(|part| match part {
            Segment::Literal(text) => tokens(text),
            Segment::Range(start, end) => vec![Token::Range(start, end)],
            Segment::Choice(choices) => {
                vec![Token::Choice(choices.into_iter().map(tokens).collect())]
            }
        });
        Ok(Glob(tokens.collect()))
    }

    /// The one name that this stands for, where there is but one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Token::Text(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether all of `name` fits. `steps` counts what that took.
    pub(super) fn matches(&self, name: &str, steps: &mut u64) -> bool {
        *steps += 1;
        // Most names fail at an end of theirs, without a list.
        let begins =
            |token: &Token| !matches!(token, Token::Text(text) if !name.starts_with(text.as_str()));
        let ends =
            |token: &Token| !matches!(token, Token::Text(text) if !name.ends_with(text.as_str()));
        self.0.first().is_none_or(begins)
            && self.0.last().is_none_or(ends)
            && advance(&self.0, name, vec![0], steps).last() == Some(&name.len())
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for piece in text.split_inclusive(['*', '?']) {
        let (text, wild) = match piece.strip_suffix('*') {
            Some(text) => (text, Some(Token::Run)),
            None => match piece.strip_suffix('?') {
                Some(text) => (text, Some(Token::One)),
                None => (piece, None),
            },
        };
        tokens.extend((!text.is_empty()).then(|| Token::Text(text.into())));
        tokens.extend(wild);
    }
    tokens
}

/// Where in `name` the tokens may end that begin at any of the ascending places `at`, ascending.
///
/// All places at once, one token after another: no way is tried twice, so time is at most tokens times
/// letters.
fn advance(tokens: &[Token], name: &str, mut at: Vec<usize>, steps: &mut u64) -> Vec<usize> {
    for token in tokens {
        let Some(&first) = at.first() else { break };
        let each = if let Token::Text(text) = token { 1 + text.len() as u64 / 16 } else { 1 };
        *steps += each * at.len() as u64;
        at = match token {
            Token::Text(text) => at
                .into_iter()
                .filter(|at| name[*at..].starts_with(text.as_str()))
                .map(|at| at + text.len())
                .collect(),
            Token::One => {
                let next = |at: usize| Some(at + name[at..].chars().next()?.len_utf8());
                at.into_iter().filter_map(next).collect()
            }
            Token::Run => {
                *steps += (name.len() - first) as u64;
                let places = name[first..].char_indices().map(|(at, _)| first + at);
                places.chain([name.len()]).collect()
            }
            Token::Range(start, end) => ascending(
                at.iter().flat_map(|at| numbers(&name[*at..], *start, *end).map(move |n| at + n)),
            ),
            Token::Choice(choices) => ascending(
                choices.iter().flat_map(|choice| advance(choice, name, at.clone(), steps)),
            ),
        };
    }
    at
}

fn ascending(places: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut places: Vec<usize> = places.collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The lengths of the numbers at the start of `text` that are in `start..end`.
fn numbers(text: &str, start: u64, end: u64) -> impl Iterator<Item = usize> {
    // No number of 64 bits has more digits.
    let digits = text.bytes().take(20).take_while(u8::is_ascii_digit).count();
    (1..=digits).filter(move |&length| {
        number(&text[..length]).is_some_and(|number| (start..end).contains(&number))
    })
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

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name, &mut 0)
    }

    proptest! {
        #[test]
        fn globs_are_as_defined(glob in "[ab*?é]{0,8}", name in "[abé]{0,8}") {
            prop_assert_eq!(matches(&glob, &name), plainly(&chars(&glob), &chars(&name)));
        }

        /// A pattern fits what one of its expansions fits.
        #[test]
        fn globs_take_braces_as_names_do(
            glob in "([0*?é]|\\{[0é*]{0,2},[0?]?(,1)?\\}|\\{(0|8)\\.\\.1[0-3]\\}){0,4}",
            name in "[018é]{0,5}",
        ) {
            let mut expanded = expand(&glob, MAX_NAMES).unwrap();
            let fits = expanded.any(|glob| plainly(&chars(&glob), &chars(&name)));
            prop_assert_eq!(matches(&glob, &name), fits);
        }

        #[test]
        fn expansion_never_panics(pattern in "[a{},.0-9]{0,24}") {
            let _ = expand(&pattern, 1000).map(Iterator::count);
            let _ = Glob::parse(&pattern).map(|glob| glob.matches("a0.a1", &mut 0));
        }
    }

    #[test]
    fn the_leftmost_braces_vary_slowest() {
        let names: Vec<String> = expand("h.{9..11}.{q,k}", 4).unwrap().collect();
        assert_eq!(names, ["h.9.q", "h.9.k", "h.10.q", "h.10.k"]);
        assert!(expand("h.{9..11}.{q,k}", 3).is_err());
    }

    #[test]
    fn no_pattern_is_tried_along_many_ways() {
        let name = "a".repeat(1000);
        for pattern in
            ["*a".repeat(500) + "b*", "{a,aa}".repeat(500) + "b?", "{a*,*a}".repeat(50) + "b?"]
        {
            let mut steps = 0;
            assert!(!Glob::parse(&pattern).unwrap().matches(&name, &mut steps));
            assert!(steps < 10 * pattern.len() as u64 * name.len() as u64, "{steps}");
        }
    }
}
