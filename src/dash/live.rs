//! Segments of a live presentation: as many as are there — ISO/IEC 23009-1 §5.3.9.5.3, §A.3.

use super::addressing::{MAX_SEGMENTS, Reference};
use crate::base::env::Store;
use crate::base::{Error, Result};

/// Most segments at the beginning that may have left the time shift buffer: five hours of 2 s.
const MAX_GONE: u64 = 10_000;
/// Most segments that may be missing between others, as after a failure of the encoder: so many are looked for
/// behind the last one.
const MAX_MISSING: u64 = 100;

/// Which of these files is the last one that is there: the number of segments may be computed too high, §5.3.9.5.
///
/// # Errors
/// When that cannot be found out.
pub fn last_there(store: &dyn Store, references: &[Reference]) -> Result<Option<usize>> {
    for (index, reference) in references.iter().enumerate().rev() {
        if store.exists(&reference.name)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// A presentation that goes on.
#[derive(Clone, Copy)]
pub(super) struct Live<'a> {
    pub(super) store: &'a dyn Store,
}

/// Segments whose number nothing bounds yet.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// The number of the first.
    pub(super) first: u64,
    /// `@endNumber`.
    pub(super) last: Option<u64>,
    /// The time of the first, when there is a timeline.
    pub(super) time: Option<u64>,
    /// How long each one is.
    pub(super) duration: u64,
}

impl Live<'_> {
    /// The segments that are there now: those before the first one have left, those behind a long gap are not ready.
    pub(super) fn segments(
        self,
        open: Open,
        name: &mut dyn FnMut(u64, Option<u64>) -> Result<Reference>,
    ) -> Result<Vec<Reference>> {
        if open.duration == 0 {
            return Err(
                Error::input("segment duration 0, expected at least 1").clause("ISO/IEC 23009-1 §5.3.9.5")
            );
        }
        let mut found: Vec<Reference> = Vec::new();
        let (mut step, mut missing) = (0, 0);
        while step <= MAX_SEGMENTS {
            let number = open.first.checked_add(step);
            let Some(number) = number.filter(|number| open.last.is_none_or(|last| *number <= last)) else {
                break;
            };
            let elapsed = step.checked_mul(open.duration);
            let time = open.time.map(|time| elapsed.and_then(|elapsed| time.checked_add(elapsed)));
            let Ok(time) = time.map(|time| time.ok_or(())).transpose() else { break };
            let reference = name(number, time)?;
            // A template without a number has one segment; that is an error of its own.
            let is_last = found.last() == Some(&reference);
            if self.store.exists(&reference.name)? {
                found.push(reference);
                missing = 0;
            } else {
                missing += 1;
                if missing > if found.is_empty() { MAX_GONE } else { MAX_MISSING } {
                    break;
                }
            }
            if is_last {
                break;
            }
            step += 1;
        }
        if found.is_empty() {
            return Err(Error::input(format!("no segment is there from number {} on", open.first))
                .clause("ISO/IEC 23009-1 §5.3.9.5.3")
                .hint("set @startNumber to the first segment that is there"));
        }
        Ok(found)
    }
}
