//! Laws of the AV1 parser on bitstreams made by hand — AV1 Bitstream Specification §5.

use std::ops::Range;

use super::*;
use crate::codec::bit_writer::BitWriter;

/// obu_type, as in §6.2.2.
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;

fn w() -> BitWriter {
    BitWriter::default()
}

/// The bits filled up to whole bytes, and these bytes after them.
fn bytes(bits: &BitWriter, payload: &[u8]) -> Vec<u8> {
    let missing = bits.bytes() * 8 - bits.bits();
    let mut bytes = bits.clone().u(u32::try_from(missing).unwrap(), 0).rbsp();
    bytes.truncate(bits.bytes());
    bytes.extend(payload);
    bytes
}

/// An OBU with obu_size.
fn obu(obu_type: u8, payload: &[u8]) -> Vec<u8> {
    let size = payload.len();
    assert!(size < 0x4000);
    let leb128 = [u8::try_from(size & 0x7f).unwrap() | 0x80, u8::try_from(size >> 7).unwrap()];
    [&[(obu_type << 3) | 2][..], &leb128, payload].concat()
}

/// 512 by 256, 64 by 64 superblocks, order hints of 7 bits, film grain.
fn sequence_header() -> Vec<u8> {
    let start = w().u(3, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(5, 0).u(12, 0).u(5, 4);
    let size = start.u(4, 9).u(4, 8).u(10, 511).u(9, 255).u(1, 0).u(1, 0).u(2, 0);
    let tools = size.u(2, 0).u(1, 1).u(1, 0).u(1, 1).u(1, 0).u(1, 1).u(1, 1).u(1, 1).u(3, 6);
    let filters = tools.u(1, 0).u(1, 1).u(1, 1);
    let color = filters.u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(2, 0).u(1, 0);
    obu(SEQUENCE_HEADER, &color.u(1, 1).rbsp())
}

/// tile_info() of two columns and two rows with sizes of two bytes, then quantization and what follows it in a
/// frame that needs no reference.
fn two_by_two_tiles(start: BitWriter) -> BitWriter {
    // uniform_tile_spacing_flag; 8 columns and 4 rows of superblocks.
    let tiles = start.u(1, 1).u(2, 0b10).u(2, 0b10).u(2, 3).u(2, 1);
    let quantization = tiles.u(8, 100).u(1, 0).u(1, 1).u(7, 3).u(1, 0).u(1, 0);
    let segmentation = quantization.u(1, 0);
    let delta_q = segmentation.u(1, 1).u(2, 1).u(1, 1).u(3, 0);
    let loop_filter = delta_q.u(12, 65).u(12, 0).u(3, 0).u(1, 1).u(1, 1).u(1, 1).u(7, 1).u(9, 0);
    let cdef = loop_filter.u(2, 0).u(2, 1).u(24, 0);
    let restoration = cdef.u(2, 1).u(2, 0).u(2, 2).u(1, 1).u(1, 0).u(1, 1);
    restoration.u(1, 1) // tx_mode_select
}

/// A shown key frame.
fn key_frame_header() -> BitWriter {
    let start = w().u(1, 0).u(2, 0).u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(7, 0);
    let header = two_by_two_tiles(start.u(1, 0).u(1, 0)).u(1, 0);
    // Grain with one point of luma, of which chroma follows; lag 1.
    let grain = header.u(1, 1).u(16, 9).u(4, 1).u(16, 0).u(1, 1).u(2, 0).u(2, 1);
    grain.u(32, 0).u(32, 0).u(32, 0).u(16, 0).u(4, 0).u(2, 0)
}

/// A shown inter frame of this order hint whose references are slot 0, found by short signaling.
fn inter_frame_header(order_hint: u32) -> BitWriter {
    let start = w().u(1, 0).u(2, 1).u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(7, order_hint).u(3, 0);
    let references = start.u(8, 1 << 3).u(1, 1).u(3, 0).u(3, 1);
    let size = references.u(1, 0);
    let motion = size.u(1, 1).u(1, 1).u(1, 0).u(1, 0).u(1, 0);
    let header = two_by_two_tiles(motion);
    // One reference, warped motion, one translation.
    let modes = header.u(1, 0).u(1, 1).u(1, 0);
    let global = modes.u(1, 1).u(1, 0).u(1, 1).u(4, 0b0101).u(4, 0b0011).u(6, 0);
    global.u(1, 0)
}

/// A tile group without its first byte: tiles of 5, 260, 7 and 20 bytes.
fn tiles() -> (Vec<u8>, Vec<usize>) {
    let sizes = vec![5, 260, 7, 20];
    let mut group = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        if index + 1 < sizes.len() {
            group.extend(u16::try_from(size - 1).unwrap().to_le_bytes());
        }
        group.extend(vec![0x5a; *size]);
    }
    (group, sizes)
}

