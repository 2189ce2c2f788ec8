//! Syncframes of AC-3 and Enhanced AC-3 — ETSI TS 102 366 §4.3, §4.4, §E.1.2, §F.6.

use super::audio_facts::{AudioInfo, configuration_of_layout};
use super::elementary::StreamInfo;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Bytes that say the length and all that is asked for here.
const HEADER_BYTES: usize = 7;
/// Bytes of a syncframe that a decoder of encrypted AC-3 is shown.
const AC_3_SETUP_BYTES: usize = 10;
/// `bsid` up to which a syncframe is AC-3, and from which it is Enhanced AC-3: §E.1.3.1.6.
const LAST_BSID_AC_3: u32 = 10;
const LAST_BSID_E_AC_3: u32 = 16;
/// Bit rates in kbit/s by frmsizecod / 2: table 4.13.
const BIT_RATES: [u32; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// Frequencies by fscod: table 4.1.
pub(super) const FREQUENCIES: [u32; 3] = [48_000, 44_100, 32_000];
/// Channels by acmod: table 4.3.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Those of them at the sides and behind.
const SURROUND: [u8; 8] = [0, 0, 0, 0, 1, 1, 2, 2];

/// Channels in front, at the sides and behind, and of low frequency effects.
pub(super) fn layout(acmod: u32, lfeon: u32) -> Option<[u32; 3]> {
    let acmod = usize::try_from(acmod).ok()?;
    let (all, surround) = (*CHANNELS.get(acmod)?, *SURROUND.get(acmod)?);
    Some([(all - surround).into(), surround.into(), lfeon])
}

/// The `ChannelConfiguration` of a syncframe of these codes.
pub(super) fn configuration(acmod: u32, lfeon: u32) -> Option<u32> {
    match (acmod, layout(acmod, lfeon)?) {
        (0, [_, _, 0]) => Some(8), // 1+1: two programs of one channel
        (0, _) => Some(0),
        (_, [front, surround, low_frequency]) => {
            Some(configuration_of_layout(front, surround, low_frequency))
        }
    }
}

/// How many channels a syncframe of these codes has.
pub(super) fn channels(acmod: u32, lfeon: u32) -> Option<u8> {
    let channels = usize::try_from(acmod).ok().and_then(|acmod| CHANNELS.get(acmod))?;
    Some(channels + u8::from(lfeon == 1))
}

/// The header of a syncframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syncframe {
    /// Length of the syncframe.
    pub bytes: usize,
    /// Whether it is a dependent substream or another independent one, which goes on with the frame before.
    pub goes_on: bool,
    is_dependent: bool,
    substreamid: u32,
    blocks: u32,
    sampling_frequency: u32,
    bit_rate: u32,
    fscod: u32,
    bsid: u32,
    bsmod: u32,
    acmod: u32,
    lfeon: u32,
}

