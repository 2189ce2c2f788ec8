//! Marks of elementary streams in transport streams and packed audio, where the beginning of every frame is clear — ETSI TS
//! 102 366 §6.1.7, ISO/IEC 14496-3 §4.4.2, ITU-T H.264 §7.4.1.

use std::ops::Range;

use super::adts::AdtsHeader;
use super::elementary::Elementary;
use super::evidence::Evidence;
use super::first_bytes::{CRC, crc_16};
use super::marks::Marks;
use super::raw_data_block::RawDataBlock;
use super::slice_marks::look_at_emulation;

/// The marks of an elementary stream.
pub struct StreamMarks {
    elementary: Elementary,
    /// AAC blocks by sampling_frequency_index.
    blocks: Option<(u32, RawDataBlock)>,
}

impl StreamMarks {
    /// Those of a codec.
    pub fn new(elementary: Elementary) -> Self {
        Self { elementary, blocks: None }
    }

    /// Looks at a decrypted frame of audio, its header included, of which these bytes were encrypted.
    pub fn frame(&mut self, frame: &[u8], encrypted: Range<usize>, evidence: &mut Evidence) {
        if encrypted.is_empty() {
            return;
        }
        match self.elementary {
            Elementary::Ac3 | Elementary::Eac3 => {
                let covered = frame.get(2..).unwrap_or_default();
                evidence.mark(crc_16(covered) == 0, CRC);
            }
            Elementary::Aac => {
                let Ok(Some(header)) = AdtsHeader::parse(frame) else { return };
                let block = frame.get(header.header_bytes..).unwrap_or_default();
                let range = encrypted.start.saturating_sub(header.header_bytes)
                    ..encrypted.end.saturating_sub(header.header_bytes);
                let index = u32::from(header.sampling_frequency_index());
                if self.blocks.as_ref().is_none_or(|(known, _)| *known != index) {
                    self.blocks = RawDataBlock::new(index).map(|block| (index, block));
                }
                if let Some((_, blocks)) = &mut self.blocks {
                    blocks.look(block, std::slice::from_ref(&range), evidence);
                }
            }
            Elementary::Avc => {}
        }
    }

    /// Looks at a decrypted NAL unit, of which about these bytes were encrypted: where emulation prevention stands is
    /// not looked at.
    pub fn nal_unit(&self, nal_unit: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        look_at_emulation(nal_unit, &(0..nal_unit.len()), encrypted, evidence);
    }
}
