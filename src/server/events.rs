//! The last requests of the server, for the page: a ring in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::Exchange;

/// Most requests that are kept.
const MAX_EVENTS: usize = 200;
/// Longest path that is kept.
const MAX_PATH_CHARACTERS: usize = 200;

/// The requests since the server began.
pub(super) struct Events {
    begin: Instant,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    next: u64,
    events: VecDeque<Event>,
}

/// A request that was answered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    /// Its number, from 0.
    id: u64,
    /// When it was answered, since the server began.
    milliseconds: u128,
    method: String,
    path: String,
    status: u16,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), ring: Mutex::default() }
    }

    /// Adds one; the oldest makes room.
    pub(super) fn add(&self, exchange: &Exchange) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Event {
            id: ring.next,
            milliseconds: self.begin.elapsed().as_millis(),
            method: exchange.method.chars().take(MAX_PATH_CHARACTERS).collect(),
            path: exchange.path.chars().take(MAX_PATH_CHARACTERS).collect(),
            status: exchange.status,
        };
        ring.next = ring.next.saturating_add(1);
        ring.events.push_back(event);
        if ring.events.len() > MAX_EVENTS {
            ring.events.pop_front();
        }
    }

    /// Those with this number and later ones, as far as they are kept.
    pub(super) fn from(&self, first: u64) -> Vec<Event> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.events.iter().filter(|event| event.id >= first).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_requests_are_kept_and_no_more() {
        let events = Events::new();
        for number in 0..MAX_EVENTS + 5 {
            let path = "x".repeat(number * 10);
            events.add(&Exchange { method: "GET".into(), path, status: 200 });
        }
        let kept = events.from(0);
        assert_eq!((kept.len(), kept[0].id), (MAX_EVENTS, 5));
        assert!(kept.iter().all(|event| event.path.len() <= MAX_PATH_CHARACTERS));
        assert_eq!(events.from(204).len(), 1);
    }
}
