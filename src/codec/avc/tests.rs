//! Laws of the AVC parser on bitstreams made by hand — ITU-T H.264 §7.3.

#![allow(clippy::single_range_in_vec_init, reason = "the vectors hold ranges, not their members")]

use std::ops::Range;

use super::parameter_sets::ParameterSets;
use super::*;
use crate::base::bits::BitReader;
use crate::codec::bit_writer::{BitWriter, nal};

const SPS_HEADER: u8 = 0x67;
const PPS_HEADER: u8 = 0x68;
const IDR: u8 = 0x65;
/// A slice of another picture, nal_ref_idc 2.
const REFERENCE: u8 = 0x41;
/// A slice of another picture, nal_ref_idc 0.
const NON_REFERENCE: u8 = 0x01;
/// What follows each header under test; found whole, the header was read to the bit.
const SENTINEL: u32 = 0xa5c3;

fn w() -> BitWriter {
    BitWriter::default()
}

/// Main profile from profile_idc to seq_parameter_set_id 0.
fn sps_start() -> BitWriter {
    w().u(8, 77).u(16, 31).ue(0)
}

/// From max_num_ref_frames on: 20 by 15 macroblocks, frames only or not.
fn sps_end(start: BitWriter, frame_mbs_only_flag: u32) -> BitWriter {
    start.ue(4).u(1, 0).ue(19).ue(14).u(1, frame_mbs_only_flag).u(2, 3).u(2, 0)
}

/// frame_num of 4 bits, pic_order_cnt_lsb of 6 bits, progressive.
fn sps() -> BitWriter {
    sps_end(sps_start().ue(0).ue(0).ue(2), 1)
}

/// The flags of a picture parameter set that slice headers depend on.
#[derive(Clone, Copy, Default)]
struct PpsFlags {
    id: u32,
    cabac: u32,
    bottom_field_pic_order: u32,
    defaults: [u32; 2],
    weighted_pred: u32,
    weighted_bipred: u32,
    deblocking: u32,
    redundant: u32,
}

impl PpsFlags {
    fn write(self) -> BitWriter {
        self.write_with(w().ue(0))
    }

    fn write_with(self, slice_groups: BitWriter) -> BitWriter {
        let start = w().ue(self.id).ue(0).u(1, self.cabac).u(1, self.bottom_field_pic_order);
        let end = start.then(&slice_groups).ue(self.defaults[0]).ue(self.defaults[1]);
        let end = end.u(1, self.weighted_pred).u(2, self.weighted_bipred).se(-3).se(0).se(2);
        end.u(1, self.deblocking).u(1, 0).u(1, self.redundant)
    }
}

fn sets(sps: &BitWriter, pps: &BitWriter) -> ParameterSets {
    let mut sets = ParameterSets::new();
    sets.update(nal_unit_type::SPS, &sps.nal(SPS_HEADER)[1..]).unwrap();
    sets.update(nal_unit_type::PPS, &pps.nal(PPS_HEADER)[1..]).unwrap();
    sets
}

/// The header is read to its last bit and not one further.
#[track_caller]
fn ends(sps: &BitWriter, pps: &BitWriter, header: u8, slice_header: BitWriter) {
    let nal_unit = slice_header.u(16, SENTINEL).nal(header);
    let mut reader = BitReader::new(&nal_unit[1..]);
    slice_header::parse(&mut reader, NalUnitHeader::parse(header).unwrap(), &sets(sps, pps)).unwrap();
    assert_eq!(reader.bits(16).unwrap(), SENTINEL);
}

fn avcc(length_size: u8, sps: &[&BitWriter], pps: &[&BitWriter]) -> Vec<u8> {
    let mut avcc = vec![1, 77, 0, 31, 0xfc | (length_size - 1)];
    for (sets, header, reserved) in [(sps, SPS_HEADER, 0xe0), (pps, PPS_HEADER, 0)] {
        avcc.push(reserved | u8::try_from(sets.len()).unwrap());
        for set in sets {
            let nal_unit = set.nal(header);
            avcc.extend(u16::try_from(nal_unit.len()).unwrap().to_be_bytes());
            avcc.extend(nal_unit);
        }
    }
    avcc
}

