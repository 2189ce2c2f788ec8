//! Where AVC slice data begins, ours against `FFmpeg`'s header trace — ITU-T H.264 §7.3.3.

use crate::support::ffmpeg_trace::{AVC, compare, encode, ffmpeg_is_there};

/// What each clip is to exercise, and how x264 is told so.
const CLIPS: &[(&str, &[&str])] = &[
    ("cavlc", &["-profile:v", "baseline", "-x264-params", "slices=3:ref=4"]),
    ("cabac", &["-profile:v", "main", "-x264-params", "cabac=1:bframes=0:ref=1"]),
    ("multi_slice", &["-x264-params", "slices=5:bframes=2"]),
    ("many_small_slices", &["-x264-params", "slice-max-size=300:bframes=1"]),
    ("weighted", &["-vf", "fade=in:0:25", "-x264-params", "weightp=2:weightb=1:bframes=3"]),
    ("weighted_cavlc", &["-vf", "fade=out:0:25", "-x264-params", "weightp=2:cabac=0:bframes=2:slices=2"]),
    ("many_references", &["-x264-params", "ref=16:bframes=8:b-pyramid=normal:b-adapt=0:mixed-refs=1"]),
    ("strict_pyramid", &["-x264-params", "ref=4:bframes=5:b-pyramid=strict:b-adapt=0:direct=temporal"]),
    ("interlaced", &["-flags", "+ilme+ildct", "-x264-params", "tff=1:bframes=2:weightp=0:slices=2"]),
    ("fake_interlaced", &["-x264-params", "fake-interlaced=1:bframes=2:ref=3"]),
    ("intra_refresh", &["-x264-params", "intra-refresh=1:keyint=10:bframes=0"]),
    ("open_gop", &["-x264-params", "open-gop=1:keyint=8:min-keyint=4:bframes=3"]),
    ("no_deblocking", &["-x264-params", "no-deblock=1:aud=1:slices=2"]),
    ("yuv444_matrix", &["-pix_fmt", "yuv444p", "-x264-params", "cqm=jvt:weightp=2"]),
    ("ten_bits", &["-pix_fmt", "yuv422p10le", "-x264-params", "slices=4:bframes=2"]),
    ("monochrome", &["-pix_fmt", "gray", "-vf", "fade=in:0:25", "-x264-params", "weightp=2:bframes=2"]),
];

/// Streams of drawn syntax.
const SEEDS: u64 = 12;

#[test]
fn x264_clips_have_the_slice_data_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut slices = 0;
    for (name, arguments) in CLIPS {
        let path = directory.path().join(format!("{name}.h264"));
        encode(&AVC, "testsrc2=s=320x240:r=25:d=1", arguments, &path);
        slices += compare(&AVC, name, &path);
    }
    println!("{slices} slices of {} clips agree", CLIPS.len());
}

#[test]
fn slice_headers_of_every_syntax_end_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // A picture that decodes comes first: without dimensions there is no trace.
    let picture = directory.path().join("picture.h264");
    encode(&AVC, "color=s=64x64:d=0.04", &["-bsf:v", "filter_units=remove_types=6"], &picture);
    let picture = std::fs::read(picture).unwrap();
    let mut slices = 0;
    for seed in 1..=SEEDS {
        let path = directory.path().join(format!("{seed}.h264"));
        std::fs::write(&path, [&picture[..], &Stream::new(seed).write()].concat()).unwrap();
        slices += compare(&AVC, &format!("seed {seed}"), &path);
    }
    println!("{slices} slices of {SEEDS} streams agree");
}

/// A stream of one pair of parameter sets and many slice headers, drawn from a seed.
struct Stream {
    state: u64,
    bits: Vec<bool>,
    separate_planes: bool,
    chroma: bool,
    frame_num_bits: u32,
    order_count: (u32, u32, bool),
    frames_only: bool,
    map_units: u32,
    cabac: bool,
    bottom_order: bool,
    change_rate: Option<u32>,
    references: [u32; 2],
    weighted: (bool, u32),
    deblocking: bool,
    redundant: bool,
}

