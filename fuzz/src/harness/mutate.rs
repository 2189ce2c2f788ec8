//! Mutations that keep the frame of an input, so that what is inside is reached: boxes, packets, lines.

use std::ops::Range;

use super::Shape;

/// Types that are put in the place of others.
const KINDS: &[&[u8; 4]] = &[
    b"moov", b"moof", b"mdat", b"trak", b"traf", b"trun", b"tfhd", b"tfdt", b"senc", b"saiz", b"saio",
    b"sbgp", b"sgpd", b"sidx", b"styp", b"emsg", b"free", b"uuid", b"pssh", b"tenc", b"sinf", b"frma",
    b"schm", b"schi", b"stsd", b"stsz", b"stsc", b"stco", b"co64", b"stts", b"ctts", b"stss", b"elst",
    b"edts", b"mvex", b"trex", b"avcC", b"hvcC", b"esds", b"encv", b"enca", b"avc1", b"mp4a", b"mfra",
    b"seig", b"cenc", b"cbcs", b"subs",
];
/// Boxes whose children are mutated, and the bytes before the first child.
const CONTAINERS: &[(&[u8; 4], usize)] = &[
    (b"moov", 0),
    (b"trak", 0),
    (b"mdia", 0),
    (b"minf", 0),
    (b"stbl", 0),
    (b"edts", 0),
    (b"mvex", 0),
    (b"moof", 0),
    (b"traf", 0),
    (b"stsd", 8),
    (b"sinf", 0),
    (b"schi", 0),
    (b"avc1", 78),
    (b"encv", 78),
    (b"mp4a", 28),
    (b"enca", 28),
    (b"hvc1", 78),
    (b"dinf", 0),
];
const EXTREMES: [u32; 12] = [0, 1, 2, 7, 8, 15, 16, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX];