fn sample(length_size: usize, nal_units: &[&[u8]]) -> Vec<u8> {
    let mut sample = Vec::new();
    for nal_unit in nal_units {
        sample.extend(&u32::try_from(nal_unit.len()).unwrap().to_be_bytes()[4 - length_size..]);
        sample.extend(*nal_unit);
    }
    sample
}

fn ranges(avcc: &[u8], sample: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut out = Vec::new();
    SliceData::parse(avcc)?.ranges(sample, &mut out)?;
    Ok(out)
}

/// The start of a P slice header up to pic_order_cnt_lsb in a stream of [`sps`].
fn p_start(slice_type: u32) -> BitWriter {
    w().ue(0).ue(slice_type).ue(0).u(4, 9).u(6, 33)
}

/// An I slice of an IDR picture whose header has this idr_pic_id.
fn idr(idr_pic_id: u32) -> BitWriter {
    w().ue(0).ue(7).ue(0).u(4, 0).ue(idr_pic_id).u(6, 0).u(2, 0).se(-5)
}

/// `avcC` and samples for the contract of all codecs.
pub(in crate::codec) fn specimen() -> (Vec<u8>, Vec<Vec<u8>>) {
    let weighted = PpsFlags { cabac: 1, weighted_bipred: 1, deblocking: 1, id: 1, ..PpsFlags::default() };
    let avcc = avcc(4, &[&sps()], &[&PpsFlags::default().write(), &weighted.write()]);
    let payload = w().u(32, 0xdead_beef).u(32, 7);
    let first = idr(600).then(&payload).nal(IDR);
    let b_slice = w().ue(9).ue(6).ue(1).u(4, 9).u(6, 33).u(1, 1).u(1, 0).u(2, 0);
    let b_slice = b_slice.ue(3).ue(2).u(2, 0).u(1, 1).se(4).se(-9).u(1, 0).ue(1).se(1).ue(0).se(0).se(0);
    let second = b_slice.then(&payload).nal(NON_REFERENCE);
    let sets = [sps().nal(SPS_HEADER), weighted.write().nal(PPS_HEADER)];
    let key = sample(4, &[&[9, 0xf0], &sets[0], &sets[1], &first, &first, &[0x0a]]);
    (avcc, vec![key, sample(4, &[&[], &second, &second])])
}

#[test]
fn an_idr_slice_ends_after_slice_qp_delta() {
    ends(&sps(), &PpsFlags::default().write(), IDR, idr(0));
    ends(&sps(), &PpsFlags::default().write(), IDR, idr(65535));
}

#[test]
fn deblocking_offsets_are_there_unless_the_filter_is_off() {
    let pps = PpsFlags { deblocking: 1, ..PpsFlags::default() }.write();
    ends(&sps(), &pps, IDR, idr(1).ue(1));
    ends(&sps(), &pps, IDR, idr(1).ue(0).se(-6).se(6));
    ends(&sps(), &pps, IDR, idr(1).ue(2).se(3).se(-1));
}

#[test]
fn cabac_init_idc_is_there_with_cabac_outside_intra_slices() {
    for (cabac, i_slice) in [(0, false), (1, false), (0, true), (1, true)] {
        let pps = PpsFlags { cabac, ..PpsFlags::default() }.write();
        if i_slice {
            ends(&sps(), &pps, NON_REFERENCE, p_start(7).se(2));
        } else {
            let p_slice = p_start(5).u(1, 0).u(1, 0);
            let p_slice = if cabac == 1 { p_slice.ue(2) } else { p_slice };
            ends(&sps(), &pps, NON_REFERENCE, p_slice.se(2));
        }
    }
}