impl Syncframe {
    /// The syncframe that begins with `bytes`; `None` when they are too few to tell.
    ///
    /// # Errors
    /// When none begins there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Ok(None);
        };
        let mut bits = BitReader::plain(header);
        let syncword = bits.bits(16)?;
        if syncword != 0x0b77 {
            return Err(Error::input(format!("syncword is {syncword:#06x}, 0x0b77 expected"))
                .clause("ETSI TS 102 366 §4.4.1.1"));
        }
        // bsid is at the same place in both syntaxes.
        match header.get(5).map(|byte| u32::from(byte >> 3)).unwrap_or(0) {
            bsid if bsid <= LAST_BSID_AC_3 => ac_3(&mut bits, bsid),
            bsid if bsid <= LAST_BSID_E_AC_3 => e_ac_3(&mut bits, bsid),
            bsid => Err(Error::unsupported(format!("bsid is {bsid}, 0 to {LAST_BSID_E_AC_3} expected"))
                .clause("ETSI TS 102 366 §4.4.2.1")),
        }
        .map(Some)
    }

    /// This syncframe, when it may be in a stream of AC-3.
    ///
    /// # Errors
    /// When it is of Enhanced AC-3.
    pub(super) fn of_ac_3(self) -> Result<Self> {
        if self.bsid > LAST_BSID_AC_3 {
            return Err(Error::input(format!(
                "bsid is {}, 0 to {LAST_BSID_AC_3} expected: Enhanced AC-3 in a stream of AC-3",
                self.bsid
            ))
            .clause("ETSI TS 102 366 §4.4.2.1"));
        }
        Ok(self)
    }

    /// Its channels and sampling frequency.
    pub(super) fn audio_info(self) -> AudioInfo {
        let channels = channels(self.acmod, self.lfeon).unwrap_or(0);
        let configuration = configuration(self.acmod, self.lfeon);
        AudioInfo::new(channels.into(), Some(self.sampling_frequency)).heard(configuration)
    }

    /// What the header of AC-3 says, with the start of `frame` as setup data; none when that is cut off.
    pub(super) fn ac_3_facts(self, frame: &[u8]) -> Option<StreamInfo> {
        Some(self.facts("ac-3", frame.get(..AC_3_SETUP_BYTES)?.to_vec()))
    }

    /// What the header says of a stream of Enhanced AC-3.
    pub(super) fn e_ac_3_facts(self) -> StreamInfo {
        self.facts("ec-3", self.ec3_specific_box())
    }

    /// Channels, sampling frequency, and the latter once more as ticks of a second.
    pub(super) fn audio(self) -> (u16, u32, u32) {
        let channels = channels(self.acmod, self.lfeon).unwrap_or(2);
        (channels.into(), self.sampling_frequency, self.sampling_frequency)
    }

    /// How many samples of each channel it has: 256 in each block.
    pub(super) fn samples(self) -> u32 {
        self.blocks * 256
    }

    /// AC3SpecificBox: §F.4.
    pub(super) fn dac3(self) -> Vec<u8> {
        let code = BIT_RATES.iter().position(|rate| *rate == self.bit_rate);
        let code = code.and_then(|code| u32::try_from(code).ok()).unwrap_or(0);
        let fields = self.fscod << 22 | self.bsid << 17 | self.bsmod << 14 | self.acmod << 11;
        let [_, a, b, c] = (fields | self.lfeon << 10 | code << 5).to_be_bytes();
        vec![a, b, c]
    }

    fn facts(self, rfc6381: &str, setup_data: Vec<u8>) -> StreamInfo {
        StreamInfo {
            rfc6381: rfc6381.to_owned(),
            channels: channels(self.acmod, self.lfeon),
            sampling_frequency: Some(self.sampling_frequency),
            setup_data,
            ..StreamInfo::default()
        }
    }

    /// EC3SpecificBox of one independent substream: §F.6. Dependent substreams show in the syncframes that follow
    /// and are not counted here.
    fn ec3_specific_box(self) -> Vec<u8> {
        // data_rate 13, num_ind_sub 3; fscod 2, bsid 5, reserved 1, asvc 1, bsmod 3, acmod 3, lfeon 1, reserved 3,
        // num_dep_sub 4, reserved 1.
        let first = self.bit_rate.min(0x1fff) << 3;
        let second =
            self.fscod << 22 | self.bsid << 17 | self.bsmod << 12 | self.acmod << 9 | self.lfeon << 8;
        let [_, _, a, b] = first.to_be_bytes();
        let [_, c, d, e] = second.to_be_bytes();
        vec![a, b, c, d, e]
    }
}

