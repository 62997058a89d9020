//! Which control plane is tried next: the one that another named as the leader, else each in turn.
//!
//! Who follows can only say who led when it last looked, so a leader that has just failed us would be named again and again,
//! and each try of it costs a deadline. What failed is therefore avoided for a while, as long as there is another. A connection
//! that broke is no failure of who leads: it is made again first.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::limits::LINK_AVOID;

pub(super) struct Turns {
    urls: Vec<String>,
    turn: usize,
    hint: Option<String>,
    /// When it last could not be used.
    failed: HashMap<String, Instant>,
    /// When a session with it last broke off.
    broke_off: HashMap<String, Instant>,
}

impl Turns {
    /// `urls` are those of the configuration, at least one.
    pub(super) fn new(urls: Vec<String>) -> Self {
        assert!(!urls.is_empty(), "the configuration names a control plane");
        Self { urls, turn: 0, hint: None, failed: HashMap::new(), broke_off: HashMap::new() }
    }

    /// The next one.
    pub(super) fn next(&mut self, now: Instant) -> String {
        self.failed.retain(|_, at| now < *at + LINK_AVOID);
        if let Some(hint) = self.hint.take().filter(|hint| !self.failed.contains_key(hint)) {
            return hint;
        }
        let count = self.urls.len();
        let fit = (0..count).find(|step| !self.failed.contains_key(&self.urls[(self.turn + step) % count]));
        let at = (self.turn + fit.unwrap_or(0)) % count;
        self.turn = at + 1;
        self.urls[at].clone()
    }

    /// It said that another leads; an empty name: it does not know.
    pub(super) fn turned_away(&mut self, leader: &str) {
        self.hint = Some(leader.to_owned()).filter(|leader| !leader.is_empty());
    }

    /// The connection of a session with it broke: it is tried once more, unless that has happened within [`LINK_AVOID`].
    pub(super) fn broke_off(&mut self, url: &str, now: Instant) {
        let before = self.broke_off.insert(url.to_owned(), now);
        if before.is_some_and(|at| now < at + LINK_AVOID) {
            self.failed(url, now);
        } else {
            self.hint = Some(url.to_owned());
        }
    }

    /// It could not be reached, or was not heard any more.
    pub(super) fn failed(&mut self, url: &str, now: Instant) {
        self.failed.insert(url.to_owned(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use crate::limits::LINK_AVOID;
    use tokio::time::Instant;

    #[test]
    fn each_gets_its_turn() {
        let (mut turns, now) = (Turns::new(vec!["a".into(), "b".into()]), Instant::now());
        assert_eq!([turns.next(now), turns.next(now), turns.next(now)], ["a", "b", "a"]);
    }

    #[test]
    fn the_leader_that_another_names_comes_next_unless_it_has_just_failed() {
        let (mut turns, now) = (Turns::new(vec!["a".into(), "b".into(), "c".into()]), Instant::now());
        assert_eq!(turns.next(now), "a");
        turns.turned_away("c");
        assert_eq!(turns.next(now), "c");
        turns.failed("c", now);
        assert_eq!(turns.next(now), "b");
        turns.turned_away("c");
        assert_eq!(turns.next(now), "a", "c is left out, whoever names it");
        turns.turned_away("c");
        assert_eq!(turns.next(now + LINK_AVOID), "c", "until a while has passed");
    }

    #[test]
    fn a_broken_connection_is_made_again_once() {
        let (mut turns, now) = (Turns::new(vec!["a".into(), "b".into()]), Instant::now());
        assert_eq!(turns.next(now), "a");
        turns.broke_off("a", now);
        assert_eq!(turns.next(now), "a", "it may have been the wire");
        turns.broke_off("a", now);
        assert_eq!(turns.next(now), "b");
        turns.turned_away("a");
        assert_eq!(turns.next(now), "b", "a is avoided now");
        turns.broke_off("a", now + LINK_AVOID);
        assert_eq!(turns.next(now + LINK_AVOID), "a");
    }

    #[test]
    fn a_lone_control_plane_is_tried_whatever_it_did() {
        let (mut turns, now) = (Turns::new(vec!["a".into()]), Instant::now());
        assert_eq!(turns.next(now), "a");
        turns.failed("a", now);
        turns.turned_away("a");
        assert_eq!(turns.next(now), "a");
    }
}