#[test]
fn list_modifications_run_until_3() {
    let pps = PpsFlags::default().write();
    let p_slice = p_start(0).u(1, 0).u(1, 1).ue(0).ue(5).ue(1).ue(70).ue(2).ue(1).ue(3);
    ends(&sps(), &pps, NON_REFERENCE, p_slice.se(0));
    let b_slice = p_start(1).u(1, 1).u(1, 0).u(1, 1).ue(1).ue(2).ue(3).u(1, 1).ue(2).ue(0).ue(3);
    ends(&sps(), &pps, NON_REFERENCE, b_slice.se(0));
    let b_slice = p_start(1).u(1, 1).u(1, 0).u(1, 0).u(1, 1).ue(0).ue(9).ue(3);
    ends(&sps(), &pps, NON_REFERENCE, b_slice.se(0));
    let mvc_only = p_start(0).u(1, 0).u(1, 1).ue(4).ue(0).ue(3).se(0).u(32, 0).nal(NON_REFERENCE);
    let error = ranges(&avcc(4, &[&sps()], &[&pps]), &sample(4, &[&mvc_only])).unwrap_err().to_string();
    assert!(error.starts_with("NAL unit at byte 4: slice_header: byte"), "{error}");
    assert!(error.ends_with("modification_of_pic_nums_idc is 4, at most 3 expected"), "{error}");
}

#[test]
fn memory_management_operations_run_until_0() {
    let pps = PpsFlags::default().write();
    let marking = w().u(1, 1).ue(1).ue(3).ue(2).ue(1).ue(3).ue(7).ue(1).ue(4).ue(2).ue(5).ue(6).ue(0).ue(0);
    ends(&sps(), &pps, REFERENCE, p_start(5).u(1, 0).u(1, 0).then(&marking).se(0));
    ends(&sps(), &pps, REFERENCE, p_start(5).u(1, 0).u(1, 0).u(1, 0).se(0));
}

#[test]
fn explicit_weights_cover_the_active_references() {
    let pps = PpsFlags { weighted_pred: 1, defaults: [1, 0], ..PpsFlags::default() }.write();
    // Two by default: luma only, then chroma only.
    let table = w().ue(5).ue(4).u(1, 1).se(-128).se(127).u(1, 0).u(1, 0).u(1, 1).se(1).se(2).se(3).se(4);
    ends(&sps(), &pps, NON_REFERENCE, p_start(5).u(1, 0).u(1, 0).then(&table).se(0));
    // One by override.
    let table = w().ue(5).ue(4).u(2, 0);
    ends(&sps(), &pps, NON_REFERENCE, p_start(5).u(1, 1).ue(0).u(1, 0).then(&table).se(0));
    // weighted_pred_flag says nothing about B slices.
    ends(&sps(), &pps, NON_REFERENCE, p_start(6).u(1, 0).u(1, 0).u(2, 0).se(0));
}

#[test]
fn weighted_bipred_idc_1_alone_brings_weights_to_b_slices() {
    for weighted_bipred in 0..3 {
        let pps = PpsFlags { weighted_bipred, defaults: [1, 0], ..PpsFlags::default() }.write();
        let b_slice = p_start(6).u(1, 1).u(1, 0).u(2, 0);
        let table = w().ue(1).ue(1).u(2, 0).u(1, 1).se(7).se(8).u(1, 0).u(1, 0).u(1, 1);
        let table = table.se(-1).se(-2).se(-3).se(-4);
        let b_slice = if weighted_bipred == 1 { b_slice.then(&table) } else { b_slice };
        ends(&sps(), &pps, NON_REFERENCE, b_slice.se(1));
        // Nor does weighted_bipred_idc say anything about P slices.
        ends(&sps(), &pps, NON_REFERENCE, p_start(5).u(1, 0).u(1, 0).se(1));
    }
}

