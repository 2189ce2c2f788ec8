//! What decrypted media shows of its key — A. Wald, Sequential Tests of Statistical Hypotheses, §3: two hypotheses, and
//! the odds of taking one for the other.
//!
//! Decrypted with another key than it was encrypted with, media is random bytes. A *mark* is something that a codec
//! always has where random bytes have it by chance: the syncword of a frame, lengths that add up, a bit that is always
//! zero. Each one that is met or missed changes the odds of the two hypotheses, and the sum of their logarithms decides:
//! above 20 bits the key is right, below -20 another one, and between them nothing is said. So another key passes for
//! the right one, or the right one for another, in one case of a million.
//!
//! Not all media is as its standard says. With the right key a mark may be missed all the same, though 64 times less often
//! than with another key, and of marks that few random bytes have it is said. A mark that is missed far more often than random bytes miss it says nothing of the key: then
//! it is the encoder that knows better, and the marks are left out of account.

/// Bits of evidence for one hypothesis or the other: odds of one to a million.
const PROOF_BITS: f64 = 20.0;
/// How many times more often random bytes miss a mark than media that is not quite as its standard says.
const ODDITY: f64 = 64.0;
/// A mark that at most this share of random bytes has is strong: of media that is not damaged it is missed nowhere.
const STRONG: f64 = 0.5;
/// Standard deviations by which random bytes may miss more marks than is expected of them.
const CHANCE_ALONE: f64 = 4.0;

/// What marks show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The logarithm of the odds, of the right key to another, in bits.
    bits: f64,
    /// Marks that were looked for.
    marks: u64,
    /// Those that were missed.
    missed: u64,
    /// Those of them that media has but for damage, and parts that could not be looked at: neither is passed over.
    misfits: u64,
    /// Those that random bytes would miss, on average.
    expected: f64,
    /// Whether an IV that is another one may not show.
    hides_iv: bool,
    /// Whether bytes are known to be right.
    is_proven: bool,
}

/// What evidence is enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is right.
    Right,
    /// Another key encrypted this.
    Wrong,
    /// Neither can be told.
    Open,
}

impl Evidence {
    /// Takes a mark into account: whether it is there, and the share of random bytes that have it.
    pub fn mark(&mut self, is_there: bool, chance: f64) {
        let miss = 1.0 - chance;
        if !(0.0 < miss && miss <= 1.0) {
            return;
        }
        self.marks += 1;
        self.expected += miss;
        if is_there {
            self.bits += ((1.0 - miss / ODDITY) / chance.max(f64::MIN_POSITIVE)).log2();
        } else {
            self.missed += 1;
            self.misfits += u64::from(chance <= STRONG);
            self.bits -= ODDITY.log2();
        }
    }

    /// Notes a part that has no mark, where others have: it may be one that another IV garbled.
    pub fn pass_over(&mut self) {
        self.misfits += 1;
    }

    /// Takes it for proven: the bytes are known to be right.
    pub fn prove(&mut self) {
        self.mark(true, f64::MIN_POSITIVE);
        self.is_proven = true;
    }

    /// Notes that an IV may be another one than it was encrypted with and not show: with block chaining it garbles the
    /// first block of a run alone, and the marks do not reach all of that.
    pub fn hide_iv(&mut self) {
        self.hides_iv = true;
    }

    /// Notes that the IV is known to be right from elsewhere.
    pub fn show_iv(&mut self) {
        self.hides_iv = false;
    }

    /// Adds what was found elsewhere under the same key.
    pub fn add(&mut self, other: &Self) {
        self.bits += other.bits;
        self.marks += other.marks;
        self.missed += other.missed;
        self.misfits += other.misfits;
        self.expected += other.expected;
        self.hides_iv |= other.hides_iv;
        self.is_proven |= other.is_proven;
    }

    /// What it is enough for.
    pub fn verdict(&self) -> Verdict {
        // Of rare events the deviation is the root of their number; one more may always come.
        let most = self.expected + CHANCE_ALONE * self.expected.sqrt() + 1.0;
        #[expect(clippy::cast_precision_loss, reason = "a count of marks")]
        let is_chance = self.missed as f64 <= most;
        // The right key misses some as well, but not those of a part that another key or IV garbled.
        let odd = self.expected / ODDITY;
        #[expect(clippy::cast_precision_loss, reason = "a count of marks")]
        let is_odd = self.missed as f64 <= odd + CHANCE_ALONE * odd.sqrt() + 1.0;
        match self.bits {
            bits if bits >= PROOF_BITS
                && is_odd
                && self.misfits == 0
                && (self.is_proven || !self.hides_iv) =>
            {
                Verdict::Right
            }
            bits if bits <= -PROOF_BITS && is_chance => Verdict::Wrong,
            _ => Verdict::Open,
        }
    }

