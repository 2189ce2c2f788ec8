//! HEVC streams drawn from a seed: parameter sets and slice segment headers of any syntax — ITU-T H.265 §7.3.

/// A stream of one pair of parameter sets and many slice segment headers, drawn from a seed.
#[derive(Default)]
pub(crate) struct Stream {
    state: u64,
    bits: Vec<bool>,
    separate_planes: bool,
    chroma: bool,
    order_count_bits: u32,
    offset_filter: bool,
    /// DeltaPocS0 and DeltaPocS1, each with whether the current picture uses it.
    sets: Vec<[Vec<(i32, bool)>; 2]>,
    long_term: Option<Vec<bool>>,
    motion: bool,
    dependent: bool,
    output: bool,
    extra_bits: u32,
    cabac_init: bool,
    references: [u32; 2],
    chroma_offsets: bool,
    weighted: [bool; 2],
    entries: bool,
    across_slices: bool,
    deblocking: [bool; 2],
    modification: bool,
    extension: bool,
    offset_lists: bool,
}

/// Coding tree blocks of 416 by 240 samples, 16 by 16 each.
const BLOCKS: u32 = 26 * 15;

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..Self::default() }
    }

    /// xorshift64*: a number below `end`.
    fn random(&mut self, end: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        u32::try_from(number % u64::from(end)).unwrap()
    }

    fn u(&mut self, count: u32, value: u32) {
        self.bits.extend((0..count).rev().map(|bit| (value >> bit) & 1 == 1));
    }

    fn ue(&mut self, value: u32) {
        let length = 32 - (value + 1).leading_zeros();
        self.u(length - 1, 0);
        self.u(length, value + 1);
    }

    fn ues(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.ue(*value));
    }

    /// A flag that is drawn and written.
    fn flag(&mut self) -> bool {
        let flag = self.random(2) == 1;
        self.u(1, u32::from(flag));
        flag
    }

    fn any_u(&mut self, count: u32, end: u32) -> u32 {
        let value = self.random(end);
        self.u(count, value);
        value
    }

    fn any_ue(&mut self, end: u32) -> u32 {
        let value = self.random(end);
        self.ue(value);
        value
    }

    fn any_se(&mut self, magnitude: u32) {
        // The codes of the numbers up to the magnitude, of either sign.
        self.any_ue(2 * magnitude + 1);
    }

    pub(crate) fn write(mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        self.sps();
        self.u(1, 1);
        self.nal(33, &mut stream, &[]);
        self.pps();
        self.u(1, 1);
        self.nal(34, &mut stream, &[]);
        for slice in 0..40 {
            let kind =
                if slice == 0 { 19 } else { [0, 1, 1, 1, 8, 9, 16, 19, 20, 21][self.random(10) as usize] };
            self.header(kind, slice == 0);
            self.u(1, 1);
            self.nal(kind, &mut stream, &[0x9d; 20]);
        }
        stream
    }

    /// Ends the bits with the alignment, adds the payload and the start code.
    fn nal(&mut self, kind: u8, stream: &mut Vec<u8>, payload: &[u8]) {
        let missing = self.bits.len().next_multiple_of(8) - self.bits.len();
        self.u(u32::try_from(missing).unwrap(), 0);
        stream.extend([0, 0, 0, 1, kind << 1, 1]);
        let bytes =
            self.bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| (value << 1) | u8::from(*bit)));
        let mut zeros = 0;
        for byte in bytes.chain(payload.iter().copied()) {
            if zeros >= 2 && byte <= 3 {
                stream.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            stream.push(byte);
        }
        self.bits.clear();
    }

    fn sps(&mut self) {
        self.u(8, 1);
        // general_profile_idc 1 with its compatibility flag and no constraints.
        [1, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 93].iter().for_each(|byte| self.u(8, *byte));
        self.ue(0);
        let format = self.any_ue(4);
        self.separate_planes = format == 3 && self.flag();
        self.chroma = format != 0 && !self.separate_planes;
        self.ues(&[416, 240]);
        self.u(1, 0);
        self.ues(&[0, 0]);
        self.order_count_bits = 4 + self.any_ue(13);
        self.u(1, 1);
        self.ues(&[15, 2, 0, 0, 1, 0, 2, 1, 1]);
        if self.flag() && self.flag() {
            self.scaling_lists();
        }
        self.flag();
        self.offset_filter = self.flag();
        if self.flag() {
            self.u(8, 0x77);
            self.ues(&[0, 1]);
            self.flag();
        }
        let count = self.any_ue(9);
        for _ in 0..count {
            let set = self.set(false);
            self.sets.push(set);
        }
        self.long_term = self.flag().then(Vec::new);
        if self.long_term.is_some() {
            let count = self.any_ue(6);
            let bits = self.order_count_bits;
            self.long_term = Some((0..count).map(|_| (self.any_u(bits, 1 << bits), self.flag()).1).collect());
        }
        self.motion = self.flag();
        self.flag();
        self.u(2, 0);
    }

    fn scaling_lists(&mut self) {
        for size in 0..4 {
            for _ in 0..if size == 3 { 2 } else { 6 } {
                if self.flag() {
                    (0..if size > 1 { 1 } else { 0 }).for_each(|_| self.any_se(7));
                    (0..if size == 0 { 16 } else { 64 }).for_each(|_| self.any_se(0));
                } else {
                    self.ue(0);
                }
            }
        }
    }

    /// A short-term set, in the words of §7.4.8.
    fn set(&mut self, in_slice: bool) -> [Vec<(i32, bool)>; 2] {
        let total = self.sets.len();
        if total > 0 {
            let small = self.sets.iter().all(|set| set[0].len() + set[1].len() < 10);
            let predicted = small && self.random(2) == 1;
            self.u(1, u32::from(predicted));
            if predicted {
                return self.predicted_set(in_slice);
            }
        }
        let counts = [self.any_ue(4), self.any_ue(4)];
        [(-1, counts[0]), (1, counts[1])].map(|(sign, count)| {
            let mut delta = 0;
            (0..count)
                .map(|_| {
                    delta += sign * (1 + i32::try_from(self.any_ue(5)).unwrap());
                    (delta, self.flag())
                })
                .collect()
        })
    }

    fn predicted_set(&mut self, in_slice: bool) -> [Vec<(i32, bool)>; 2] {
        let total = self.sets.len();
        let back = if in_slice { self.any_ue(u32::try_from(total).unwrap()) } else { 0 };
        let [before, after] = self.sets[total - 1 - back as usize].clone();
        let negative = self.flag();
        let magnitude = 1 + i32::try_from(self.any_ue(6)).unwrap();
        let step = if negative { -magnitude } else { magnitude };
        let flags: Vec<[bool; 2]> = (0..=before.len() + after.len())
            .map(|_| {
                let used = self.flag();
                [used, used || self.flag()]
            })
            .collect();
        let mut sets = [Vec::new(), Vec::new()];
        let this = flags[before.len() + after.len()];
        for j in (0..after.len()).rev() {
            let [used, kept] = flags[before.len() + j];
            let delta = after[j].0 + step;
            sets[0].extend((delta < 0 && kept).then_some((delta, used)));
        }
        sets[0].extend((step < 0 && this[1]).then_some((step, this[0])));
        for j in 0..before.len() {
            let delta = before[j].0 + step;
            sets[0].extend((delta < 0 && flags[j][1]).then_some((delta, flags[j][0])));
        }
        for j in (0..before.len()).rev() {
            let delta = before[j].0 + step;
            sets[1].extend((delta > 0 && flags[j][1]).then_some((delta, flags[j][0])));
        }
        sets[1].extend((step > 0 && this[1]).then_some((step, this[0])));
        for j in 0..after.len() {
            let [used, kept] = flags[before.len() + j];
            let delta = after[j].0 + step;
            sets[1].extend((delta > 0 && kept).then_some((delta, used)));
        }
        sets
    }

    fn pps(&mut self) {
        self.ues(&[0, 0]);
        self.dependent = self.flag();
        self.output = self.flag();
        self.extra_bits = self.any_u(3, 3);
        self.flag();
        self.cabac_init = self.flag();
        self.references = [self.any_ue(5), self.any_ue(5)];
        self.any_se(5);
        self.flag();
        let skip = self.flag();
        if self.flag() {
            self.any_ue(2);
        }
        self.any_se(12);
        self.any_se(12);
        self.chroma_offsets = self.flag();
        self.weighted = [self.flag(), self.flag()];
        self.flag();
        let tiles = self.flag();
        self.entries = self.flag() || tiles;
        if tiles {
            self.ues(&[1, 2]);
            if !self.flag() {
                self.ues(&[9, 3, 4]);
            }
            self.flag();
        }
        self.across_slices = self.flag();
        if self.flag() {
            self.deblocking = [self.flag(), self.flag()];
            if !self.deblocking[1] {
                self.any_se(6);
                self.any_se(6);
            }
        }
        if self.flag() {
            self.scaling_lists();
        }
        self.modification = self.flag();
        self.ue(0);
        self.extension = self.flag();
        if self.flag() {
            self.u(8, 0x80);
            self.range_extension(skip);
        }
    }

    fn range_extension(&mut self, skip: bool) {
        if skip {
            self.ue(0);
        }
        self.u(1, 0);
        self.offset_lists = self.chroma && self.flag();
        if !self.chroma {
            self.u(1, 0);
        }
        if self.offset_lists {
            self.ue(0);
            for _ in 0..=self.any_ue(6) {
                self.any_se(12);
                self.any_se(12);
            }
        }
        self.ues(&[0, 0]);
    }

    fn header(&mut self, kind: u8, start: bool) {
        let first = start || self.random(3) == 0;
        self.u(1, u32::from(first));
        if (16..24).contains(&kind) {
            self.flag();
        }
        self.ue(0);
        let mut dependent = false;
        if !first {
            dependent = self.dependent && self.flag();
            let address = 1 + self.random(BLOCKS - 1);
            self.u(9, address);
        }
        if !dependent {
            self.independent(kind);
        }
        if self.entries {
            let count = self.any_ue(5);
            if count > 0 {
                let bits = self.any_ue(32) + 1;
                for _ in 0..count {
                    self.any_u(bits, 1 << bits.min(30));
                }
            }
        }
        if self.extension {
            for _ in 0..self.any_ue(5) {
                self.any_u(8, 256);
            }
        }
    }

    fn independent(&mut self, kind: u8) {
        self.any_u(self.extra_bits, 1 << self.extra_bits);
        let intra = (16..24).contains(&kind);
        let mut slice_type = if intra { 2 } else { self.random(3) };
        let (mut pictures, mut motion) = (0, false);
        let at = self.bits.len();
        self.ue(slice_type);
        if self.output {
            self.flag();
        }
        if self.separate_planes {
            self.any_u(2, 3);
        }
        if !matches!(kind, 19 | 20) {
            (pictures, motion) = self.reference_pictures();
        }
        // Without pictures to refer to a slice is intra: the code of 2 is as long as that of 1.
        if pictures == 0 && slice_type != 2 {
            let rest = self.bits.split_off(at + if slice_type == 0 { 1 } else { 3 });
            self.bits.truncate(at);
            self.ue(2);
            self.bits.extend(rest);
            slice_type = 2;
        }
        let mut filtered = false;
        if self.offset_filter {
            filtered = self.flag();
            filtered |= self.chroma && self.flag();
        }
        if slice_type != 2 {
            self.inter(slice_type, pictures, motion);
        }
        self.any_se(10);
        if self.chroma_offsets {
            self.any_se(5);
            self.any_se(5);
        }
        if self.offset_lists {
            self.flag();
        }
        let mut disabled = self.deblocking[1];
        if self.deblocking[0] && self.flag() {
            disabled = self.flag();
            if !disabled {
                self.any_se(6);
                self.any_se(6);
            }
        }
        if self.across_slices && (filtered || !disabled) {
            self.flag();
        }
    }

    fn reference_pictures(&mut self) -> (u32, bool) {
        let bits = self.order_count_bits;
        self.any_u(bits, 1 << bits);
        let total = u32::try_from(self.sets.len()).unwrap();
        let listed = total > 0 && self.random(2) == 1;
        self.u(1, u32::from(listed));
        let set = if listed {
            let index = self.any_u(32 - (total - 1).leading_zeros(), total);
            self.sets[index as usize].clone()
        } else {
            self.set(true)
        };
        let mut pictures = set.iter().flatten().map(|(_, used)| u32::from(*used)).sum();
        if let Some(candidates) = self.long_term.clone() {
            let total = u32::try_from(candidates.len()).unwrap();
            let listed = if total > 0 { self.any_ue(total.min(3) + 1) } else { 0 };
            for picture in 0..listed + self.any_ue(3) {
                let used = if picture < listed {
                    let index = self.any_u(32 - (total - 1).leading_zeros(), total);
                    candidates[index as usize]
                } else {
                    self.any_u(bits, 1 << bits);
                    self.flag()
                };
                pictures += u32::from(used);
                if self.flag() {
                    self.any_ue(9);
                }
            }
        }
        let motion = self.motion && self.flag();
        (pictures, motion)
    }

    fn inter(&mut self, slice_type: u32, pictures: u32, motion: bool) {
        let lists = if slice_type == 0 { 2 } else { 1 };
        let mut active = self.references;
        if self.flag() {
            active.iter_mut().take(lists).for_each(|count| *count = self.any_ue(15));
        }
        if self.modification && pictures > 1 {
            for count in active.iter().take(lists) {
                if self.flag() {
                    for _ in 0..=*count {
                        self.any_u(32 - (pictures - 1).leading_zeros(), pictures);
                    }
                }
            }
        }
        if slice_type == 0 {
            self.flag();
        }
        if self.cabac_init {
            self.flag();
        }
        if motion {
            let list = usize::from(slice_type == 0 && !self.flag());
            if active[list] > 0 {
                self.any_ue(active[list] + 1);
            }
        }
        if self.weighted[usize::from(slice_type == 0)] {
            self.weights(&active[..lists]);
        }
        self.any_ue(5);
    }

    fn weights(&mut self, active: &[u32]) {
        let denominator = self.any_ue(8);
        if self.chroma {
            // A difference that takes the sum to 0 or leaves it.
            let down = self.random(2) == 1 && denominator > 0;
            self.ue(if down { 2 * denominator } else { 0 });
        }
        for count in active {
            let luma: Vec<bool> = (0..=*count).map(|_| self.flag()).collect();
            let chroma: Vec<bool> = (0..=*count).map(|_| self.chroma && self.flag()).collect();
            for (luma, chroma) in luma.into_iter().zip(chroma) {
                let codes = if luma { 2 } else { 0 } + if chroma { 4 } else { 0 };
                (0..codes).for_each(|_| self.any_se(100));
            }
        }
    }
}