#[test]
fn field_pictures_have_no_bottom_field_delta() {
    let interlaced = sps_end(sps_start().ue(0).ue(0).ue(2), 0);
    let pps = PpsFlags { bottom_field_pic_order: 1, ..PpsFlags::default() }.write();
    let field = w().ue(0).ue(7).ue(0).u(4, 1).u(1, 1).u(1, 1).ue(3).u(6, 9).u(2, 0).se(0);
    ends(&interlaced, &pps, IDR, field);
    let frame = w().ue(0).ue(7).ue(0).u(4, 1).u(1, 0).ue(3).u(6, 9).se(-1).u(2, 0).se(0);
    ends(&interlaced, &pps, IDR, frame);
}

#[test]
fn picture_order_count_of_type_1_has_deltas_unless_always_zero() {
    let type_1 =
        |always_zero| sps_end(sps_start().ue(3).ue(1).u(1, always_zero).se(-4).se(9).ue(2).se(1).se(-900), 1);
    let start = || w().ue(0).ue(7).ue(0).u(7, 100);
    for bottom_field_pic_order in [0, 1] {
        let pps = PpsFlags { bottom_field_pic_order, ..PpsFlags::default() }.write();
        ends(&type_1(1), &pps, NON_REFERENCE, start().se(4));
        let deltas = if bottom_field_pic_order == 1 { w().se(-70).se(5) } else { w().se(-70) };
        ends(&type_1(0), &pps, NON_REFERENCE, start().then(&deltas).se(4));
    }
    let type_2 = sps_end(sps_start().ue(3).ue(2), 1);
    ends(&type_2, &PpsFlags::default().write(), NON_REFERENCE, start().se(4));
}

#[test]
fn redundant_pic_cnt_comes_after_picture_order_count() {
    let pps = PpsFlags { redundant: 1, ..PpsFlags::default() }.write();
    ends(&sps(), &pps, NON_REFERENCE, p_start(5).ue(127).u(1, 0).u(1, 0).se(0));
}

#[test]
fn separate_color_planes_have_an_id_and_no_chroma_weights() {
    for separate in [0, 1] {
        // High 4:4:4 Predictive with 12 scaling lists: two sent, one of them ended early.
        let start = w().u(8, 244).u(16, 31).ue(0).ue(3).u(1, separate).ue(0).ue(0).u(1, 0).u(1, 1);
        let lists = (0..15).fold(w().u(1, 1), |list, _| list.se(1)).se(0).u(5, 0).u(1, 1).se(-8).u(5, 0);
        let sps = sps_end(start.then(&lists).ue(0).ue(0).ue(2), 1);
        let pps = PpsFlags { weighted_pred: 1, ..PpsFlags::default() }.write();
        let p_slice = w().ue(0).ue(5).ue(0);
        let p_slice = if separate == 1 { p_slice.u(2, 2) } else { p_slice };
        let p_slice = p_slice.u(4, 3).u(6, 3).u(1, 0).u(1, 0);
        let table = if separate == 1 { w().ue(3).u(1, 0) } else { w().ue(3).ue(3).u(2, 0) };
        ends(&sps, &pps, NON_REFERENCE, p_slice.then(&table).se(0));
    }
}

#[test]
fn monochrome_has_no_chroma_weights() {
    let start = w().u(8, 100).u(16, 31).ue(0).ue(0).ue(0).ue(0).u(1, 0).u(1, 0);
    let sps = sps_end(start.ue(0).ue(0).ue(2), 1);
    let pps = PpsFlags { weighted_pred: 1, ..PpsFlags::default() }.write();
    ends(&sps, &pps, NON_REFERENCE, p_start(5).u(1, 0).u(1, 0).ue(3).u(1, 1).se(1).se(1).se(0));
}

#[test]
fn switching_slices_have_a_second_quantizer() {
    let pps = PpsFlags { cabac: 1, weighted_pred: 1, ..PpsFlags::default() }.write();
    let sp_slice = p_start(8).u(1, 0).u(1, 0).ue(0).ue(0).u(2, 0).ue(1).se(5).u(1, 1).se(-6);
    ends(&sps(), &pps, NON_REFERENCE, sp_slice);
    ends(&sps(), &pps, NON_REFERENCE, p_start(9).se(5).se(-6));
}