/// EC3SpecificBox of an access unit: each independent substream, with those that depend on it, §F.6; behind them objects,
/// ETSI TS 103 420 §8.3. Six blocks of each may be in several syncframes, of which the first say what the others say again.
///
/// # Errors
/// When a syncframe is wrong or cut off.
pub(super) fn dec3(unit: &[u8]) -> Result<Vec<u8>> {
    let cut_off = || Error::input("a syncframe is cut off").clause("ETSI TS 102 366 §E.1.2");
    let mut substreams: Vec<(Syncframe, u32, u32)> = Vec::new();
    let mut objects = None;
    // Kilobits of a second times blocks, and the blocks of the first substream.
    let (mut rates, mut blocks) = (0, 0);
    let (mut is_first, mut rest) = (true, unit);
    while !rest.is_empty() {
        let frame = Syncframe::parse(rest)?.ok_or_else(cut_off)?;
        let (bytes, behind) = rest.split_at_checked(frame.bytes).ok_or_else(cut_off)?;
        rest = behind;
        rates = u32::saturating_add(rates, frame.bit_rate * frame.blocks);
        if !frame.goes_on {
            blocks = u32::saturating_add(blocks, frame.blocks);
        }
        if !frame.is_dependent {
            is_first = substreams.iter().all(|(known, ..)| known.substreamid != frame.substreamid);
        }
        if !is_first {
            continue;
        }
        let further = frame.further(bytes).map_err(|error| error.at("bsi()"))?;
        objects = objects.or(further.objects);
        let count = substreams.len();
        match substreams.last_mut().filter(|_| frame.is_dependent) {
            Some((_, dependent, locations)) => {
                *dependent += 1;
                *locations |= chan_loc(further.chanmap);
            }
            None if count < 8 => {
                let bsmod = if further.bsmod == 0 { frame.bsmod } else { further.bsmod };
                substreams.push((Syncframe { bsmod, ..frame }, 0, 0));
            }
            None => return Err(Error::unsupported("more than 8 independent substreams")),
        }
    }
    let count = u32::try_from(substreams.len().saturating_sub(1)).unwrap_or(0);
    let rate = rates.checked_div(blocks).unwrap_or(rates);
    let [_, _, a, b] = (rate.min(0x1fff) << 3 | count).to_be_bytes();
    let mut out = vec![a, b];
    for (frame, dependent, locations) in substreams {
        let fields = frame.fscod << 22 | frame.bsid << 17 | frame.bsmod << 12 | frame.acmod << 9;
        let fields = fields | frame.lfeon << 8 | dependent.min(15) << 1;
        let [_, c, d, e] = (fields | if dependent > 0 { locations >> 8 & 1 } else { 0 }).to_be_bytes();
        out.extend([c, d, e]);
        if dependent > 0 {
            out.extend(locations.to_be_bytes().last());
        }
    }
    // flag_ec3_extension_type_a behind seven reserved bits, complexity_index_type_a.
    out.extend(objects.into_iter().flat_map(|complexity| [1, complexity]));
    Ok(out)
}

/// chan_loc of the channel map of a dependent substream: table F.6.1 by table E.1.4.
fn chan_loc(map: u32) -> u32 {
    // Bit 0 of chanmap is its highest. Without L, C, R, Ls, Rs and LFE, which the independent substream has.
    let bits_of_map = [5, 6, 7, 8, 9, 10, 11, 12, 14];
    let located = (0..).zip(bits_of_map).filter(|(_, of_map)| map >> (15 - of_map) & 1 == 1);
    located.fold(0, |locations, (bit, _)| locations | 1 << bit)
}

/// What `bsi()` of the enhanced syntax says behind the fields of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Further {
    bsmod: u32,
    chanmap: u32,
    /// complexity_index_type_a, when there are objects beside the channels: ETSI TS 103 420 §8.3.
    objects: Option<u8>,
}

