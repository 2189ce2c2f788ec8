//! Track Fragment Run box (`trun`) — ISO/IEC 14496-12 §8.8.8.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::{check_count, full_box, write_full_box};

const DATA_OFFSET: u32 = 0x001;
const FIRST_SAMPLE_FLAGS: u32 = 0x004;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION_TIME_OFFSET: u32 = 0x800;

/// Most samples in one run: without fields of their own they are not backed by bytes.
const MAX_SAMPLES: u32 = 1 << 20;

/// `trun`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trun {
    /// `data_offset` in bytes from the base that `tfhd` names.
    pub data_offset: Option<i32>,
    /// `first_sample_flags`.
    pub first_sample_flags: Option<u32>,
    /// The samples in order.
    pub samples: Vec<TrunSample>,
}

/// What a run says about one sample; what it does not say stands in `tfhd` or `trex`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunSample {
    /// `sample_duration` in ticks of the media.
    pub duration: Option<u32>,
    /// `sample_size` in bytes.
    pub size: Option<u32>,
    /// `sample_flags`.
    pub flags: Option<u32>,
    /// `sample_composition_time_offset` in ticks of the media.
    pub composition_time_offset: Option<i32>,
}

impl Trun {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, flags) = full_box(&mut reader)?;
        let sample_count = reader.u32()?;
        let data_offset = (flags & DATA_OFFSET != 0).then(|| reader.u32()).transpose()?;
        let first_sample_flags = (flags & FIRST_SAMPLE_FLAGS != 0).then(|| reader.u32()).transpose()?;
        let fields = [DURATION, SIZE, FLAGS, COMPOSITION_TIME_OFFSET];
        let entry_size = 4 * fields.iter().filter(|field| flags & **field != 0).count();
        check_count(&reader, sample_count, entry_size)?;
        if entry_size == 0 && sample_count > MAX_SAMPLES {
            return Err(Error::input(format!(
                "{sample_count} samples in one run, at most {MAX_SAMPLES} are read"
            )));
        }
        let mut samples = Vec::with_capacity(sample_count as usize);
        for _ in 0..sample_count {
            let mut field = |bit: u32| (flags & bit != 0).then(|| reader.u32()).transpose();
            samples.push(TrunSample {
                duration: field(DURATION)?,
                size: field(SIZE)?,
                flags: field(FLAGS)?,
                // Version 0 is unsigned; files are known to store negative offsets in it all the same.
                composition_time_offset: field(COMPOSITION_TIME_OFFSET)?.map(u32::cast_signed),
            });
        }
        let _ = version;
        Ok(Self { data_offset: data_offset.map(u32::cast_signed), first_sample_flags, samples })
    }

    /// The payload. A field is written when the first sample has it; a sample without it gets 0.
    pub fn write(&self) -> Vec<u8> {
        let first = self.samples.first().copied().unwrap_or_default();
        let negative =
            self.samples.iter().any(|sample| sample.composition_time_offset.is_some_and(|offset| offset < 0));
        let mut flags = 0;
        for (bit, present) in [
            (DATA_OFFSET, self.data_offset.is_some()),
            (FIRST_SAMPLE_FLAGS, self.first_sample_flags.is_some()),
            (DURATION, first.duration.is_some()),
            (SIZE, first.size.is_some()),
            (FLAGS, first.flags.is_some()),
            (COMPOSITION_TIME_OFFSET, first.composition_time_offset.is_some()),
        ] {
            flags |= if present { bit } else { 0 };
        }
        let mut out = Vec::with_capacity(20 + 16 * self.samples.len());
        write_full_box(u8::from(negative), flags, &mut out);
        out.extend(u32::try_from(self.samples.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(self.data_offset.iter().flat_map(|offset| offset.to_be_bytes()));
        out.extend(self.first_sample_flags.iter().flat_map(|flags| flags.to_be_bytes()));
        for sample in &self.samples {
            for (bit, value) in [
                (DURATION, sample.duration),
                (SIZE, sample.size),
                (FLAGS, sample.flags),
                (COMPOSITION_TIME_OFFSET, sample.composition_time_offset.map(i32::cast_unsigned)),
            ] {
                if flags & bit != 0 {
                    out.extend(value.unwrap_or_default().to_be_bytes());
                }
            }
        }
        out
    }

    /// Sets `data_offset` in a payload without touching anything else; the field is made when absent.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn set_data_offset(payload: &mut Vec<u8>, data_offset: i32) -> Result<()> {
        let flags = full_box(&mut Reader::new(payload))?.1;
        if payload.len() < 8 {
            return Err(Error::input("trun ends before its sample_count"));
        }
        if flags & DATA_OFFSET == 0 {
            payload.splice(8..8, [0; 4]);
            if let Some(low) = payload.get_mut(3) {
                *low |= 1;
            }
        }
        let field = payload.get_mut(8..12).ok_or_else(|| Error::input("trun ends before its data_offset"))?;
        field.copy_from_slice(&data_offset.to_be_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_and_the_offset_is_set_in_place() {
        let sample =
            TrunSample { duration: None, size: Some(7), flags: None, composition_time_offset: Some(-3) };
        let mut trun = Trun { data_offset: None, first_sample_flags: Some(2), samples: vec![sample; 3] };
        let mut payload = trun.write();
        assert_eq!(Trun::parse(&payload).unwrap(), trun);
        Trun::set_data_offset(&mut payload, -8).unwrap();
        trun.data_offset = Some(-8);
        assert_eq!(Trun::parse(&payload).unwrap(), trun);
        Trun::set_data_offset(&mut payload, 9).unwrap();
        trun.data_offset = Some(9);
        assert_eq!(payload, trun.write());
    }

    #[test]
    fn a_count_that_nothing_backs_is_refused() {
        let payload = [&[0, 0, 0, 0][..], &u32::MAX.to_be_bytes()].concat();
        assert!(Trun::parse(&payload).is_err());
    }
}
