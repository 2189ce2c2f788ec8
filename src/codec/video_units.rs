//! NAL units of a byte stream on their way into samples — ISO/IEC 14496-15 §5.3, §8.3: which are parameter sets, where
//! decoding can start, how many bytes a sample has.

use super::byte_stream::nal_units;
use super::carried::{Carried, SampleDescription};
use super::{avc, hevc, sei};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Most bytes of parameter sets that a stream may have.
const MAX_PARAMETER_SET_BYTES: usize = 1 << 20;

/// What an access unit is as a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoUnit {
    /// Its size with and without parameter sets; both with lengths of four bytes.
    pub size: [u32; 2],
    /// Whether decoding can start with it.
    pub is_sync: bool,
    /// Whether it has a picture.
    pub has_picture: bool,
    /// Width and height of its pictures, where its parameter sets say them.
    pub pixels: Option<(u32, u32)>,
}

/// The parameter sets of a stream, as it went on.
#[derive(Clone, Debug)]
pub struct VideoUnits {
    codec: Carried,
    /// Those that were met, each once, by nal_unit_type in the order of the configuration record.
    sets: Vec<(u8, Vec<Vec<u8>>)>,
}

/// What a NAL unit is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    ParameterSet,
    Filler,
    /// A picture that needs no other, and one that does.
    Start,
    Picture,
    Message,
    Other,
}

impl VideoUnits {
    /// A stream of AVC or HEVC.
    pub fn new(codec: Carried) -> Self {
        let types: &[u8] = if codec == Carried::Avc { &[7, 8] } else { &[32, 33, 34] };
        Self { codec, sets: types.iter().map(|nal_unit_type| (*nal_unit_type, Vec::new())).collect() }
    }

    fn nal_unit_type(&self, unit: &[u8]) -> u8 {
        let first = unit.first().copied().unwrap_or_default();
        if self.codec == Carried::Avc { first & 0x1f } else { first >> 1 & 0x3f }
    }

    fn role(&self, unit: &[u8]) -> Role {
        let nal_unit_type = self.nal_unit_type(unit);
        match (self.codec, nal_unit_type) {
            (_, found) if self.sets.iter().any(|(known, _)| *known == found) => Role::ParameterSet,
            (Carried::Avc, 12) | (Carried::Hevc, 38) => Role::Filler,
            (Carried::Avc, 5) | (Carried::Hevc, 16..=23) => Role::Start,
            (Carried::Avc, 1..=4) | (Carried::Hevc, 0..=31) => Role::Picture,
            (Carried::Avc, 6) => Role::Message,
            _ => Role::Other,
        }
    }

    /// Takes in an access unit.
    ///
    /// # Errors
    /// When a NAL unit is too large, or there are too many parameter sets.
    pub fn unit(&mut self, stream: &[u8]) -> Result<VideoUnit> {
        let (mut sizes, mut recovers, mut is_intra) = ([0_u64; 2], false, true);
        let mut found = VideoUnit { size: [0; 2], is_sync: false, has_picture: false, pixels: None };
        for range in nal_units(stream) {
            let unit = stream.get(range).unwrap_or_default();
            let role = self.role(unit);
            if unit.is_empty() || role == Role::Filler {
                continue;
            }
            let length = unit.len() as u64 + 4;
            sizes[0] += length;
            match role {
                Role::ParameterSet => {
                    self.parameter_set(unit)?;
                    found.pixels = self.pixels(unit).or(found.pixels);
                }
                _ => sizes[1] += length,
            }
            match role {
                Role::Start => (found.is_sync, found.has_picture) = (true, true),
                Role::Picture => {
                    found.has_picture = true;
                    is_intra &= self.codec == Carried::Avc && is_intra_slice(unit);
                }
                Role::Message => recovers |= recovers_at_once(unit),
                _ => {}
            }
        }
        found.is_sync |= found.has_picture && recovers && is_intra;
        let too_large = |_| Error::unsupported("an access unit of more than 4 GiB");
        found.size =
            [u32::try_from(sizes[0]).map_err(too_large)?, u32::try_from(sizes[1]).map_err(too_large)?];
        Ok(found)
    }

