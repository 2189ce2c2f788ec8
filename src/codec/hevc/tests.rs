//! Laws of the HEVC parser on bitstreams made by hand — ITU-T H.265 §7.3.

use std::ops::Range;

use super::*;
use crate::base::bits::BitReader;
use crate::codec::bit_writer::BitWriter;

const SPS_NUT: u8 = 33;
const PPS_NUT: u8 = 34;
const TRAIL_R: u8 = 1;
const IDR: u8 = 19;

fn w() -> BitWriter {
    BitWriter::default()
}

/// A NAL unit of the base layer.
fn nal_unit(nal_unit_type: u8, bits: &BitWriter) -> Vec<u8> {
    let mut nal_unit = bits.nal(nal_unit_type << 1);
    nal_unit.insert(1, 1);
    nal_unit
}

/// 416 by 240 samples in coding tree blocks of 64: 28 of them. `end` follows pcm_enabled_flag.
fn sps_with(end: &BitWriter) -> BitWriter {
    let profile = w().u(4, 0).u(3, 0).u(1, 1).u(8, 1).u(32, 0x6000_0000).u(32, 0x9000_0000).u(16, 0).u(8, 93);
    let format = profile.ue(0).ue(1).ue(416).ue(240).u(1, 0).ue(0).ue(0).ue(4).u(1, 1).ue(4).ue(2).ue(0);
    format.ue(0).ue(3).ue(0).ue(3).ue(1).ue(1).u(1, 0).u(1, 1).u(1, 1).u(1, 0).then(end)
}

/// Two sets, the second of them predicted; one long-term candidate; temporal motion vectors.
fn sps() -> BitWriter {
    // −1 used, −3 not used, +2 used; then all of them and the picture itself, seen from one later.
    let first = w().ue(2).ue(1).ue(0).u(1, 1).ue(1).u(1, 0).ue(1).u(1, 1);
    let second = w().u(1, 1).u(1, 1).ue(0).u(4, 0b1111);
    let long_term = w().u(1, 1).ue(1).u(8, 9).u(1, 1);
    sps_with(&w().ue(2).then(&first).then(&second).then(&long_term).u(1, 1).u(1, 0).u(1, 0).u(1, 0))
}

/// All that makes slice segment headers long.
fn pps() -> BitWriter {
    let start = w().ue(0).ue(0).u(1, 1).u(1, 1).u(3, 2).u(1, 0).u(1, 1).ue(1).ue(0).se(-4).u(3, 0);
    let start = start.se(0).se(0).u(1, 1).u(1, 1).u(1, 1).u(1, 0).u(1, 0).u(1, 1).u(1, 1);
    start.u(1, 1).u(1, 1).u(1, 1).u(1, 0).u(1, 1).ue(0).u(1, 1).u(1, 0)
}

/// An IDR slice segment that ends with two entry points and an extension of one byte.
fn idr() -> BitWriter {
    let start = w().u(1, 1).u(1, 0).ue(0).u(2, 0).ue(2).u(1, 1).u(1, 1).u(1, 0).se(3).se(-1).se(1);
    start.u(1, 1).u(1, 0).se(2).se(-2).u(1, 1).ue(2).ue(31).u(32, 3).u(32, 0x0102_0304).ue(1).u(8, 0x55)
}

/// A B slice with set 1 of the sequence parameter set, a long-term picture of each kind, and weights.
fn b_slice() -> BitWriter {
    let start = w().u(1, 0).ue(0).u(1, 0).u(5, 17).u(2, 0).ue(0).u(1, 1).u(8, 40).u(1, 1).u(1, 1);
    // One candidate, which takes no index, and one picture of its own: NumPicTotalCurr 3 + 2.
    let long_term = start.ue(1).ue(1).u(1, 1).ue(4).u(8, 200).u(1, 1).u(1, 0).u(1, 1).u(1, 1).u(1, 0);
    let lists = long_term.u(1, 1).ue(1).ue(2).u(1, 1).u(3, 4).u(3, 0).u(1, 0).u(1, 1).u(1, 0);
    let collocated = lists.u(1, 0).ue(2);
    let l0 = collocated.ue(6).se(1).u(2, 0b10).u(2, 0b01).se(5).se(-7).se(1).se(2).se(3).se(4);
    let l1 = l0.u(3, 0).u(3, 0b100).se(-1).se(-2).se(-3).se(-4);
    l1.ue(0).se(7).se(0).se(0).u(1, 0).u(1, 1).ue(0).ue(0)
}

/// A dependent slice segment.
fn dependent() -> BitWriter {
    w().u(1, 0).ue(0).u(1, 1).u(5, 20).ue(0).ue(0)
}

fn hvcc(length_size: u8, sets: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut hvcc = vec![1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
    hvcc.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0c | (length_size - 1)]);
    hvcc.push(u8::try_from(sets.len()).unwrap());
    for (nal_unit_type, set) in sets {
        hvcc.extend([0x80 | nal_unit_type, 0, 1]);
        hvcc.extend(u16::try_from(set.len()).unwrap().to_be_bytes());
        hvcc.extend(set);
    }
    hvcc
}

fn configuration() -> Vec<u8> {
    hvcc(4, &[(SPS_NUT, nal_unit(SPS_NUT, &sps())), (PPS_NUT, nal_unit(PPS_NUT, &pps()))])
}