/// SplitMix64: the same seed, the same mutations.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// A place in the bytes; half of the time near the start, where headers are.
    fn place(&mut self, length: usize) -> usize {
        let end = if self.next() & 1 == 0 { length } else { length.min(1500) };
        self.below(end)
    }

    /// Mutations that know nothing of a format.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.place(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                2 => {
                    let value = EXTREMES[self.below(EXTREMES.len())].to_be_bytes();
                    bytes.iter_mut().skip(at).zip(value).for_each(|(byte, new)| *byte = new);
                }
                3 => {
                    let end = (at + 1 + self.below(64)).min(bytes.len());
                    let again = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => {
                    let end = (at + 1 + self.below(64)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                5 => {
                    let value = u8::try_from(self.next() & 0xff).unwrap();
                    bytes.iter_mut().skip(at).take(1 + self.below(16)).for_each(|byte| *byte = value);
                }
                _ => {
                    // Digits of a text, a count of a table.
                    if let Some(byte) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                        *byte = b"0123456789-."[self.below(12)];
                    }
                }
            }
        }
    }

    /// A mutation of an input of this shape; its first byte has options.
    pub(crate) fn mutate_shaped(&mut self, data: &mut Vec<u8>, shape: Shape) {
        let Some((&options, _)) = data.split_first() else {
            data.push(0);
            return;
        };
        let mut bytes = data.split_off(1);
        if self.below(16) == 0 {
            data[0] = options ^ 1 << self.below(8);
        }
        for _ in 0..=self.below(3) {
            match shape {
                Shape::Boxes if self.below(4) > 0 => self.mutate_boxes(&mut bytes),
                Shape::Packets if self.below(4) > 0 => self.mutate_packets(&mut bytes),
                Shape::Text if self.below(3) > 0 => self.mutate_text(&mut bytes),
                _ => self.mutate(&mut bytes),
            }
        }
        data.append(&mut bytes);
    }

    fn mutate_boxes(&mut self, bytes: &mut Vec<u8>) {
        let mut found = Vec::new();
        boxes(bytes, 0..bytes.len(), &mut Vec::new(), &mut found);
        // A payload is one box of many.
        if found.is_empty() {
            return self.mutate(bytes);
        }
        let chosen = found.swap_remove(self.below(found.len()));
        let Box { range, parents } = chosen;
        match self.below(8) {
            0 => replace(bytes, range, &[], &parents),
            1 => {
                let again = bytes[range.clone()].to_vec();
                replace(bytes, range.start..range.start, &again, &parents);
            }
            2 => {
                let kind = KINDS[self.below(KINDS.len())];
                bytes[range.start + 4..range.start + 8].copy_from_slice(kind);
            }
            3 => {
                // Longer or shorter, and every size says so.
                let at = range.start + 8 + self.below(range.len() - 7);
                let parents = [parents, vec![range.start]].concat();
                if self.next() & 1 == 0 {
                    let more = vec![u8::try_from(self.next() & 0xff).unwrap(); 1 + self.below(32)];
                    replace(bytes, at..at, &more, &parents);
                } else {
                    let end = (at + 1 + self.below(16)).min(range.end);
                    replace(bytes, at..end, &[], &parents);
                }
            }
            4 => {
                // Elsewhere in the same parent.
                let Some(other) = found.get(self.below(found.len())).filter(|other| other.parents == parents)
                else {
                    return;
                };
                let moved = bytes[range.clone()].to_vec();
                let to = other.range.start;
                if to >= range.end {
                    bytes.splice(to..to, moved);
                    bytes.drain(range);
                } else if to < range.start {
                    bytes.drain(range);
                    bytes.splice(to..to, moved);
                }
            }
            _ => {
                let at = range.start + 8 + self.below(range.len().min(64) - 7);
                match self.below(4) {
                    0 => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << self.below(8);
                        }
                    }
                    1 => {
                        let one = if self.next() & 1 == 0 { 1 } else { u8::MAX };
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = byte.wrapping_add(one);
                        }
                    }
                    _ => {
                        let at = range.start + 8 + (at - range.start - 8) / 4 * 4;
                        let value = EXTREMES[self.below(EXTREMES.len())].to_be_bytes();
                        bytes
                            .iter_mut()
                            .take(range.end)
                            .skip(at)
                            .zip(value)
                            .for_each(|(byte, new)| *byte = new);
                    }
                }
            }
        }
    }

    fn mutate_packets(&mut self, bytes: &mut Vec<u8>) {
        let count = bytes.len() / 188;
        let (one, other) = (self.below(count) * 188, self.below(count) * 188);
        let packet = |at: usize| at..at + 188;
        if count == 0 {
            return self.mutate(bytes);
        }
        match self.below(8) {
            0 => drop(bytes.drain(packet(one))),
            1 => {
                let again = bytes[packet(one)].to_vec();
                bytes.splice(other..other, again);
            }
            2 => {
                let moved = bytes[packet(one)].to_vec();
                bytes.copy_within(packet(other), one);
                bytes[packet(other)].copy_from_slice(&moved);
            }
            3 => bytes[one + 1 + self.below(11)] ^= 1 << self.below(8),
            // Tables and the start of PES packets stand in the first packets.
            4 => {
                let at = packet(self.below(count.min(6)) * 188).start + 4 + self.below(40);
                bytes[at] = [0, 1, 0x1b, 0x0f, 0x81, 0x24, 0xff, 0xe1][self.below(8)];
            }
            5 => {
                // Another PID, or a counter.
                bytes[one + 2] = bytes[other + 2];
                bytes[one + 3] = bytes[one + 3] & 0xf0 | u8::try_from(self.below(16)).unwrap();
            }
            _ => {
                let at = one + 4 + self.below(184);
                let value = [&[0, 0, 1][..], &[0, 0, 3], &[0xff, 0xf1], &[0xb7, 0x10]][self.below(4)];
                bytes.iter_mut().skip(at).zip(value).for_each(|(byte, new)| *byte = *new);
            }
        }
    }

    fn mutate_text(&mut self, bytes: &mut Vec<u8>) {
        // Lines of a playlist, tags of a document.
        let is_xml = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        let end = if is_xml { b'>' } else { b'\n' };
        let mut borders = vec![0];
        borders.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == end).map(|(at, _)| at + 1));
        borders.push(bytes.len());
        let (one, other) = (self.below(borders.len() - 1), self.below(borders.len() - 1));
        let line = |number: usize| borders[number]..borders[number + 1];
        match self.below(5) {
            0 => drop(bytes.drain(line(one))),
            1 => {
                let again = bytes[line(one)].to_vec();
                bytes.splice(borders[other]..borders[other], again);
            }
            2 if one < other => {
                let (first, second) = (bytes[line(one)].to_vec(), bytes[line(other)].to_vec());
                bytes.splice(line(other), first);
                bytes.splice(line(one), second);
            }
            3 => {
                let Some(at) = bytes.iter().skip(borders[one]).position(u8::is_ascii_digit) else { return };
                let numbers =
                    ["0", "-1", "4294967296", "18446744073709551615", "1e400", "0.5", "99999999999999999999"];
                let at = borders[one] + at;
                bytes.splice(at..=at, numbers[self.below(numbers.len())].bytes());
            }
            _ => {
                // A word of another line.
                let (from, to) = (line(one), line(other).start);
                let from = from.start + self.below(from.len())..from.end;
                let word = bytes[from].to_vec();
                bytes.splice(to..to, word);
            }
        }
    }
}

struct Box {
    range: Range<usize>,
    /// Where its parents begin.
    parents: Vec<usize>,
}

fn boxes(bytes: &[u8], within: Range<usize>, parents: &mut Vec<usize>, found: &mut Vec<Box>) {
    let mut at = within.start;
    while at + 8 <= within.end && found.len() < 4096 {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if size < 8 || size > within.end - at {
            return;
        }
        let kind: &[u8; 4] = bytes[at + 4..at + 8].try_into().unwrap();
        found.push(Box { range: at..at + size, parents: parents.clone() });
        if let Some((_, fields)) = CONTAINERS.iter().find(|(container, _)| *container == kind)
            && size >= 8 + fields
            && parents.len() < 12
        {
            parents.push(at);
            boxes(bytes, at + 8 + fields..at + size, parents, found);
            parents.pop();
        }
        at += size;
    }
}

/// Replaces bytes and mends the sizes of the boxes around them.
fn replace(bytes: &mut Vec<u8>, range: Range<usize>, with: &[u8], parents: &[usize]) {
    let [less, more] = [range.len(), with.len()].map(|length| u32::try_from(length).unwrap());
    bytes.splice(range, with.iter().copied());
    for parent in parents {
        if let Some(size) = bytes.get_mut(*parent..parent + 4) {
            let value =
                u32::from_be_bytes((&*size).try_into().unwrap()).wrapping_add(more).wrapping_sub(less);
            size.copy_from_slice(&value.to_be_bytes());
        }
    }
}
