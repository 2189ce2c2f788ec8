//! Track Header box (`tkhd`) — ISO/IEC 14496-12 §8.3.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

/// What is read of `tkhd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tkhd {
    /// `track_ID`.
    pub track_id: u32,
    /// Whether `matrix` turns what is shown by a quarter, to either side: its width is then the height of the images.
    pub is_turned: bool,
}

impl Tkhd {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off or `track_ID` is 0.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.take(if version == 1 { 16 } else { 8 })?;
        let track_id = reader.u32()?;
        if track_id == 0 {
            return Err(Error::input("track_ID is 0").clause("ISO/IEC 14496-12 §8.3.2.3"));
        }
        // reserved, duration; reserved, layer, alternate_group, volume, reserved.
        let matrix = reader.take(if version == 1 { 12 } else { 8 } + 16).and_then(|_| reader.array::<20>());
        let term = |at: usize| matrix.as_ref().ok().and_then(|matrix| matrix.get(at..at + 4));
        let is_zero = |at: usize| term(at) == Some(&[0; 4]);
        // a and d of the matrix are 0, b and c are not.
        let is_turned = matrix.is_ok() && is_zero(0) && is_zero(16) && !is_zero(4) && !is_zero(12);
        Ok(Self { track_id, is_turned })
    }

    /// Sets `track_ID`.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn set_track_id(payload: &mut [u8], track_id: u32) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(20..24) } else { payload.get_mut(12..16) };
        field
            .ok_or_else(|| Error::input("tkhd ends before its track_ID"))?
            .copy_from_slice(&track_id.to_be_bytes());
        Ok(())
    }

    /// Sets the flags of a track that is enabled and in the presentation; others stay.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn enable(payload: &mut [u8]) -> Result<()> {
        let flags = payload.get_mut(3).ok_or_else(|| Error::input("tkhd ends before its flags"))?;
        *flags |= 0b11;
        Ok(())
    }

    /// Sets `duration` to 0, as a track whose samples are all in fragments has it.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn clear_duration(payload: &mut [u8]) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(28..36) } else { payload.get_mut(20..24) };
        field.ok_or_else(|| Error::input("tkhd ends before its duration"))?.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tkhd(version: u8, [a, b, c, d]: [i32; 4]) -> Vec<u8> {
        let mut payload = vec![version, 0, 0, 7];
        payload.extend(vec![0; if version == 1 { 16 } else { 8 }]);
        payload.extend(1_u32.to_be_bytes());
        payload.extend(vec![0; if version == 1 { 12 } else { 8 } + 16]);
        for term in [a, b, 0, c, d, 0, 0, 0, 0x4000] {
            payload.extend((term << 16).to_be_bytes());
        }
        payload.extend([1, 0, 0, 0, 0, 2, 0, 0]);
        payload
    }

    #[test]
    fn quarter_turns_are_told_from_others() {
        for (matrix, is_turned) in [
            ([1, 0, 0, 1], false),
            ([0, 1, -1, 0], true),
            ([0, -1, 1, 0], true),
            ([0, 1, 1, 0], true),
            ([-1, 0, 0, -1], false),
            ([0, 0, 0, 0], false),
        ] {
            for version in [0, 1] {
                assert_eq!(Tkhd::parse(&tkhd(version, matrix)).unwrap(), Tkhd { track_id: 1, is_turned });
            }
        }
        // One without a matrix is not turned.
        assert!(!Tkhd::parse(&tkhd(0, [0, 1, -1, 0])[..50]).unwrap().is_turned);
    }
}
