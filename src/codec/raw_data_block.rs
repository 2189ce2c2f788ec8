//! `raw_data_block()` of AAC, read to know whether it is one — ISO/IEC 14496-3 §4.4.2, §4.5.2.
//!
//! Nothing is kept of what is read. Random bytes seldom get to the end: an element that is not there, sections that do not
//! add up to the bands, a terminator that does not stand at the end.

use std::ops::Range;

use super::evidence::Evidence;
use super::marks::{Marks, bytes_in};
use super::spectrum::{Codebook, SCALEFACTORS, SPECTRUM, bands};
use crate::base::bits::BitReader;
use crate::base::{Error, Kind, Result};

const CLAUSE: &str = "ISO/IEC 14496-3 §4.4.2";
/// Codebooks of section_data(): table 4.151.
const ZERO: u32 = 0;
const RESERVED: u32 = 12;
const NOISE: u32 = 13;
/// EIGHT_SHORT_SEQUENCE: table 4.128.
const EIGHT_SHORT: u32 = 2;
/// The longest escape_prefix: §4.6.3.3.
const MAX_ESCAPE_PREFIX: u32 = 8;
/// The share of random bytes that are read to the end like a block; measured by a test over frames with few and with many
/// encrypted bytes.
const CHANCE: f64 = 1.0 / 32.0;

/// What is the same for all blocks of a stream.
#[derive(Clone, Debug)]
pub(super) struct RawDataBlock {
    /// How many coefficients each scalefactor band has, of long and of short windows.
    long: Vec<u16>,
    short: Vec<u16>,
}

impl RawDataBlock {
    /// Blocks of 1024 samples at this frequency; `None` when the index stands for none.
    pub(super) fn new(sampling_frequency_index: u32) -> Option<Self> {
        let (long, short) = bands(sampling_frequency_index)?;
        Some(Self { long, short })
    }

    /// Reads a block to its end.
    ///
    /// # Errors
    /// When it is none; [`Kind::Unsupported`] when it cannot be told.
    pub(super) fn read(&self, block: &[u8]) -> Result<()> {
        let mut reader = BitReader::plain(block);
        loop {
            match reader.bits(3)? {
                0 | 3 => {
                    reader.bits(4)?; // element_instance_tag
                    self.individual_channel_stream(&mut reader, None)?;
                }
                1 => self.channel_pair_element(&mut reader)?,
                2 => return Err(Error::unsupported("coupling_channel_element").clause(CLAUSE)),
                4 => data_stream_element(&mut reader)?,
                5 => program_config_element(&mut reader)?,
                6 => fill_element(&mut reader)?,
                _ => break,
            }
        }
        // byte_alignment(); some writers fill frames up with zeros.
        let behind = block.get(reader.bytes_touched()..).unwrap_or_default();
        match behind.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(no_block("bytes behind ID_END")),
        }
    }

    fn channel_pair_element(&self, reader: &mut BitReader<'_>) -> Result<()> {
        reader.bits(4)?; // element_instance_tag
        let common_window = reader.bit()?;
        if !common_window {
            self.individual_channel_stream(reader, None)?;
            return self.individual_channel_stream(reader, None);
        }
        let windows = self.ics_info(reader)?;
        match reader.bits(2)? {
            1 => {
                for _ in 0..windows.groups.len() * windows.bands.len() {
                    reader.bit()?; // ms_used
                }
            }
            3 => return Err(no_block("ms_mask_present 3")),
            _ => {}
        }
        self.individual_channel_stream(reader, Some(&windows))?;
        self.individual_channel_stream(reader, Some(&windows))
    }

    fn ics_info<'a>(&'a self, reader: &mut BitReader<'_>) -> Result<Windows<'a>> {
        let ics_reserved_bit = reader.bit()?;
        if ics_reserved_bit {
            return Err(no_block("ics_reserved_bit 1"));
        }
        let window_sequence = reader.bits(2)?;
        reader.bit()?; // window_shape
        let is_short = window_sequence == EIGHT_SHORT;
        let (max_sfb, mut groups) = if is_short {
            let max_sfb = reader.bits(4)?;
            let mut groups = vec![1];
            for _ in 1..8 {
                let is_in_same_group = reader.bit()?; // scale_factor_grouping
                match groups.last_mut().filter(|_| is_in_same_group) {
                    Some(group) => *group += 1,
                    None => groups.push(1),
                }
            }
            (max_sfb, groups)
        } else {
            (reader.bits(6)?, vec![1])
        };
        let predictor_data_present = !is_short && reader.bit()?;
        if predictor_data_present {
            return Err(Error::unsupported("prediction").clause(CLAUSE));
        }
        let all = if is_short { &self.short } else { &self.long };
        let bands = usize::try_from(max_sfb).ok().and_then(|max_sfb| all.get(..max_sfb));
        let bands = bands.ok_or_else(|| no_block("max_sfb above the number of bands"))?;
        groups.shrink_to_fit();
        Ok(Windows { is_short, bands, groups })
    }

    fn individual_channel_stream(
        &self,
        reader: &mut BitReader<'_>,
        common: Option<&Windows<'_>>,
    ) -> Result<()> {
        reader.bits(8)?; // global_gain
        let own;
        let windows = match common {
            Some(windows) => windows,
            None => {
                own = self.ics_info(reader)?;
                &own
            }
        };
        let codebooks = section_data(reader, windows)?;
        scale_factor_data(reader, &codebooks)?;
        let pulse_data_present = reader.bit()?;
        if pulse_data_present {
            pulse_data(reader, windows)?;
        }
        let tns_data_present = reader.bit()?;
        if tns_data_present {
            tns_data(reader, windows)?;
        }
        let gain_control_data_present = reader.bit()?;
        if gain_control_data_present {
            return Err(Error::unsupported("gain control").clause(CLAUSE));
        }
        spectral_data(reader, windows, &codebooks)
    }
}