    fn parameter_set(&mut self, unit: &[u8]) -> Result<()> {
        let nal_unit_type = self.nal_unit_type(unit);
        let bytes: usize = self.sets.iter().flat_map(|(_, units)| units).map(Vec::len).sum();
        let set = self.sets.iter_mut().find(|(known, _)| *known == nal_unit_type);
        let Some((_, known)) = set.filter(|(_, known)| !known.iter().any(|known| known == unit)) else {
            return Ok(());
        };
        if bytes + unit.len() > MAX_PARAMETER_SET_BYTES {
            return Err(Error::unsupported(format!(
                "parameter sets of more than {MAX_PARAMETER_SET_BYTES} bytes"
            )));
        }
        known.push(unit.to_vec());
        Ok(())
    }

    /// Width and height that a sequence parameter set says.
    fn pixels(&self, unit: &[u8]) -> Option<(u32, u32)> {
        let record = match (self.codec, self.nal_unit_type(unit)) {
            (Carried::Avc, 7) => avc::record(&[unit.to_vec()], &[]),
            (Carried::Hevc, 33) => hevc::record(&[], unit, true),
            _ => return None,
        };
        record.ok().map(|(_, size)| size)
    }

    /// Whether no parameter set was replaced by another: then they stand in the sample entry alone.
    pub fn are_constant(&self) -> bool {
        self.sets.iter().enumerate().all(|(place, (_, units))| {
            let is_last = place + 1 == self.sets.len();
            let ids = || units.iter().map(|unit| self.picture_set_id(unit));
            units.len() <= 1
                || is_last
                    && ids()
                        .enumerate()
                        .all(|(at, id)| id.is_some() && !ids().take(at).any(|known| known == id))
        })
    }

    /// The id of a picture parameter set.
    fn picture_set_id(&self, unit: &[u8]) -> Option<u32> {
        let header = if self.codec == Carried::Avc { 1 } else { 2 };
        BitReader::new(unit.get(header..)?).ue().ok()
    }

    /// How the stream is described, and the size of its pictures.
    ///
    /// # Errors
    /// When parameter sets are missing or wrong.
    pub fn describe(&self) -> Result<(SampleDescription, (u32, u32))> {
        let missing = || Error::input("no parameter sets in the stream").clause("ISO/IEC 14496-15 §4.3.1");
        let is_whole =
            self.sets.iter().skip(self.sets.len().saturating_sub(2)).all(|(_, units)| !units.is_empty());
        let constant = self.are_constant();
        let (entry, kind, (record, size)) = match self.sets.as_slice() {
            [(_, sps), (_, pps)] if is_whole => {
                (if constant { b"avc1" } else { b"avc3" }, b"avcC", avc::record(sps, pps)?)
            }
            [_, (_, sps), _] if is_whole => {
                let sps = sps.first().ok_or_else(missing)?;
                (if constant { b"hvc1" } else { b"hev1" }, b"hvcC", hevc::record(&self.sets, sps, constant)?)
            }
            _ => return Err(missing()),
        };
        Ok((SampleDescription::new(*entry, *kind, record), size))
    }

    /// The sample that an access unit is, without parameter sets where they are constant.
    pub fn sample(&self, stream: &[u8], is_constant: bool, out: &mut Vec<u8>) {
        for range in nal_units(stream) {
            let unit = stream.get(range).unwrap_or_default();
            let role = self.role(unit);
            if unit.is_empty() || role == Role::Filler || role == Role::ParameterSet && is_constant {
                continue;
            }
            out.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(unit);
        }
    }
}

/// Whether the header of an AVC slice says that it needs no other picture: ITU-T H.264 §7.4.3.
pub(super) fn is_intra_slice(unit: &[u8]) -> bool {
    let mut reader = BitReader::new(unit.get(1..).unwrap_or_default());
    reader.ue().and_then(|_| reader.ue()).is_ok_and(|slice_type| matches!(slice_type % 5, 2 | 4))
}

/// Whether a message says that decoding can start here at once: ITU-T H.264 §D.1.8.
pub(super) fn recovers_at_once(unit: &[u8]) -> bool {
    let all = sei::messages(unit.get(1..).unwrap_or_default());
    let point = all.iter().find(|(kind, _)| *kind == sei::RECOVERY_POINT);
    let point = point.map(|(_, payload)| BitReader::plain(payload).ue());
    point.is_some_and(|recovery_frame_cnt| recovery_frame_cnt.is_ok_and(|frames| frames == 0))
}