#[test]
fn slice_group_change_cycle_has_the_bits_of_the_number_of_cycles() {
    // 300 map units in cycles of 300, 299, 100, 99 and 1: 1, 2, 3, 4 and 300 cycles.
    for (rate, bits) in [(300, 1), (299, 2), (100, 2), (99, 3), (1, 9)] {
        for map_type in 3..=5 {
            let groups = w().ue(1).ue(map_type).u(1, 0).ue(rate - 1);
            let pps = PpsFlags::default().write_with(groups);
            ends(&sps(), &pps, IDR, idr(4).u(bits, 1));
        }
    }
}

#[test]
fn other_slice_group_maps_leave_the_header_as_it_is() {
    let ids = (0..300).fold(w().ue(2).ue(6).ue(299), |map, unit| map.u(2, unit % 3));
    let maps =
        [w().ue(2).ue(0).ue(9).ue(99).ue(0), w().ue(1).ue(1), w().ue(2).ue(2).ue(0).ue(5).ue(7).ue(8), ids];
    for map in maps {
        let pps = PpsFlags { deblocking: 1, ..PpsFlags::default() }.write_with(map);
        ends(&sps(), &pps, IDR, idr(4).ue(1));
    }
}

#[test]
fn emulation_prevention_inside_the_header_is_clear_and_after_it_is_not() {
    let pps = PpsFlags::default().write();
    let wide = sps_end(sps_start().ue(12).ue(0).ue(12), 1);
    // frame_num and pic_order_cnt_lsb of 16 zeros each, with 16 more on either side of idr_pic_id.
    let header = w().ue(0).ue(7).ue(0).u(16, 0).ue(65535).u(16, 0).u(2, 0).se(-5);
    let slice = header.clone().u(32, 0x7fff_ffff);
    let nal_unit = slice.nal(IDR);
    let emulation_prevention = nal_unit.len() - 1 - slice.rbsp().len();
    assert_eq!(emulation_prevention, 2, "{nal_unit:02x?}");
    let found = ranges(&avcc(4, &[&wide], &[&pps]), &sample(4, &[&nal_unit])).unwrap();
    assert_eq!(found, [4 + 1 + header.bytes() + emulation_prevention..4 + nal_unit.len()]);

    // The header ends with two zero bytes; the 03 after them is not needed to read it.
    let pps = PpsFlags::default().write_with(w().ue(1).ue(3).u(1, 0).ue(0));
    let tall = w().u(8, 77).u(16, 31).ue(0).ue(0).ue(0).ue(2).ue(4).u(1, 0).ue(511).ue(511).u(1, 1);
    let header = idr(0).u(19, 0);
    assert_eq!(header.clone().rbsp().len(), header.bytes() + 1, "ends with a byte");
    let rbsp = [&header.rbsp()[..header.bytes()], &[1, 0x80]].concat();
    let nal_unit = nal(IDR, &rbsp);
    assert_eq!(nal_unit[header.bytes() - 1..], [0, 0, 3, 1, 0x80]);
    let found = ranges(&avcc(4, &[&tall.u(3, 0)], &[&pps]), &sample(4, &[&nal_unit])).unwrap();
    assert_eq!(found, [4 + 1 + header.bytes()..4 + nal_unit.len()]);
}

#[test]
fn every_length_size_and_every_slice_of_a_sample_is_found() {
    let slice = idr(0).u(32, 0x1234_5678).nal(IDR);
    let clear = 1 + idr(0).bytes();
    for length_size in [1_u8, 2, 4] {
        let avcc = avcc(length_size, &[&sps()], &[&PpsFlags::default().write()]);
        let prefix = usize::from(length_size);
        let sample = sample(prefix, &[&[9, 0xf0], &slice, &[6, 5, 4, 3, 2], &slice]);
        let first = prefix + 2 + prefix;
        let second = first + slice.len() + prefix + 5 + prefix;
        let expected = [first + clear..first + slice.len(), second + clear..second + slice.len()];
        assert_eq!(ranges(&avcc, &sample).unwrap(), expected);
    }
    let mut odd = avcc(4, &[], &[]);
    odd[4] = 0xfe;
    let error = SliceData::parse(&odd).unwrap_err().to_string();
    assert_eq!(error, "lengthSizeMinusOne is 2, one of 0, 1, 3 expected (ISO/IEC 14496-15 §5.3.3.2)");
}

