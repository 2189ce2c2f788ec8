//! The environment of a job: everything it may ask of the outside world.

use crate::base::Result;
use crate::base::env::{Http, Store};
use crate::keys::KeyServer;

use super::identity::Summary;
use super::journal::Journal;
use super::rules::Job;

/// Finds the store of an input's folder and the input's name in it.
pub type OpenInput<'a> = dyn Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a;

/// What a job runs in.
pub struct Env<'a> {
    /// Where inputs are.
    pub open_input: &'a OpenInput<'a>,
    /// Where outputs go. Manifests are written last.
    pub output: &'a dyn Store,
    /// Where keys come from.
    pub keys: &'a dyn KeyServer,
    /// How key servers are reached.
    pub http: &'a dyn Http,
    /// The notes of a job that can go on when it was interrupted; `decrypt` takes none.
    pub journal: Option<&'a Journal<'a>>,
    /// Who is told what happens; called from several threads.
    pub observe: &'a (dyn Fn(Event<'_>) + Sync),
}

impl Env<'_> {
    /// Checks that a job that is to go on is the one that was interrupted; `inputs` says what it reads.
    pub(super) fn check_job(&self, job: &Job, inputs: impl FnOnce(&mut Summary)) -> Result<()> {
        let Some(journal) = self.journal else { return Ok(()) };
        let mut summary = Summary::default();
        inputs(&mut summary);
        journal.check(job, summary)
    }

    /// The same with its keys, behind which media is written.
    pub(super) fn check_keys(&self, keys: impl FnOnce(&mut Summary) -> Result<()>) -> Result<()> {
        let Some(journal) = self.journal else { return Ok(()) };
        let mut summary = Summary::default();
        keys(&mut summary)?;
        journal.begin(summary)
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step begins.
    Step(&'a str),
    /// So many bytes of media will be read.
    Total(u64),
    /// So many bytes of media more were read and written.
    Advance(u64),
    /// Something the operator should know; also in the report.
    Warning(&'a str),
}