fn frame(header: &BitWriter) -> Vec<u8> {
    obu(FRAME, &[bytes(header, &[]), vec![0], tiles().0].concat())
}

/// `av1C` and samples for the contract of all codecs.
pub(in crate::codec) fn specimen() -> (Vec<u8>, Vec<Vec<u8>>) {
    let av1c = [&[0x81, 4, 0x0c, 0][..], &sequence_header()].concat();
    let key = [sequence_header(), frame(&key_frame_header())].concat();
    // Two tile groups of a frame whose header stands alone and is repeated.
    let header = bytes(&inter_frame_header(2).u(1, 1), &[]);
    let group =
        |start: u32, end: u32, body: &[u8]| obu(TILE_GROUP, &bytes(&w().u(1, 1).u(2, start).u(2, end), body));
    let first = group(0, 1, &[&[4, 0][..], &[7; 5], &[8; 9]].concat());
    let second = group(2, 3, &[&[2, 0][..], &[7; 3], &[8; 40]].concat());
    let mut split = [obu(FRAME_HEADER, &header), first, obu(7, &header), second].concat();
    // The last OBU has no size.
    split.extend([&[FRAME << 3][..], &bytes(&inter_frame_header(3), &[0]), &tiles().0].concat());
    (av1c, vec![key, frame(&inter_frame_header(1)), split])
}

fn parser() -> Box<dyn Ranges> {
    let av1c = [&[0x81, 4, 0x0c, 0][..], &sequence_header()].concat();
    tile_data_ranges(&Config { entry: FourCc(*b"av01"), boxes: vec![(AV1C, &av1c)] }).unwrap()
}

#[test]
fn tiles_are_found_without_their_sizes_and_headers() {
    let mut parser = parser();
    for sample in specimen().1.iter().take(2) {
        let mut out = Vec::new();
        parser.ranges(sample, &mut out).unwrap();
        let sizes: Vec<usize> = out.iter().map(ExactSizeIterator::len).collect();
        assert_eq!(sizes, tiles().1);
        assert_eq!(out.last().unwrap().end, sample.len());
        assert!(out.windows(2).all(|pair| pair[1].start - pair[0].end <= 2));
        assert!(out.iter().all(|tile| sample[tile.clone()].iter().all(|byte| *byte == 0x5a)));
    }
    let mut out = Vec::new();
    parser.ranges(&specimen().1[2], &mut out).unwrap();
    let sizes: Vec<usize> = out.iter().map(ExactSizeIterator::len).collect();
    assert_eq!(sizes, [&[5, 9, 3, 40][..], &tiles().1].concat());
}

#[test]
fn a_segment_that_does_not_begin_with_a_sync_sample_is_refused_and_says_why() {
    let error = parser().ranges(&frame(&inter_frame_header(1)), &mut Vec::new()).unwrap_err();
    let shown = format!("{error:?}");
    assert!(error.to_string().contains("reference frame 0 was not sent"), "{error}");
    assert!(shown.contains("begin each segment with one"), "{shown}");
    // show_existing_frame of a slot that is empty.
    let error = parser().ranges(&obu(FRAME_HEADER, &[0b1011_1000]), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("reference frame 3 was not sent"), "{error}");
    let av1c = [0x81, 4, 0x0c, 0];
    let config = Config { entry: FourCc(*b"av01"), boxes: vec![(AV1C, &av1c)] };
    let mut parser = tile_data_ranges(&config).unwrap();
    let error = parser.ranges(&frame(&key_frame_header()), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("a frame before any sequence header"), "{error}");
    assert!(parser.ranges(&specimen().1[0], &mut Vec::new()).is_ok());
}

