//! Any operation on any state against its definition on the whole list of versions.

use holdfast_common::wire::mutation::Op;

use super::{STATES, after, copy_of, delete, delete_version, freed, is_marker, is_null, name_of, put, run};
use crate::store::bucket::Versioning::{self, Enabled, Never, Suspended};

/// What each operation does, on the whole list: the definition.
fn model(state: Versioning, op: &Op, before: &str) -> String {
    let without_null = || before.chars().filter(|letter| !is_null(*letter)).collect::<String>();
    let rest = if state == Enabled { before.to_owned() } else { without_null() };
    match op {
        Op::Delete(delete) if !delete.version_id.is_empty() => {
            before.chars().filter(|letter| name_of(*letter) != delete.version_id).collect()
        }
        Op::Delete(_) => match state {
            Never => rest,
            Enabled => format!("9{rest}"),
            Suspended => format!("8{rest}"),
        },
        _ if state == Enabled => format!("z{rest}"),
        _ => format!("Z{rest}"),
    }
}

#[test]
fn any_operation_on_any_state_is_what_the_model_says() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("small")
    };
    for _ in 0..20_000 {
        let state = STATES[random(3)];
        let mut letters: Vec<char> =
            if state == Never { vec!['N'] } else { "abcdef12345N".chars().collect() };
        if random(2) == 0 && state != Never {
            letters.retain(|letter| *letter != 'N');
            letters.push('0');
        }
        let mut before = String::new();
        for _ in 0..random(letters.len() + 1) {
            before.push(letters.swap_remove(random(letters.len())));
        }
        let any = "abcdef12345N0".chars().nth(random(13)).expect("in range");
        let op = match random(4) {
            0 => put(),
            1 => delete(),
            2 if before.contains(any) && !is_marker(any) => copy_of(any),
            _ => delete_version(any),
        };
        let (_, writes) = run(state, op.clone(), &before).expect("committed");
        let expected = model(state, &op, &before);
        assert_eq!(after(&before, &writes), expected, "{state:?} {op:?} on {before:?}");
        // What was an object and is none any more has lost its reference, unless the copy that replaced it has it now.
        let gone: String =
            before.chars().filter(|letter| !is_marker(*letter) && !expected.contains(*letter)).collect();
        let kept: String = if let Op::Copy(_) = op { any.to_string() } else { String::new() };
        assert_eq!(freed(&writes), gone.replace(kept.as_str(), ""), "{state:?} {op:?} on {before:?}");
    }
}
