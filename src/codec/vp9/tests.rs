//! Laws of the VP9 parser on bitstreams made by hand — VP9 Bitstream Specification §6.2.

use super::*;
use crate::codec::bit_writer::BitWriter;

fn w() -> BitWriter {
    BitWriter::default()
}

/// frame_context_idx to header_size_in_bytes; every optional field is there.
fn rest(start: BitWriter, tile_increments: &BitWriter) -> BitWriter {
    let filter = start.u(2, 1).u(9, 77).u(1, 1).u(1, 1);
    let filter = (0..6).fold(filter, |filter, _| filter.u(1, 1).u(7, 5));
    let quantization = filter.u(8, 60).u(1, 1).u(5, 9).u(1, 0).u(1, 1).u(5, 3);
    let map = (0..7).fold(quantization.u(1, 1).u(1, 1), |map, _| map.u(1, 1).u(8, 0));
    let data = map.u(1, 1).u(3, 0).u(1, 1).u(1, 0);
    let data = (0..8).fold(data, |data, _| data.u(1, 1).u(9, 3).u(1, 1).u(7, 3).u(1, 1).u(2, 3).u(1, 1));
    data.then(tile_increments).u(1, 1).u(1, 0).u(16, 9)
}

/// A key frame 1920 wide, which has up to 8 tile columns.
fn key() -> BitWriter {
    let start = w().u(2, 2).u(2, 0).u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(24, 0x49_83_42).u(3, 2).u(1, 0);
    rest(start.u(16, 1919).u(16, 1079).u(1, 0).u(2, 0), &w().u(2, 0b10))
}

/// A frame of the width of its second reference.
fn inter() -> BitWriter {
    let start = w().u(2, 2).u(2, 0).u(1, 0).u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(2, 0).u(8, 4).u(12, 0x123);
    rest(start.u(2, 0b01).u(1, 1).u(32, 7).u(1, 1).u(1, 0).u(2, 1).u(2, 3), &w().u(2, 0b11))
}

fn frame(header: &BitWriter, payload: usize) -> Vec<u8> {
    let missing = header.bytes() * 8 - header.bits();
    let mut frame = header.clone().u(u32::try_from(missing).unwrap(), 0).rbsp();
    frame.truncate(header.bytes());
    frame.extend(vec![0x5a; payload]);
    frame
}

fn superframe(frames: &[&[u8]]) -> Vec<u8> {
    let marker = 0b1100_1000 | u8::try_from(frames.len() - 1).unwrap();
    let mut superframe = frames.concat();
    superframe.push(marker);
    frames.iter().for_each(|frame| superframe.extend(u16::try_from(frame.len()).unwrap().to_le_bytes()));
    superframe.push(marker);
    superframe
}

/// `vpcC` and samples for the contract of all codecs.
pub(in crate::codec) fn specimen() -> (Vec<u8>, Vec<Vec<u8>>) {
    let vpcc = vec![1, 0, 0, 0, 0, 41, 0x82, 1, 1, 1, 0, 0];
    let second = superframe(&[&frame(&inter(), 40), &frame(&inter(), 7), &[0b1000_1000]]);
    (vpcc, vec![frame(&key(), 50), second])
}

#[test]
fn all_that_follows_the_uncompressed_headers_is_found() {
    let mut frames = Frames::default();
    let mut out = Vec::new();
    frames.ranges(&frame(&key(), 50), &mut out).unwrap();
    let size = key().bytes();
    assert_eq!(out, vec![size..size + 50]);
    out.clear();
    frames.ranges(&specimen().1[1], &mut out).unwrap();
    let size = inter().bytes();
    assert_eq!(out, [size..size + 40, 2 * size + 40..2 * size + 47]);
}

#[test]
fn a_frame_that_shows_another_is_clear_and_a_width_that_is_unknown_an_error() {
    let mut out = Vec::new();
    Frames::default().ranges(&[0b1000_1000], &mut out).unwrap();
    Frames::default().ranges(&[], &mut out).unwrap();
    assert!(out.is_empty());
    let error = Frames::default().ranges(&frame(&inter(), 5), &mut out).unwrap_err().to_string();
    assert!(error.starts_with("frame at byte 0: reference frame 1 was not sent"), "{error}");
    let error = Frames::default().ranges(&frame(&key(), 0), &mut out).unwrap_err().to_string();
    assert!(error.contains("a frame without a compressed header"), "{error}");
    let error = Frames::default().ranges(&[0, 0xc0, 9, 0xc0], &mut out).unwrap_err().to_string();
    assert!(error.contains("frame of 9 bytes, the superframe has 1 left"), "{error}");
}

#[test]
fn the_codecs_parameter_has_all_fields() {
    let vpcc = [1, 0, 0, 0, 2, 10, 0xa3, 9, 16, 9, 0, 0];
    let of = |vpcc: &[u8]| rfc6381(&Config { entry: FourCc(*b"vp09"), boxes: vec![(VPCC, vpcc)] });
    assert_eq!(of(&vpcc).unwrap(), "vp09.02.10.10.01.09.16.09.01");
    assert!(of(&vpcc[..9]).is_err());
    assert!(of(&[0; 12]).is_err());
}
