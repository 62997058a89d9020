//! Texts by edit: one of the corpus with pieces taken out, put in, said twice or a thousand times.

use super::dice::Dice;

/// The longest text: twice the longest head, so that every limit can be met.
const BYTES_MAX: usize = 40 * 1024;

/// A grower for whatever is short and flat: a text of the corpus, edited.
pub(crate) fn grow(words: &'static [&'static str]) -> impl Fn(&mut Dice<'_>, &[Vec<u8>]) -> Vec<u8> {
    move |dice, seeds| {
        let mut text = dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
        edit(dice, &mut text, words);
        text
    }
}

/// Up to six edits.
pub(crate) fn edit(dice: &mut Dice<'_>, text: &mut Vec<u8>, words: &[&str]) {
    for _ in 0..dice.below(7) {
        edit_once(dice, text, words);
        text.truncate(BYTES_MAX);
    }
}

fn edit_once(dice: &mut Dice<'_>, text: &mut Vec<u8>, words: &[&str]) {
    let start = place(dice, text);
    let span = start..(start + dice.below(24)).min(text.len());
    match dice.below(8) {
        0 => insert(text, start, dice.pick(words).as_bytes()),
        1 => {
            let word = dice.pick(words);
            drop(text.splice(span, word.bytes()));
        }
        2 => drop(text.drain(span)),
        3 => {
            let piece = text[span].to_vec();
            let at = place(dice, text);
            insert(text, at, &piece);
        }
        4 => {
            let count = 1 + dice.below(3);
            let bytes = dice.bytes(count).to_vec();
            insert(text, start, &bytes);
        }
        5 => text.truncate(start),
        6 => {
            let piece = text[span].repeat(1 << dice.below(13));
            insert(text, start, &piece[..piece.len().min(BYTES_MAX)]);
        }
        _ => {
            if let Some(byte) = text.get_mut(start) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}

/// Anywhere, or where a word of the grammar begins.
fn place(dice: &mut Dice<'_>, text: &[u8]) -> usize {
    let at = dice.below(text.len() + 1);
    if dice.once_in(2) {
        return at;
    }
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric();
    text[at..].iter().position(ends).map_or(text.len(), |skipped| at + skipped)
}

fn insert(text: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(text.splice(at..at, piece.iter().copied()));
}
