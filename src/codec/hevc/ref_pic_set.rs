//! Short-term reference picture sets — ITU-T H.265 §7.3.7, §7.4.8.

use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Greatest NumDeltaPocs: sps_max_dec_pic_buffering_minus1 is at most MaxDpbSize − 1, and that is 16: §A.4.2.
const MAX_DELTA_POCS: usize = 16;
/// Greatest delta_poc_s0_minus1, delta_poc_s1_minus1 and abs_delta_rps_minus1.
const MAX_DELTA_MINUS1: u32 = (1 << 15) - 1;

/// A picture of a short-term reference picture set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    /// DeltaPocS0 when negative, DeltaPocS1 when positive.
    delta_poc: i64,
    /// UsedByCurrPicS0 or UsedByCurrPicS1.
    used_by_curr_pic: bool,
}

/// `st_ref_pic_set()`: first the pictures before the current one, the nearest first, then those after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StRefPicSet {
    pictures: Vec<Picture>,
}

/// Where `st_ref_pic_set()` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// In a sequence parameter set, after these.
    Sps,
    /// In a slice segment header, after all of the sequence parameter set.
    Slice,
}

impl StRefPicSet {
    /// How many of its pictures the current picture may refer to.
    pub(super) fn used_by_curr_pic(&self) -> u32 {
        self.pictures.iter().map(|picture| u32::from(picture.used_by_curr_pic)).sum()
    }

    /// Reads the set that follows `previous`.
    pub(super) fn parse(reader: &mut BitReader<'_>, previous: &[Self], place: Carrier) -> Result<Self> {
        let inter_ref_pic_set_prediction_flag = !previous.is_empty() && reader.bit()?;
        let pictures = if inter_ref_pic_set_prediction_flag {
            predicted(reader, previous, place)?
        } else {
            explicit(reader)?
        };
        if pictures.len() > MAX_DELTA_POCS {
            return Err(Error::input(format!(
                "a reference picture set of {} pictures, at most {MAX_DELTA_POCS} expected",
                pictures.len()
            ))
            .clause("ITU-T H.265 §7.4.8"));
        }
        Ok(Self { pictures })
    }
}

/// A set derived from an earlier one: (7-59) to (7-62).
fn predicted(reader: &mut BitReader<'_>, previous: &[StRefPicSet], place: Carrier) -> Result<Vec<Picture>> {
    let delta_idx_minus1 = match place {
        Carrier::Sps => 0,
        Carrier::Slice => reader.ue()?,
    };
    let reference = usize::try_from(delta_idx_minus1).ok().and_then(|delta| previous.iter().rev().nth(delta));
    let reference = reference.ok_or_else(|| {
        Error::input(format!("delta_idx_minus1 is {delta_idx_minus1}, there are {} sets", previous.len()))
            .clause("ITU-T H.265 §7.4.8")
    })?;
    let delta_rps_sign = reader.bit()?;
    let magnitude = 1 + i64::from(reader.ue_up_to(MAX_DELTA_MINUS1, "abs_delta_rps_minus1")?);
    let delta_rps = if delta_rps_sign { -magnitude } else { magnitude };
    // The picture that the reference set was for comes last: its distance was 0.
    let distances = reference.pictures.iter().map(|picture| picture.delta_poc).chain([0]);
    let mut pictures = Vec::with_capacity(reference.pictures.len() + 1);
    for distance in distances {
        let used_by_curr_pic = reader.bit()?;
        let use_delta_flag = used_by_curr_pic || reader.bit()?;
        let delta_poc = distance + delta_rps;
        if use_delta_flag && delta_poc != 0 {
            pictures.push(Picture { delta_poc, used_by_curr_pic });
        }
    }
    // The order of (7-61) and (7-62): those before the current picture first, and the nearest first.
    pictures.sort_by_key(|picture| (picture.delta_poc > 0, picture.delta_poc.abs()));
    Ok(pictures)
}

/// A set written out: (7-63) to (7-66).
fn explicit(reader: &mut BitReader<'_>) -> Result<Vec<Picture>> {
    let num_negative_pics = reader.ue_up_to(16, "num_negative_pics")?;
    let num_positive_pics = reader.ue_up_to(16, "num_positive_pics")?;
    let mut pictures = Vec::new();
    for (count, sign) in [(num_negative_pics, -1), (num_positive_pics, 1)] {
        let mut delta_poc = 0;
        for _ in 0..count {
            delta_poc += sign * (1 + i64::from(reader.ue_up_to(MAX_DELTA_MINUS1, "delta_poc_minus1")?));
            pictures.push(Picture { delta_poc, used_by_curr_pic: reader.bit()? });
        }
    }
    Ok(pictures)
}
