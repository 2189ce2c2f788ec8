//! Writes bitstreams for tests — ITU-T H.264 §7.3.1, §7.4.1.1, §9.1.

/// Collects syntax elements and turns them into a NAL unit.
#[derive(Clone, Default)]
pub(super) struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    /// `u(count)`.
    pub(super) fn u(mut self, count: u32, value: u32) -> Self {
        self.bits.extend((0..count).rev().map(|bit| (value >> bit) & 1 == 1));
        self
    }

    /// `ue(v)`.
    pub(super) fn ue(mut self, value: u32) -> Self {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        self.bits.extend((1..length).map(|_| false));
        self.bits.extend((0..length).rev().map(|bit| (code >> bit) & 1 == 1));
        self
    }

    /// `se(v)`.
    pub(super) fn se(self, value: i32) -> Self {
        let magnitude = value.unsigned_abs();
        self.ue(if value > 0 { 2 * magnitude - 1 } else { 2 * magnitude })
    }

    /// What `other` has written.
    pub(super) fn then(mut self, other: &Self) -> Self {
        self.bits.extend(&other.bits);
        self
    }

    /// Bits written so far.
    pub(super) fn bits(&self) -> usize {
        self.bits.len()
    }

    /// Bits written so far, rounded up to whole bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bits.len().div_ceil(8)
    }

    /// The bits with `rbsp_trailing_bits()`.
    pub(super) fn rbsp(&self) -> Vec<u8> {
        let mut bits = self.bits.clone();
        bits.push(true);
        bits.resize(bits.len().next_multiple_of(8), false);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| (value << 1) | u8::from(*bit))).collect()
    }

    /// A NAL unit of this header byte and RBSP, with emulation prevention.
    pub(super) fn nal(&self, header: u8) -> Vec<u8> {
        nal(header, &self.rbsp())
    }
}

/// A NAL unit of this header byte and RBSP, with emulation prevention.
pub(super) fn nal(header: u8, rbsp: &[u8]) -> Vec<u8> {
    let mut nal = vec![header];
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}
