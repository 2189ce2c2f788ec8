//! Boxes that no reader uses, held to the clear source: they have no copy of what is protected — ISO/IEC 14496-12 §8.1.2.

use std::collections::HashMap;

use crate::base::Result;

use super::findings::Findings;
use super::fragmented::unread::{UnreadBox, UnreadBoxes};
use super::manifests::info::PresentationInfo;
use super::reference::ClearTrack;
use super::source::{ClearFile, SourceTracks};

/// Bytes that are compared at a time.
const BLOCK: usize = 16;
/// As many of them are no accident, and more than a title that is in both.
const SAME: usize = 16;

/// Checks that boxes have no bytes of clear video or audio that are not in such boxes of the source too. Without such boxes
/// nothing is read.
pub(super) fn check(
    facts: &PresentationInfo<'_>,
    clear: &[ClearTrack<'_>],
    findings: &mut Findings,
) -> Result<()> {
    let inits = facts.inits.iter().flatten().map(|init| &init.unread);
    let boxes = inits.chain(facts.files.values().map(|file| &file.unread)).flat_map(|boxes| &boxes.0);
    let boxes: Vec<&UnreadBox> = boxes.collect();
    let mut blocks = Blocks::of(&boxes);
    if blocks.of_boxes.is_empty() || clear.is_empty() {
        return Ok(());
    }
    for track in clear {
        let init = Some(&track.init).filter(|init| !track.files.contains(init));
        for name in track.files.iter().chain(init) {
            let source = track.store.open(name)?;
            blocks.leave_out(&UnreadBoxes::of_source(source.as_ref(), init == Some(name))?);
        }
    }
    for track in clear.iter().filter(|track| matches!(&track.handler, b"vide" | b"soun")) {
        for name in &track.files {
            let source = track.store.open(name)?;
            let file = ClearFile {
                source: source.as_ref(),
                moov: &track.moov,
                trexes: &track.trexes,
                track_id: track.track_id,
                timescale: track.timescale,
                is_cut: false,
            };
            let mut samples = SourceTracks::default();
            samples.add(track.track_id, &file)?;
            while let Some((.., bytes)) = samples.next(track.track_id)? {
                blocks.look_at(&bytes);
            }
        }
    }
    for (index, unread) in boxes.iter().enumerate() {
        let same = blocks.of_boxes.values().filter(|(of, is_met)| *of == index && *is_met).count();
        let found = format!("{} bytes of clear samples", same * BLOCK);
        findings.check("unread-clear", same < SAME, &unread.place, &found, &"none");
    }
    Ok(())
}

/// The blocks of boxes: which box each is of, and whether a sample has it.
struct Blocks {
    of_boxes: HashMap<u128, (usize, bool)>,
    /// Whether a block ends with these two bytes: most of a sample is passed over by that.
    ends: Vec<bool>,
}

impl Blocks {
    fn of(boxes: &[&UnreadBox]) -> Self {
        let mut blocks = Self { of_boxes: HashMap::new(), ends: vec![false; 1 << 16] };
        for (index, unread) in boxes.iter().enumerate() {
            for block in unread.bytes.as_chunks::<BLOCK>().0 {
                // What repeats is filler.
                if block.first_chunk::<4>() != block.last_chunk() {
                    let block = u128::from_be_bytes(*block);
                    blocks.of_boxes.entry(block).or_insert((index, false));
                    blocks.ends.get_mut(end(block)).into_iter().for_each(|end| *end = true);
                }
            }
        }
        blocks
    }

    /// Leaves out what such boxes of the source have as well: packing kept it.
    fn leave_out(&mut self, known: &UnreadBoxes) {
        for block in known.0.iter().flat_map(|unread| unread.bytes.as_chunks::<BLOCK>().0) {
            self.of_boxes.remove(&u128::from_be_bytes(*block));
        }
    }

    /// Looks for blocks at every byte of a sample.
    fn look_at(&mut self, sample: &[u8]) {
        let mut window = 0_u128;
        for (number, byte) in sample.iter().enumerate() {
            window = window << 8 | u128::from(*byte);
            if number + 1 >= BLOCK
                && self.ends.get(end(window)) == Some(&true)
                && let Some((_, is_met)) = self.of_boxes.get_mut(&window)
            {
                *is_met = true;
            }
        }
    }
}

/// The last two bytes of a block.
fn end(block: u128) -> usize {
    (block & 0xffff) as usize
}
