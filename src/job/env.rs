//! The environment of a job: everything it may ask of the outside world.

use crate::base::Result;
use crate::base::env::{Http, Random, Store};
use crate::keys::KeyServer;

/// Finds the store of an input's folder and the input's name in it.
pub type Locate<'a> = dyn Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a;

/// What a job runs in.
pub struct Env<'a> {
    /// Where inputs are.
    pub locate: &'a Locate<'a>,
    /// Where outputs go. Manifests are written last.
    pub output: &'a dyn Store,
    /// Where keys come from.
    pub keys: &'a dyn KeyServer,
    /// How key servers are reached.
    pub http: &'a dyn Http,
    /// Random IVs.
    pub random: &'a dyn Random,
    /// Who is told what happens; called from several threads.
    pub observe: &'a (dyn Fn(Event<'_>) + Sync),
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