impl Syncframe {
    /// Reads `bsi()` to its end: table E.1.2. Nothing is there to read of AC-3.
    fn further(self, frame: &[u8]) -> Result<Further> {
        let mut further = Further::default();
        if self.bsid <= LAST_BSID_AC_3 {
            return Ok(further);
        }
        let mut bits = BitReader::plain(frame);
        bits.bits(16)?; // syncword
        let strmtyp = bits.bits(2)?;
        bits.bits(3 + 11 + 4)?; // substreamid, frmsiz, fscod, fscod2 or numblkscod
        let (acmod, has_effects) = (bits.bits(3)?, bits.bit()?);
        bits.bits(5 + 5)?; // bsid, dialnorm
        optional(&mut bits, 8)?; // compr
        if acmod == 0 {
            bits.bits(5)?; // dialnorm2
            optional(&mut bits, 8)?; // compr2
        }
        if strmtyp == 1 && bits.bit()? {
            further.chanmap = bits.bits(16)?;
        }
        if bits.bit()? {
            self.mixing(&mut bits, strmtyp, (acmod, has_effects))?;
        }
        // infomdate
        if bits.bit()? {
            further.bsmod = bits.bits(3)?;
            bits.bits(2)?; // copyrightb, origbs
            bits.bits(match acmod {
                2 => 2 + 2, // dsurmod, dheadphonmod
                6.. => 2,   // dsurexmod
                _ => 0,
            })?;
            // mixlevel, roomtyp, adconvtyp; of both channels when they are two programs.
            (0..if acmod == 0 { 2 } else { 1 }).try_for_each(|_| optional(&mut bits, 5 + 2 + 1))?;
            bits.bits(if self.fscod < 3 { 1 } else { 0 })?; // sourcefscod
        }
        let is_whole = self.blocks == 6;
        bits.bits(if strmtyp == 0 && !is_whole { 1 } else { 0 })?; // convsync
        if strmtyp == 2 && (is_whole || bits.bit()?) {
            bits.bits(6)?; // frmsizecod
        }
        // addbsie, addbsil; a field of one byte has no complexity.
        if bits.bit()? && bits.bits(6)? > 0 {
            bits.bits(7)?; // reserved
            if bits.bit()? {
                further.objects = u8::try_from(bits.bits(8)?).ok();
            }
        }
        Ok(further)
    }

    /// What `bsi()` says of mixing.
    fn mixing(self, bits: &mut BitReader<'_>, strmtyp: u32, (acmod, has_effects): (u32, bool)) -> Result<()> {
        let (has_three, has_surround) = (acmod > 2, acmod & 4 != 0);
        let of_front = if has_three && acmod & 1 == 1 { 3 + 3 } else { 0 }; // ltrtcmixlev, lorocmixlev
        let of_surround = if has_surround { 3 + 3 } else { 0 }; // ltrtsurmixlev, lorosurmixlev
        bits.bits(if has_three { 2 } else { 0 } + of_front + of_surround)?; // dmixmod
        if has_effects {
            optional(bits, 5)?; // lfemixlevcod
        }
        if strmtyp != 0 {
            return Ok(());
        }
        let programs = if acmod == 0 { 2 } else { 1 };
        (0..programs + 1).try_for_each(|_| optional(bits, 6))?; // pgmscl, pgmscl2, extpgmscl
        // mixdef
        match bits.bits(2)? {
            1 => bits.bits(1 + 1 + 3)?, // premixcmpsel, drcsrc, premixcmpscl
            2 => bits.bits(12)?,
            3 => (0..bits.bits(5)? + 2).try_fold(0, |_, _| bits.bits(8))?,
            _ => 0,
        };
        if acmod < 2 {
            (0..programs).try_for_each(|_| optional(bits, 8 + 6))?; // panmean, paninfo
        }
        // frmmixcfginfoe
        if bits.bit()? {
            match self.blocks {
                1 => drop(bits.bits(5)?),
                blocks => (0..blocks).try_for_each(|_| optional(bits, 5))?,
            }
        }
        Ok(())
    }
}

/// A field of so many bits that is there when the bit before it says so.
fn optional(bits: &mut BitReader<'_>, count: u32) -> Result<()> {
    if bits.bit()? {
        bits.bits(count)?;
    }
    Ok(())
}

