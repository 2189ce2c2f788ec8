//! Supplemental enhancement information of AVC and HEVC — ITU-T H.264 §7.3.2.3.1, ITU-T H.265 §7.3.5: its messages, and the
//! transfer characteristics that one of them prefers, §D.1.34 and §D.2.39.

use super::byte_stream::unescape;
use super::{Config, hevc, nal};
use crate::base::FourCc;
use crate::base::bytes::Reader;

/// payloadType of a recovery point.
pub(super) const RECOVERY_POINT: usize = 6;
/// payloadType of alternative transfer characteristics.
const ALTERNATIVE_TRANSFER_CHARACTERISTICS: usize = 147;
/// Bytes of a first sample before which such messages stand.
pub const MESSAGE_BYTES: usize = 8192;

/// How NAL units of a codec are told apart: its configuration, where the size of their lengths is in it, how long their
/// headers are, and the type of messages.
struct Units {
    configuration: [u8; 4],
    length_size_at: usize,
    header: usize,
    is_message: fn(u8) -> bool,
}

const UNITS: [Units; 2] = [
    Units {
        configuration: *b"hvcC",
        length_size_at: 21,
        header: 2,
        is_message: |first| first >> 1 & 0x3f == 39,
    },
    Units { configuration: *b"avcC", length_size_at: 4, header: 1, is_message: |first| first & 0x1f == 6 },
];

/// payloadType and payload of each message of a NAL unit, whose header is left out; those that are whole.
pub(super) fn messages(unit: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let bytes = unescape(unit);
    let mut rest = bytes.as_slice();
    let number = |rest: &mut &[u8]| -> Option<usize> {
        let full = rest.iter().take_while(|byte| **byte == 0xff).count();
        let last = *rest.get(full)?;
        *rest = rest.get(full + 1..)?;
        Some(255 * full + usize::from(last))
    };
    let mut found = Vec::new();
    while let (Some(kind), Some(size)) = (number(&mut rest), number(&mut rest)) {
        let Some((payload, behind)) = rest.split_at_checked(size) else { break };
        found.push((kind, payload.to_vec()));
        rest = behind;
    }
    found
}

/// preferred_transfer_characteristics of a NAL unit with messages, whose header is left out.
pub(super) fn preferred_transfer(unit: &[u8]) -> Option<u32> {
    let all = messages(unit);
    let message = all.iter().find(|(kind, _)| *kind == ALTERNATIVE_TRANSFER_CHARACTERISTICS);
    message.and_then(|(_, payload)| payload.first()).map(|number| u32::from(*number))
}

/// What a sample prefers as transfer characteristics, or the configuration when it has messages; of the sample the first
/// [`MESSAGE_BYTES`] are enough.
pub fn transfer_of_messages(config: &Config<'_>, sample: &[u8]) -> Option<u32> {
    let units = UNITS.iter().find(|units| config.payload(FourCc(units.configuration)).is_ok())?;
    let configuration = config.payload(FourCc(units.configuration)).ok()?;
    let of_unit = |unit: &[u8]| {
        let is_message = unit.first().is_some_and(|first| (units.is_message)(*first));
        unit.get(units.header..).filter(|_| is_message).and_then(preferred_transfer)
    };
    let size = nal::nal_unit_length_size(*configuration.get(units.length_size_at)?).ok()?;
    let in_sample = nal::nal_units(size, sample)
        .map_while(Result::ok)
        .find_map(|range| of_unit(sample.get(range).unwrap_or_default()));
    let in_configuration = || in_record(configuration).into_iter().find_map(|(_, unit)| of_unit(unit));
    in_sample.or_else(|| in_configuration().filter(|_| units.configuration == *b"hvcC"))
}

/// The NAL units of `hvcC`: ISO/IEC 14496-15 §8.3.3.1.
fn in_record(hvcc: &[u8]) -> Vec<hevc::NalUnit<'_>> {
    // Behind what goes from configurationVersion to lengthSizeMinusOne; a record that is cut off says nothing.
    hevc::nal_units(&mut Reader::new(hvcc.get(22..).unwrap_or_default())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_behind_the_other_and_what_is_cut_off_is_none() {
        // A buffering period of 2 bytes, one of 300 bytes, the transfer, and trailing bits.
        let mut unit = vec![0, 2, 1, 1, 5, 0xff, 45];
        unit.extend([7; 300]);
        unit.extend([147, 1, 18, 0x80]);
        assert_eq!(messages(&unit).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [0, 5, 147]);
        assert_eq!(preferred_transfer(&unit), Some(18));
        assert_eq!(preferred_transfer(&unit[..unit.len() - 2]), None);
    }

    #[test]
    fn samples_and_configurations_say_it() {
        let mut hvcc = [0; 23];
        (hvcc[0], hvcc[21]) = (1, 3);
        let mut with_message = hvcc.to_vec();
        with_message[22] = 1;
        with_message.extend([39, 0, 1, 0, 6, 0x4e, 1, 147, 1, 18, 0x80]);
        let of = |kind: &[u8; 4], configuration: &[u8], sample: &[u8]| {
            let config = Config { entry: FourCc(*b"hvc1"), boxes: vec![(FourCc(*kind), configuration)] };
            transfer_of_messages(&config, sample)
        };
        let hevc = [0, 0, 0, 2, 0x46, 1, 0, 0, 0, 6, 0x4e, 1, 147, 1, 16, 0x80, 0, 0, 9, 9];
        assert_eq!(of(b"hvcC", &hvcc, &hevc), Some(16));
        assert_eq!(of(b"hvcC", &with_message, &[]), Some(18));
        assert_eq!(of(b"hvcC", &with_message, &hevc), Some(16));
        let avc = [0, 0, 0, 5, 6, 147, 1, 18, 0x80];
        assert_eq!(of(b"avcC", &[1, 0, 0, 0, 0xff], &avc), Some(18));
        assert_eq!(of(b"av1C", &hvcc, &hevc), None);
    }
}