fn sample(nal_units: &[&[u8]]) -> Vec<u8> {
    let mut sample = Vec::new();
    for nal_unit in nal_units {
        sample.extend(u32::try_from(nal_unit.len()).unwrap().to_be_bytes());
        sample.extend(*nal_unit);
    }
    sample
}

/// `hvcC` and samples for the contract of all codecs.
pub(in crate::codec) fn specimen() -> (Vec<u8>, Vec<Vec<u8>>) {
    let slice = |nal_unit_type, header: &BitWriter| {
        let mut slice = nal_unit(nal_unit_type, header);
        slice.extend([0xa5; 40]);
        slice
    };
    let sets = [nal_unit(SPS_NUT, &sps()), nal_unit(PPS_NUT, &pps())];
    let key = sample(&[&[70, 1, 0x50], &sets[0], &sets[1], &slice(IDR, &idr()), &slice(IDR, &idr())]);
    let other =
        sample(&[&slice(TRAIL_R, &b_slice()), &slice(TRAIL_R, &dependent()), &[124, 1, 0x19], &[74, 1], &[]]);
    (configuration(), vec![key, other])
}

fn ranges(hvcc: &[u8], sample: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut out = Vec::new();
    SliceSegmentData::parse(hvcc)?.ranges(sample, &mut out)?;
    Ok(out)
}

/// byte_alignment() is the end of the header, and slice segment data the byte after it.
#[track_caller]
fn ends(nal_unit_type: u8, header: &BitWriter) {
    let mut slice = nal_unit(nal_unit_type, header);
    let size = slice.len();
    slice.extend([0xa5, 0xc3]);
    assert_eq!(ranges(&configuration(), &sample(&[&slice])).unwrap(), vec![4 + size..6 + size]);
}

#[test]
fn slice_segment_headers_end_after_byte_alignment() {
    ends(IDR, &idr());
    ends(TRAIL_R, &b_slice());
    ends(TRAIL_R, &dependent());
}

#[test]
fn a_header_that_fills_its_last_byte_has_a_byte_of_alignment() {
    // slice_segment_header_extension_length decides how the bits fall.
    for extension in 0..16 {
        let header = w().u(1, 0).ue(0).u(1, 1).u(5, 20).ue(0).ue(extension);
        let header = (0..extension).fold(header, |header, _| header.u(8, 0));
        ends(TRAIL_R, &header);
    }
}

#[test]
fn the_codecs_parameter_is_that_of_annex_e() {
    let of = |hvcc: &[u8]| rfc6381(&Config { entry: FourCc(*b"hvc1"), boxes: vec![(HVCC, hvcc)] });
    assert_eq!(of(&configuration()).unwrap(), "hvc1.1.6.L93.90");
    // The second example of the annex: profile space 1, profile 4, high tier, level 2.1.
    let high = [1, 0x64, 0x82, 0, 0, 0, 0xb0, 0x23, 0, 0, 0, 0, 63];
    assert_eq!(of(&high).unwrap(), "hvc1.A4.41.H63.B0.23");
    assert!(of(&high[..12]).is_err());
}

#[test]
fn what_cannot_be_found_safely_is_refused() {
    let error = |sample: &[u8]| ranges(&configuration(), sample).unwrap_err().to_string();
    let mut layer = nal_unit(TRAIL_R, &b_slice());
    layer[1] = 9;
    assert!(error(&sample(&[&layer])).contains("a slice of nuh_layer_id 1, which no video"));
    assert!(error(&sample(&[&nal_unit(24, &w().u(8, 0))])).contains("reserved nal_unit_type 24"));
    assert!(
        error(&sample(&[&nal_unit(IDR, &w().u(1, 1).u(1, 0).ue(7))])).contains("7 refers to a parameter")
    );
    assert!(error(&sample(&[&[0x80, 1, 0]])).contains("forbidden_zero_bit"));
    assert!(error(&[0, 0, 0, 9, 1]).contains("NAL unit of 9 bytes, the sample has 1 left"));
}

#[test]
fn a_predicted_set_drops_the_current_picture_and_what_is_not_used() {
    let explicit = BitWriter::default().ue(2).ue(1).ue(0).u(1, 1).ue(1).u(1, 0).ue(1).u(1, 1).rbsp();
    let first =
        ref_pic_set::StRefPicSet::parse(&mut BitReader::new(&explicit), &[], ref_pic_set::Carrier::Sps);
    let first = first.unwrap();
    assert_eq!(first.used_by_curr_pic(), 2);
    // deltaRps 1 takes −1 to 0, which is no reference, −3 to −2, used, +2 to +3, left out, 0 to 1, unused.
    let predicted =
        BitWriter::default().u(1, 1).ue(0).u(1, 0).ue(0).u(1, 1).u(1, 1).u(2, 0).u(2, 0b01).rbsp();
    let set = ref_pic_set::StRefPicSet::parse(
        &mut BitReader::new(&predicted),
        &[first],
        ref_pic_set::Carrier::Slice,
    );
    let expected = BitWriter::default().ue(1).ue(1).ue(1).u(1, 1).ue(0).u(1, 0).rbsp();
    let expected =
        ref_pic_set::StRefPicSet::parse(&mut BitReader::new(&expected), &[], ref_pic_set::Carrier::Sps);
    assert_eq!(set.unwrap(), expected.unwrap());
}