#[test]
fn two_slices_and_a_clear_unit_give_the_expected_subsamples() {
    // Lengths of one byte; slice headers of 4 and 5 bytes in NAL units of 9 and 39; then 50 clear bytes.
    let avcc = avcc(1, &[&sps()], &[&PpsFlags::default().write()]);
    let slice = |idr_pic_id, header_bytes, length| {
        assert_eq!(idr(idr_pic_id).bytes(), header_bytes);
        let mut nal_unit = idr(idr_pic_id).u(8, 0xff).nal(IDR);
        nal_unit.resize(length, 0x55);
        nal_unit
    };
    let sei = [6_u8; 50];
    let sample = sample(1, &[&slice(0, 4, 9), &slice(40, 5, 39), &sei]);
    assert_eq!(ranges(&avcc, &sample).unwrap(), [6..10, 17..50]);
}

#[test]
fn a_parameter_set_in_a_sample_moves_the_boundary_of_later_slices() {
    let plain = PpsFlags::default().write();
    let redundant = PpsFlags { redundant: 1, ..PpsFlags::default() }.write();
    // 32 bits of header, of which the last code is slice_qp_delta; or, with redundant_pic_cnt, 33 bits.
    let short = p_start(7).ue(100);
    let long = short.clone().se(0);
    assert_eq!((short.bytes(), long.bytes()), (4, 5));
    let slice = long.u(32, 0xffff_ffff).nal(NON_REFERENCE);
    let mut slices = SliceData::parse(&avcc(4, &[&sps()], &[&plain])).unwrap();
    let mut clear = |nal_units: &[&[u8]]| {
        let mut out = Vec::new();
        slices.ranges(&sample(4, nal_units), &mut out).unwrap();
        out.iter().map(|range| slice.len() - range.len()).collect::<Vec<_>>()
    };
    assert_eq!(clear(&[&slice]), [1 + 4]);
    assert_eq!(clear(&[&slice, &redundant.nal(PPS_HEADER), &slice]), [1 + 4, 1 + 5]);
    // It stays in force in later samples, until it is replaced again.
    assert_eq!(clear(&[&slice]), [1 + 5]);
    assert_eq!(clear(&[&plain.nal(PPS_HEADER), &slice]), [1 + 4]);
}

#[test]
fn a_sequence_parameter_set_in_a_sample_counts_for_picture_parameter_sets_sent_before() {
    let mut slices = SliceData::parse(&avcc(4, &[], &[&PpsFlags::default().write()])).unwrap();
    let slice = idr(0).u(32, 0xffff_ffff).nal(IDR);
    let mut out = Vec::new();
    let error = slices.ranges(&sample(4, &[&slice]), &mut out).unwrap_err().to_string();
    assert_eq!(
        error,
        "NAL unit at byte 4: slice_header: seq_parameter_set_id 0 refers to a parameter set that was \
         not sent (ITU-T H.264 §7.4.1.2.1)"
    );
    // A subset sequence parameter set (15) is of another layer and changes nothing.
    let sps = sps().rbsp();
    assert!(slices.ranges(&sample(4, &[&nal(0x6f, &sps), &slice]), &mut out).is_err());
    slices.ranges(&sample(4, &[&nal(SPS_HEADER, &sps), &slice]), &mut out).unwrap();
    assert_eq!(out.len(), 1);
}

#[test]
fn units_of_one_byte_and_of_none_are_clear() {
    let avcc = avcc(2, &[&sps()], &[&PpsFlags::default().write()]);
    assert_eq!(ranges(&avcc, &sample(2, &[&[], &[0x0a], &[IDR], &[], &[0x0b]])).unwrap(), []);
    assert_eq!(ranges(&avcc, &[]).unwrap(), []);
}