/// What `ics_info()` says.
struct Windows<'a> {
    is_short: bool,
    /// How many coefficients each band has that is sent.
    bands: &'a [u16],
    /// How many windows each group has.
    groups: Vec<u16>,
}

/// The codebook of each band, group by group.
fn section_data(reader: &mut BitReader<'_>, windows: &Windows<'_>) -> Result<Vec<u32>> {
    let bits = if windows.is_short { 3 } else { 5 };
    let sect_esc_val = (1 << bits) - 1;
    let mut codebooks = Vec::new();
    for group in 1..=windows.groups.len() {
        let end = group * windows.bands.len();
        while codebooks.len() < end {
            let sect_cb = reader.bits(4)?;
            if sect_cb == RESERVED {
                return Err(no_block("a reserved codebook"));
            }
            loop {
                let sect_len_incr = reader.bits(bits)?;
                codebooks.extend((0..sect_len_incr).map(|_| sect_cb));
                if sect_len_incr != sect_esc_val {
                    break;
                }
            }
            if codebooks.len() > end {
                return Err(no_block("a section behind the last band"));
            }
        }
    }
    Ok(codebooks)
}

fn scale_factor_data(reader: &mut BitReader<'_>, codebooks: &[u32]) -> Result<()> {
    let mut noise_pcm_flag = true;
    for codebook in codebooks.iter().filter(|codebook| **codebook != ZERO) {
        if *codebook == NOISE && noise_pcm_flag {
            noise_pcm_flag = false;
            reader.bits(9)?; // dpcm_noise_nrg
        } else {
            SCALEFACTORS.codeword(reader)?;
        }
    }
    Ok(())
}

fn pulse_data(reader: &mut BitReader<'_>, windows: &Windows<'_>) -> Result<()> {
    if windows.is_short {
        return Err(no_block("pulse_data() of short windows"));
    }
    let number_pulse = reader.bits(2)?;
    reader.bits(6)?; // pulse_start_sfb
    (0..=number_pulse).try_for_each(|_| reader.bits(9).map(drop)) // pulse_offset, pulse_amp
}