/// `syncinfo()` and `bsi()`: §4.3.1, §4.3.2.
fn ac_3(bits: &mut BitReader<'_>, bsid: u32) -> Result<Syncframe> {
    bits.bits(16)?; // crc1
    let fscod = bits.bits(2)?;
    let frmsizecod = bits.bits(6)?;
    let at =
        |list: &[u32], index: u32| usize::try_from(index).ok().and_then(|index| list.get(index)).copied();
    let (Some(sampling_frequency), Some(bit_rate)) =
        (at(&FREQUENCIES, fscod), at(&BIT_RATES, frmsizecod / 2))
    else {
        return Err(Error::input(format!(
            "fscod is {fscod} and frmsizecod {frmsizecod}, 0 to 2 and 0 to 37 expected"
        ))
        .clause("ETSI TS 102 366 §4.4.1.3"));
    };
    // 1536 samples; at 44.1 kHz the odd codes have one word more: table 4.13.
    let words = bit_rate * 96_000 / sampling_frequency + if fscod == 1 { frmsizecod & 1 } else { 0 };
    bits.bits(5)?; // bsid
    let bsmod = bits.bits(3)?;
    let acmod = bits.bits(3)?;
    // cmixlev, surmixlev and dsurmod are each there for some modes only.
    let optional = if acmod & 1 == 1 && acmod != 1 { 2 } else { 0 }
        + if acmod & 4 != 0 { 2 } else { 0 }
        + if acmod == 2 { 2 } else { 0 };
    bits.bits(optional)?;
    let lfeon = bits.bits(1)?;
    let bytes = usize::try_from(words * 2).unwrap_or(0);
    Ok(Syncframe {
        bytes,
        goes_on: false,
        is_dependent: false,
        substreamid: 0,
        blocks: 6,
        sampling_frequency,
        bit_rate,
        fscod,
        bsid,
        bsmod,
        acmod,
        lfeon,
    })
}