#[test]
fn zero_bytes_after_a_slice_stay_in_its_range() {
    let avcc = avcc(4, &[&sps()], &[&PpsFlags::default().write()]);
    let mut slice = idr(0).u(32, 0xffff_ffff).nal(IDR);
    slice.extend([0; 3]);
    assert_eq!(ranges(&avcc, &sample(4, &[&slice])).unwrap()[0].end, 4 + slice.len());
}

#[test]
fn a_length_beyond_the_sample_is_an_error_with_its_byte() {
    let avcc = avcc(4, &[&sps()], &[&PpsFlags::default().write()]);
    let error = ranges(&avcc, &[0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 9, 1]).unwrap_err().to_string();
    assert_eq!(error, "byte 10: NAL unit of 9 bytes, the sample has 1 left (ISO/IEC 14496-15 §5.3.4.2)");
    let error = ranges(&avcc, &[0, 0, 0, 2, 9, 0xf0, 0, 0]).unwrap_err().to_string();
    assert_eq!(error, "byte 6: 4 bytes expected, 2 left");
}

#[test]
fn a_damaged_header_byte_is_an_error() {
    let error = ranges(&avcc(4, &[], &[]), &sample(4, &[&[0xe5, 1, 2]])).unwrap_err().to_string();
    assert_eq!(error, "NAL unit at byte 4: forbidden_zero_bit is 1 (ITU-T H.264 §7.4.1)");
}

#[test]
fn the_codecs_parameter_is_that_of_avcc() {
    let codecs = |entry: &[u8; 4], avcc: &[u8]| {
        (CODEC.rfc6381)(&Config { entry: FourCc(*entry), boxes: vec![(AVCC, avcc)] })
    };
    assert_eq!(codecs(b"avc1", &[1, 0x64, 0, 0x1f, 0xff]).unwrap(), "avc1.64001f");
    assert_eq!(codecs(b"avc3", &[1, 0x42, 0xc0, 0x0d]).unwrap(), "avc3.42c00d");
    assert!(codecs(b"avc1", &[1, 0x42, 0xc0]).is_err());
    assert!(codecs(b"avc1", &[2, 0x42, 0xc0, 0x0d]).is_err());
}

#[test]
fn the_trailer_of_high_profiles_is_passed_over_and_every_truncation_before_it_is_an_error() {
    let mut whole = avcc(4, &[&sps()], &[&PpsFlags::default().write()]);
    let length = whole.len();
    whole.extend([0xfd, 0xf8, 0xf8, 0]);
    assert!(SliceData::parse(&whole).is_ok());
    for end in 0..length {
        assert!(SliceData::parse(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn slices_that_would_stay_clear_are_refused_and_what_only_describes_a_layer_is_clear() {
    let avcc = avcc(4, &[&sps()], &[&PpsFlags::default().write()]);
    let slice = idr(0).u(32, 0x1234_5678).nal(IDR);
    // A prefix NAL unit before the slice that it is about, a subset sequence parameter set.
    let found = ranges(&avcc, &sample(4, &[&[0x6e, 0x40, 0, 7], &slice, &[0x6f, 0xff], &slice])).unwrap();
    assert_eq!(found.len(), 2);
    for (header, what) in [
        (0x42, "a slice data partition, nal_unit_type 2"),
        (0x44, "a slice data partition, nal_unit_type 4"),
        (0x73, "an auxiliary coded picture, nal_unit_type 19"),
        (0x74, "a slice of another layer or view, nal_unit_type 20"),
        (0x75, "a slice of a depth or texture view, nal_unit_type 21"),
    ] {
        let error = ranges(&avcc, &sample(4, &[&slice, &[header, 0x40, 0, 7, 1]])).unwrap_err();
        assert_eq!(error.kind(), crate::base::Kind::Unsupported);
        assert!(error.to_string().contains(what), "{error}");
    }
}