    /// Marks, those that were missed, and those that random bytes would miss.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (u64, u64, f64) {
        (self.marks, self.missed, self.expected)
    }

    /// What was looked at, in words.
    pub fn describe(&self) -> String {
        match self {
            Self { marks: 0, .. } => "nothing in it shows whether the key is right".to_owned(),
            Self { missed: 0, bits, hides_iv: true, .. } if *bits >= PROOF_BITS => {
                "the key fits, but another IV would garble the first block alone and not show".to_owned()
            }
            Self { missed: 0, misfits: 1.., bits, .. } if *bits >= PROOF_BITS => {
                format!("{} samples are of a kind that is not read, others fit", self.misfits)
            }
            Self { missed: 0, marks, expected, .. } => {
                format!(
                    "all of {marks} marks fit, of which another key misses {expected:.1}: too few to tell"
                )
            }
            Self { missed, marks, expected, .. } => {
                format!("{missed} of {marks} marks do not fit, of which another key misses {expected:.1}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks that are there with this probability; xorshift64*, so that a failure can be repeated.
    fn verdict(count: u32, chance: f64, there: f64, seed: u64) -> Verdict {
        let mut state = seed | 1;
        let mut evidence = Evidence::default();
        for _ in 0..count {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let draw = f64::from(u32::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap());
            evidence.mark(draw / f64::from(u32::MAX) < there, chance);
        }
        evidence.verdict()
    }

    #[test]
    fn few_marks_prove_nothing_and_many_weak_ones_do() {
        assert_eq!(verdict(2, 0.01, 1.0, 1), Verdict::Open);
        assert_eq!(verdict(4, 0.01, 1.0, 1), Verdict::Right);
        assert_eq!(verdict(3, 0.01, 0.0, 1), Verdict::Open);
        assert_eq!(verdict(4, 0.01, 0.0, 1), Verdict::Wrong);
        let weak = 255.0 / 256.0;
        assert_eq!(verdict(3000, weak, 1.0, 1), Verdict::Open);
        assert_eq!(verdict(4000, weak, 1.0, 1), Verdict::Right);
    }

    #[test]
    fn another_key_is_never_right_and_the_right_key_never_another() {
        for chance in [1.0 / 65536.0, 0.01, 0.25, 0.5, 255.0 / 256.0] {
            for seed in 0..200 {
                for count in [1, 3, 10, 30, 100, 300, 1000, 3000] {
                    assert_ne!(verdict(count, chance, chance, seed * 7919 + 13), Verdict::Right, "{chance}");
                    // One of 200 misses is the encoder's.
                    let there = 1.0 - (1.0 - chance) / 200.0;
                    assert_ne!(verdict(count, chance, there, seed * 104_729 + 7), Verdict::Wrong, "{chance}");
                }
                assert_eq!(verdict(10_000, chance, chance, seed * 31 + 1), Verdict::Wrong, "{chance}");
            }
        }
    }

    #[test]
    fn what_is_missed_more_often_than_by_chance_says_nothing_of_the_key() {
        assert_eq!(verdict(5000, 255.0 / 256.0, 0.0, 1), Verdict::Open);
        assert_eq!(verdict(5000, 255.0 / 256.0, 0.9, 1), Verdict::Open);
        // Four slices of a hundred that end with a zero are an encoder's way too.
        let mut evidence = Evidence::default();
        (0..100).for_each(|slice| evidence.mark(slice % 25 != 0, 255.0 / 256.0));
        assert_eq!(evidence.verdict(), Verdict::Open);
    }

    #[test]
    fn a_mark_that_every_key_has_is_none() {
        let mut evidence = Evidence::default();
        evidence.mark(true, 1.0);
        assert_eq!(evidence, Evidence::default());
        evidence.prove();
        assert_eq!(evidence.verdict(), Verdict::Right);
    }

    #[test]
    fn one_strong_mark_that_is_missed_is_said_among_any_number() {
        let mut evidence = Evidence::default();
        (0..100_000).for_each(|_| evidence.mark(true, 1.0 / 32.0));
        assert_eq!(evidence.verdict(), Verdict::Right);
        evidence.mark(false, 1.0 / 32.0);
        assert_eq!(evidence.verdict(), Verdict::Open);
        assert!(evidence.describe().starts_with("1 of 100001 marks do not fit"), "{}", evidence.describe());
    }

    #[test]
    fn marks_that_do_not_reach_the_first_block_do_not_prove_the_iv() {
        let mut evidence = Evidence::default();
        (0..20).for_each(|_| evidence.mark(true, 0.01));
        assert_eq!(evidence.verdict(), Verdict::Right);
        evidence.hide_iv();
        assert_eq!(evidence.verdict(), Verdict::Open);
        assert!(evidence.describe().contains("another IV"), "{}", evidence.describe());
        evidence.prove();
        assert_eq!(evidence.verdict(), Verdict::Right);
        let mut wrong = Evidence::default();
        wrong.hide_iv();
        (0..20).for_each(|_| wrong.mark(false, 0.01));
        assert_eq!(wrong.verdict(), Verdict::Wrong);
    }
}