impl Stream {
    fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            bits: Vec::new(),
            separate_planes: false,
            chroma: true,
            frame_num_bits: 4,
            order_count: (0, 4, false),
            frames_only: true,
            map_units: 0,
            cabac: false,
            bottom_order: false,
            change_rate: None,
            references: [0; 2],
            weighted: (false, 0),
            deblocking: false,
            redundant: false,
        }
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

    fn se(&mut self, value: i32) {
        self.ue(if value > 0 { 2 * value.unsigned_abs() - 1 } else { 2 * value.unsigned_abs() });
    }

    /// A flag that is drawn and written.
    fn flag(&mut self) -> bool {
        let flag = self.random(2) == 1;
        self.u(1, u32::from(flag));
        flag
    }

    /// A number of `count` bits below `end` that is drawn and written.
    fn any_u(&mut self, count: u32, end: u32) -> u32 {
        let value = self.random(end);
        self.u(count, value);
        value
    }

    /// A code that is drawn and written.
    fn any_ue(&mut self, end: u32) -> u32 {
        let value = self.random(end);
        self.ue(value);
        value
    }

    fn any_se(&mut self, magnitude: i32) {
        let value = self.random(2 * magnitude.unsigned_abs() + 1);
        self.se(i32::try_from(value).unwrap() - magnitude);
    }

    fn write(mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        self.sps();
        self.nal(0x67, &mut stream);
        self.pps();
        self.nal(0x68, &mut stream);
        for slice in 0..40 {
            let header = if slice == 0 { 0x65 } else { [0x65, 0x41, 0x01][self.random(3) as usize] };
            self.slice_header(header);
            // cabac_alignment_one_bit, then anything.
            let missing = self.bits.len().next_multiple_of(8) - self.bits.len();
            self.u(u32::try_from(missing).unwrap(), 0xff);
            (0..20).for_each(|_| self.u(8, 0x9d));
            self.nal(header, &mut stream);
        }
        stream
    }

    fn nal(&mut self, header: u8, stream: &mut Vec<u8>) {
        self.u(1, 1);
        let missing = self.bits.len().next_multiple_of(8) - self.bits.len();
        self.u(u32::try_from(missing).unwrap(), 0);
        stream.extend([0, 0, 0, 1, header]);
        let mut zeros = 0;
        for byte in self.bits.chunks(8) {
            let byte = byte.iter().fold(0, |value, bit| (value << 1) | u8::from(*bit));
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
        let high = self.random(2) == 1;
        self.u(8, if high { 244 } else { 88 });
        self.u(16, 40);
        self.ue(0);
        if high {
            let chroma_format = self.any_ue(4);
            self.separate_planes = chroma_format == 3 && self.flag();
            self.chroma = chroma_format != 0 && !self.separate_planes;
            self.ue(0);
            self.ue(0);
            self.flag();
            if self.flag() {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if self.flag() {
                        (0..if list < 6 { 15 } else { 63 }).for_each(|_| self.any_se(0));
                        self.se(3);
                    }
                }
            }
        }
        self.frame_num_bits = 4 + self.any_ue(13);
        let order_count_type = self.any_ue(3);
        self.order_count.0 = order_count_type;
        match order_count_type {
            0 => self.order_count.1 = 4 + self.any_ue(13),
            1 => {
                self.order_count.2 = self.flag();
                self.any_se(1000);
                self.any_se(1000);
                (0..self.any_ue(4)).for_each(|_| self.any_se(99));
            }
            _ => {}
        }
        self.ue(4);
        self.u(1, 0);
        let (width, height) = (self.any_ue(30) + 1, self.any_ue(30) + 1);
        self.map_units = width * height;
        self.frames_only = self.flag();
        if !self.frames_only {
            self.flag();
        }
        self.u(3, 0b100);
    }

    fn pps(&mut self) {
        self.ue(0);
        self.ue(0);
        self.cabac = self.flag();
        self.bottom_order = self.flag();
        let groups = self.random(2) * (1 + self.random(7));
        self.ue(groups);
        if groups > 0 {
            self.slice_groups(groups);
        }
        self.references = [self.any_ue(6), self.any_ue(6)];
        self.weighted.0 = self.flag();
        self.weighted.1 = self.any_u(2, 3);
        (0..3).for_each(|_| self.any_se(12));
        self.deblocking = self.flag();
        self.flag();
        self.redundant = self.flag();
    }

    fn slice_groups(&mut self, groups: u32) {
        match self.any_ue(7) {
            0 => (0..=groups).for_each(|_| self.ue(0)),
            2 => (0..2 * groups).for_each(|_| self.ue(0)),
            3..=5 => {
                self.flag();
                self.change_rate = Some(self.any_ue(self.map_units) + 1);
            }
            6 => {
                self.ue(self.map_units - 1);
                let bits = (groups + 1).next_power_of_two().trailing_zeros();
                (0..self.map_units).for_each(|_| self.u(bits, 0));
            }
            _ => {}
        }
    }

    fn slice_header(&mut self, header: u8) {
        let idr = header == 0x65;
        self.any_ue(self.map_units);
        let slice_type = if idr { 2 } else { self.random(5) };
        let all_slices_alike = self.random(2);
        self.ue(slice_type + 5 * all_slices_alike);
        self.ue(0);
        if self.separate_planes {
            self.any_u(2, 3);
        }
        self.any_u(self.frame_num_bits, if idr { 1 } else { 1 << self.frame_num_bits });
        let field = !self.frames_only && self.flag();
        if field {
            self.flag();
        }
        if idr {
            self.any_ue(65536);
        }
        self.picture_order_count(field);
        if self.redundant {
            self.any_ue(128);
        }
        if slice_type == 1 {
            self.flag();
        }
        let lists = [1, 2, 0, 1, 0][slice_type as usize];
        let mut active = self.references;
        if lists > 0 && self.flag() {
            active.iter_mut().take(lists).for_each(|count| *count = self.any_ue(16));
        }
        for _ in 0..lists {
            if self.flag() {
                for _ in 0..self.random(5) {
                    self.any_ue(3);
                    self.any_ue(3);
                }
                self.ue(3);
            }
        }
        match slice_type {
            0 | 3 if self.weighted.0 => self.weights(active[0] + 1),
            1 if self.weighted.1 == 1 => self.weights(active[0] + active[1] + 2),
            _ => {}
        }
        if header >> 5 != 0 {
            self.marking(idr);
        }
        self.slice_header_end(slice_type);
    }

    fn picture_order_count(&mut self, field: bool) {
        match self.order_count {
            (0, bits, _) => {
                let most = self.random(2) * ((1 << bits) - 1);
                self.any_u(bits, most + 1);
            }
            (1, _, false) => self.any_se(500),
            _ => return,
        }
        if self.bottom_order && !field {
            self.any_se(500);
        }
    }

    fn weights(&mut self, references: u32) {
        self.any_ue(8);
        if self.chroma {
            self.any_ue(8);
        }
        for _ in 0..references {
            if self.flag() {
                (0..2).for_each(|_| self.any_se(127));
            }
            if self.chroma && self.flag() {
                (0..4).for_each(|_| self.any_se(127));
            }
        }
    }

    fn marking(&mut self, idr: bool) {
        if idr {
            self.flag();
            self.flag();
        } else if self.flag() {
            for _ in 0..self.random(4) {
                let operation = 1 + self.random(4);
                self.ue(operation);
                self.any_ue(3);
                if operation == 3 {
                    self.any_ue(3);
                }
            }
            self.ue(0);
        }
    }

    fn slice_header_end(&mut self, slice_type: u32) {
        if self.cabac && !matches!(slice_type, 2 | 4) {
            self.any_ue(3);
        }
        self.any_se(10);
        if slice_type == 3 {
            self.flag();
        }
        if slice_type >= 3 {
            self.any_se(10);
        }
        if self.deblocking && self.any_ue(3) != 1 {
            self.any_se(6);
            self.any_se(6);
        }
        if let Some(rate) = self.change_rate {
            let most = self.map_units.div_ceil(rate);
            let bits = f64::from(most + 1).log2().ceil();
            let bits = (0..32).find(|count| f64::from(*count) >= bits).unwrap();
            self.any_u(bits, most + 1);
        }
    }
}
