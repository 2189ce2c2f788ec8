//! What a sample entry says about its elementary stream — ISO/IEC 14496-12 §8.5.2.

use crate::base::{Error, FourCc, Result};

/// A sample entry without its protection.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// The sample entry's type (of a protected entry: its original format).
    pub entry: FourCc,
    /// Types and payloads of the boxes inside the sample entry, such as `avcC`.
    pub boxes: Vec<(FourCc, &'a [u8])>,
}

impl<'a> Config<'a> {
    /// The payload of the first box of type `name`.
    ///
    /// # Errors
    /// When the sample entry has none.
    pub fn payload(&self, name: FourCc) -> Result<&'a [u8]> {
        let found = self.boxes.iter().find(|(kind, _)| *kind == name);
        found
            .map(|(_, payload)| *payload)
            .ok_or_else(|| Error::input(format!("the sample entry has no {name:?} box")).at(self.entry))
    }
}