#[test]
fn a_frame_that_is_shown_again_has_no_tiles_and_a_tile_list_is_refused() {
    let mut parser = parser();
    let mut out: Vec<Range<usize>> = Vec::new();
    parser.ranges(&specimen().1[0], &mut out).unwrap();
    out.clear();
    assert!(parser.is_due());
    parser.ranges(&[obu(2, &[]), obu(FRAME_HEADER, &[0b1011_1000])].concat(), &mut out).unwrap();
    assert!(!parser.is_due());
    // Without any frame: not what a sample is.
    parser.ranges(&[obu(5, &[1, 2, 3]), obu(15, &[0; 9])].concat(), &mut out).unwrap();
    assert!(parser.is_due());
    assert!(out.is_empty());
    let error = parser.ranges(&obu(8, &[0; 4]), &mut out).unwrap_err().to_string();
    assert!(error.contains("OBU_TILE_LIST"), "{error}");
    let error = parser.ranges(&obu(TILE_GROUP, &[0; 4]), &mut out).unwrap_err().to_string();
    assert!(error.contains("a tile group without a frame header"), "{error}");
    // The tile groups of a frame are units of a kind that is passed over.
    let headless = [obu(FRAME_HEADER, &bytes(&key_frame_header(), &[])), obu(9, &[0; 40])].concat();
    let error = parser.ranges(&headless, &mut out).unwrap_err().to_string();
    assert!(error.contains("the sample ends behind 0 of 4 tiles of a frame"), "{error}");
    let twice = [obu(FRAME_HEADER, &bytes(&key_frame_header(), &[])), frame(&key_frame_header())].concat();
    let error = parser.ranges(&twice, &mut out).unwrap_err().to_string();
    assert!(error.contains("OBU_FRAME before the end of a frame"), "{error}");
}

#[test]
fn the_codecs_parameter_is_short_unless_a_field_is_not_the_default() {
    let of = |av1c: &[u8]| rfc6381(&Config { entry: FourCc(*b"av01"), boxes: vec![(AV1C, av1c)] });
    assert_eq!(of(&[0x81, 0x04, 0x0c, 0]).unwrap(), "av01.0.04M.08");
    assert_eq!(of(&[&[0x81, 0x04, 0x0c, 0][..], &sequence_header()].concat()).unwrap(), "av01.0.04M.08");
    assert_eq!(of(&[0x81, 0x0d, 0xcc, 0]).unwrap(), "av01.0.13H.10");
    assert_eq!(of(&[0x81, 0x2d, 0x40, 0]).unwrap(), "av01.1.13M.10.0.000.01.01.01.0");
    assert_eq!(of(&[0x81, 0x04, 0x1c, 0]).unwrap(), "av01.0.04M.08.1.110.01.01.01.0");
    // BT.2020 with PQ, ten bits.
    let start = w().u(3, 0).u(1, 1).u(1, 1).u(5, 8).u(4, 0).u(4, 0).u(2, 0).u(3, 0).u(3, 0);
    let color = start.u(1, 1).u(1, 0).u(1, 1).u(8, 9).u(8, 16).u(8, 9).u(1, 0).u(2, 1).u(1, 0).u(1, 0);
    let av1c = [&[0x81, 0x08, 0x4d, 0][..], &obu(SEQUENCE_HEADER, &color.rbsp())].concat();
    assert_eq!(of(&av1c).unwrap(), "av01.0.08M.10.0.111.09.16.09.0");
    assert!(of(&av1c[..12]).is_err());
    assert!(of(&[0x01, 0x04, 0x0c, 0]).is_err());
    assert!(of(&[0x81, 0x04, 0x0c]).is_err());
}