fn tns_data(reader: &mut BitReader<'_>, windows: &Windows<'_>) -> Result<()> {
    let (count_bits, length_bits, order_bits) = if windows.is_short { (1, 4, 3) } else { (2, 6, 5) };
    for _ in 0..windows.groups.iter().sum() {
        let n_filt = reader.bits(count_bits)?;
        let coef_res = reader.bits(u32::from(n_filt > 0))?;
        for _ in 0..n_filt {
            reader.bits(length_bits)?;
            let order = reader.bits(order_bits)?;
            if order == 0 {
                continue;
            }
            reader.bit()?; // direction
            let coef_compress = reader.bits(1)?;
            (0..order).try_for_each(|_| reader.bits(3 + coef_res - coef_compress).map(drop))?;
        }
    }
    Ok(())
}

fn spectral_data(reader: &mut BitReader<'_>, windows: &Windows<'_>, codebooks: &[u32]) -> Result<()> {
    let bands = windows.groups.iter().flat_map(|windows_in_group| {
        windows.bands.iter().map(move |coefficients| coefficients * windows_in_group)
    });
    for (coefficients, number) in bands.zip(codebooks) {
        let codebook = usize::try_from(*number).ok().and_then(|number| SPECTRUM.get(number.checked_sub(1)?));
        let Some(codebook) = codebook else { continue };
        let has_escapes = *number == 11;
        for _ in 0..coefficients / codebook.dimension {
            coefficients_of(codebook, has_escapes, reader)?;
        }
    }
    Ok(())
}

fn coefficients_of(codebook: &Codebook, has_escapes: bool, reader: &mut BitReader<'_>) -> Result<()> {
    let digit = codebook.codeword(reader)?;
    let (signs, escapes) = if has_escapes { (digit % 3, digit / 3) } else { (digit, 0) };
    reader.bits(signs)?;
    for _ in 0..escapes {
        let mut prefix = 0;
        while reader.bit()? {
            prefix += 1;
        }
        if prefix > MAX_ESCAPE_PREFIX {
            return Err(no_block("an escape of more than 12 bits"));
        }
        reader.bits(prefix + 4)?; // escape_word
    }
    Ok(())
}

fn data_stream_element(reader: &mut BitReader<'_>) -> Result<()> {
    reader.bits(4)?; // element_instance_tag
    let data_byte_align_flag = reader.bit()?;
    let mut count = reader.bits(8)?;
    if count == 255 {
        count += reader.bits(8)?; // esc_count
    }
    if data_byte_align_flag {
        reader.align();
    }
    (0..count).try_for_each(|_| reader.bits(8).map(drop))
}

fn fill_element(reader: &mut BitReader<'_>) -> Result<()> {
    let mut count = reader.bits(4)?;
    if count == 15 {
        count += reader.bits(8)?; // esc_count
        count = count.saturating_sub(1);
    }
    (0..count).try_for_each(|_| reader.bits(8).map(drop)) // extension_payload
}

fn program_config_element(reader: &mut BitReader<'_>) -> Result<()> {
    reader.bits(10)?; // element_instance_tag, object_type, sampling_frequency_index
    let [front, side, back] = [reader.bits(4)?, reader.bits(4)?, reader.bits(4)?];
    let [lfe, data, coupling] = [reader.bits(2)?, reader.bits(3)?, reader.bits(4)?];
    // mono_mixdown, stereo_mixdown, matrix_mixdown
    for bits in [4, 4, 3] {
        let is_present = reader.bit()?;
        reader.bits(if is_present { bits } else { 0 })?;
    }
    let bits = (front + side + back + coupling) * 5 + (lfe + data) * 4;
    (0..bits).try_for_each(|_| reader.bit().map(drop))?;
    reader.align();
    let comment_field_bytes = reader.bits(8)?;
    (0..comment_field_bytes).try_for_each(|_| reader.bits(8).map(drop))
}

fn no_block(what: &str) -> Error {
    Error::input(what).clause(CLAUSE)
}

impl Marks for RawDataBlock {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        if bytes_in(encrypted, &(0..sample.len())) == 0 {
            return;
        }
        match self.read(sample) {
            Ok(()) => evidence.mark(true, CHANCE),
            Err(error) if error.kind() == Kind::Unsupported => evidence.pass_over(),
            Err(_) => evidence.mark(false, CHANCE),
        }
    }
}
