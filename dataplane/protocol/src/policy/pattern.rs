//! Texts of a policy: literal ones, and those with the wildcards `*` (any run, `/` and nothing included) and `?` (one
//! character).
//!
//! Matching is linear: pieces between stars are found in turn by `memmem`. Only pieces with `?` are tried at every place,
//! and how many bytes of those a policy may have is bounded.

use memchr::memmem;

use super::malformed::Malformed;

/// The language of a policy's `Version`: since 2012 `${` begins a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V2008,
    V2012,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Literal(Box<[u8]>),
}

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Token]>);

/// What a text is made of, once variables are replaced.
enum Piece {
    Plain(char),
    /// `*` or `?`, written as itself: a wildcard, where the element has them.
    Wild(char),
}

/// Reads a text. `${*}`, `${?}` and `${$}` mean the character itself; every other variable is refused, for it would be
/// compared as text and match nothing, which in a Deny means to open.
fn pieces(text: &str, dialect: Dialect, mut each: impl FnMut(Piece)) -> Result<(), Malformed> {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if dialect == Dialect::V2012 && rest.starts_with("${") {
            let escaped = match rest.as_bytes().get(2..4) {
                Some([escaped @ (b'*' | b'?' | b'$'), b'}']) => char::from(*escaped),
                _ => return Err(Malformed::new("Policy variables are not supported").quoting(text)),
            };
            each(Piece::Plain(escaped));
            rest = &rest[4..];
            continue;
        }
        each(if matches!(character, '*' | '?') { Piece::Wild(character) } else { Piece::Plain(character) });
        rest = &rest[character.len_utf8()..];
    }
    Ok(())
}

/// A text in which `*` and `?` are themselves.
pub(super) fn literal(text: &str, dialect: Dialect) -> Result<Box<str>, Malformed> {
    let mut out = String::with_capacity(text.len());
    pieces(text, dialect, |piece| match piece {
        Piece::Plain(character) | Piece::Wild(character) => out.push(character),
    })?;
    Ok(out.into())
}

impl Pattern {
    pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Self, Malformed> {
        let (mut tokens, mut run) = (Vec::new(), String::new());
        let end_run = |run: &mut String, tokens: &mut Vec<Token>| {
            if !run.is_empty() {
                tokens.push(Token::Literal(std::mem::take(run).into_bytes().into()));
            }
        };
        pieces(text, dialect, |piece| match piece {
            Piece::Plain(character) => run.push(character),
            Piece::Wild(wildcard) => {
                end_run(&mut run, &mut tokens);
                // Two stars mean no more than one.
                match wildcard {
                    '?' => tokens.push(Token::One),
                    _ if tokens.last() == Some(&Token::Any) => {}
                    _ => tokens.push(Token::Any),
                }
            }
        })?;
        end_run(&mut run, &mut tokens);
        Ok(Self(tokens.into()))
    }

    /// Whether only one text matches.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|token| matches!(token, Token::Literal(_)))
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut star = None;
        loop {
            let next = match self.0.get(token) {
                None if at == text.len() => return true,
                Some(Token::Any) => {
                    star = Some((token + 1, at));
                    Some(at)
                }
                Some(Token::One) => character(text, at),
                Some(Token::Literal(literal)) => text[at..].starts_with(literal).then(|| at + literal.len()),
                None => None,
            };
            if let Some(next) = next {
                (token, at) = (token + 1, next);
                continue;
            }
            // What follows the last star does not fit here: let the star take more. Earlier stars need not be tried
            // again, for what they took is the least they can.
            let Some((after, from)) = star else { return false };
            let Some(found) = self.later(after, text, from) else { return false };
            star = Some((after, found));
            (token, at) = (after, found);
        }
    }

    /// The next place behind `from` where the token at `after`, which follows a star, can begin.
    fn later(&self, after: usize, text: &[u8], from: usize) -> Option<usize> {
        let start = character(text, from)?;
        match self.0.get(after) {
            Some(Token::Literal(last)) if after + 1 == self.0.len() => {
                let at = text.len().checked_sub(last.len())?;
                (at >= start && text.ends_with(last)).then_some(at)
            }
            Some(Token::Literal(literal)) => memmem::find(&text[start..], literal).map(|at| start + at),
            // A star at the end has matched before; `?` fits wherever a character is.
            _ => Some(start),
        }
    }

    /// Whether some text that begins with `prefix` and is longer matches.
    pub(super) fn matches_beyond(&self, prefix: &[u8]) -> bool {
        beyond(&self.0, prefix)
    }

    /// Whether every text that begins with `prefix` and is longer matches: a star at the end, and what stands before it
    /// fits the prefix or a beginning of it. (`prefix?*` is the same in other words and not seen.)
    pub(super) fn matches_all_beyond(&self, prefix: &[u8]) -> bool {
        let Some((Token::Any, before)) = self.0.split_last() else { return false };
        let before = Self(before.into());
        (0..=prefix.len()).any(|end| before.matches(&prefix[..end]))
    }

    /// Bytes that [`Pattern::matches`] may have to compare at every place of a text.
    pub(super) fn search_bytes(&self) -> usize {
        let pieces = self.0.split(|token| *token == Token::Any).skip(1);
        let searched = pieces.filter(|piece| piece.contains(&Token::One));
        searched
            .flatten()
            .map(|token| if let Token::Literal(literal) = token { literal.len() } else { 1 })
            .sum()
    }
}

/// The end of the character that begins at `at`. Never skips a byte that could begin one: a Referer that is not UTF-8
/// must not hide what stands behind its odd bytes.
fn character(text: &[u8], at: usize) -> Option<usize> {
    let more = match text.get(at)? {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xff => 3,
        _ => 0,
    };
    let continuations =
        text[at + 1..].iter().take(more).take_while(|byte| matches!(byte, 0x80..=0xbf)).count();
    Some(at + 1 + continuations)
}

fn beyond(tokens: &[Token], prefix: &[u8]) -> bool {
    let Some(first) = tokens.first() else { return false };
    if prefix.is_empty() {
        return true;
    }
    match first {
        // It can take the prefix and more, and what follows it then only makes the text longer.
        Token::Any => true,
        Token::One => character(prefix, 0).is_some_and(|end| beyond(&tokens[1..], &prefix[end..])),
        Token::Literal(literal) if literal.len() > prefix.len() => literal.starts_with(prefix),
        Token::Literal(literal) => {
            prefix.starts_with(literal) && beyond(&tokens[1..], &prefix[literal.len()..])
        }
    }
}