/// `syncinfo()` and `bsi()` of the enhanced syntax: §E.1.2.2.
fn e_ac_3(bits: &mut BitReader<'_>, bsid: u32) -> Result<Syncframe> {
    // strmtyp 1 is dependent; substreamid of the first independent substream is 0: §E.1.3.1.1, §E.1.3.1.2.
    let (strmtyp, substreamid) = (bits.bits(2)?, bits.bits(3)?);
    let goes_on = strmtyp == 1 || substreamid != 0;
    let bytes = (bits.bits(11)? + 1) * 2;
    let fscod = bits.bits(2)?;
    let fscod2_or_numblkscod = bits.bits(2)?;
    let acmod = bits.bits(3)?;
    let lfeon = bits.bits(1)?;
    let full = |code: u32| usize::try_from(code).ok().and_then(|code| FREQUENCIES.get(code)).copied();
    // fscod 3: half the frequency, six blocks.
    let (sampling_frequency, blocks) = match fscod {
        3 => (full(fscod2_or_numblkscod).map(|frequency| frequency / 2), 6),
        _ => (
            full(fscod),
            [1, 2, 3].into_iter().nth(usize::try_from(fscod2_or_numblkscod).unwrap_or(3)).unwrap_or(6),
        ),
    };
    let Some(sampling_frequency) = sampling_frequency else {
        return Err(Error::input("fscod2 is 3, 0 to 2 expected").clause("ETSI TS 102 366 §E.1.3.1.4"));
    };
    let bit_rate = bytes * 8 * sampling_frequency / (blocks * 256) / 1000;
    let bytes = usize::try_from(bytes).unwrap_or(0);
    let is_dependent = strmtyp == 1;
    Ok(Syncframe {
        bytes,
        goes_on,
        is_dependent,
        substreamid,
        blocks,
        sampling_frequency,
        bit_rate,
        fscod,
        bsid,
        bsmod: 0,
        acmod,
        lfeon,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    #[test]
    fn a_syncframe_of_ac_3_has_the_length_of_its_table() {
        // 48 kHz, 192 kbit/s, bsid 8, 2/0: the most common stereo frame.
        let frame = [0x0b, 0x77, 0x12, 0x34, 0x14, 0x40, 0x43, 0xe1, 0, 0, 0];
        let parsed = Syncframe::parse(&frame).unwrap().unwrap();
        assert_eq!(parsed.bytes, 768);
        let facts = parsed.ac_3_facts(&frame).unwrap();
        assert_eq!((facts.rfc6381.as_str(), facts.channels), ("ac-3", Some(2)));
        assert_eq!(facts.setup_data, &frame[..10]);
    }

    #[test]
    fn a_syncframe_of_enhanced_ac_3_says_its_length() {
        // frmsiz 383, 48 kHz, six blocks, 3/2 with effects, bsid 16.
        let parsed = Syncframe::parse(&[0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x80, 0]).unwrap().unwrap();
        assert_eq!(parsed.bytes, 768);
        let facts = parsed.e_ac_3_facts();
        assert_eq!((facts.rfc6381.as_str(), facts.channels), ("ec-3", Some(6)));
        assert_eq!(facts.setup_data, [0x06, 0x00, 0x20, 0x0f, 0x00]);
    }

    /// Atmos in Enhanced AC-3, and what stands before it in `bsi()`.
    #[test]
    fn objects_of_a_syncframe_are_in_the_configuration() {
        let w = BitWriter::default;
        let header = |strmtyp, blocks, acmod, lfeon| {
            let sizes = w().u(16, 0x0b77).u(2, strmtyp).u(3, 0).u(11, 31).u(2, 0).u(2, blocks);
            sizes.u(3, acmod).u(1, lfeon).u(5, 16).u(5, 31)
        };
        let objects = || w().u(1, 1).u(6, 1).u(7, 0).u(1, 1).u(8, 16);
        let frame = |bits: BitWriter| {
            let mut frame = bits.rbsp();
            frame.resize(64, 0);
            frame
        };
        let plain = frame(header(0, 3, 7, 1).u(1, 0).u(1, 0).u(1, 0).then(&objects()));
        assert_eq!(dec3(&plain).unwrap(), [0, 0x80, 0x20, 0x0f, 0, 1, 16]);
        let mixing = w().u(1, 1).u(14, 0).u(1, 1).u(5, 9).u(1, 0).u(1, 1).u(6, 5);
        let mixing = mixing.u(2, 3).u(5, 1).u(24, 0xff_ffff).u(1, 1).u(6, 0);
        let info = w().u(1, 1).u(3, 2).u(2, 0).u(2, 0).u(1, 1).u(8, 0).u(1, 0);
        let full = frame(header(0, 3, 7, 1).u(1, 0).then(&mixing).then(&info).then(&objects()));
        assert_eq!(dec3(&full).unwrap(), [0, 0x80, 0x20, 0x2f, 0, 1, 16]);
        // Two programs of one block, and a dependent substream behind it with Lrs and Rrs.
        let mixing = w().u(1, 1).u(3, 0).u(2, 2).u(12, 0).u(1, 1).u(14, 0).u(1, 0).u(1, 1).u(5, 0);
        let two = header(0, 0, 0, 0).u(1, 1).u(8, 0).u(5, 0).u(1, 1).u(8, 0).then(&mixing);
        let two = frame(two.u(1, 1).u(5, 0).u(2, 0).u(1, 0).u(1, 0).then(&objects()));
        assert_eq!(dec3(&two).unwrap()[5..], [1, 16]);
        let dependent = frame(header(1, 3, 2, 0).u(1, 0).u(1, 1).u(16, 0x0200).u(4, 0));
        assert_eq!(dec3(&[plain, dependent].concat()).unwrap(), [1, 0, 0x20, 0x0f, 2, 2, 1, 16]);
        // Six blocks in as many syncframes are one substream.
        let one = frame(header(0, 0, 7, 1).u(4, 0).then(&objects()));
        assert_eq!(dec3(&one.repeat(6)).unwrap(), [3, 0, 0x20, 0x0f, 0, 1, 16]);
        // None without the flag, or in a field that ends before it.
        let none = frame(header(0, 3, 7, 1).u(3, 0).u(1, 1).u(6, 1).u(16, 0xff));
        assert_eq!(dec3(&none).unwrap().len(), 5);
        let short = frame(header(0, 3, 7, 1).u(3, 0).u(1, 1).u(6, 0).u(8, 1));
        assert_eq!(dec3(&short).unwrap().len(), 5);
    }

    #[test]
    fn what_is_no_syncframe_is_an_error() {
        assert!(Syncframe::parse(&[0; 7]).is_err());
        assert!(Syncframe::parse(&[0x0b, 0x77, 0, 0, 0xc0, 0x40, 0]).is_err(), "fscod 3");
        assert_eq!(Syncframe::parse(&[0x0b, 0x77]).unwrap(), None);
    }
}
