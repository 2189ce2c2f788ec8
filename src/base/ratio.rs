//! Ratios of whole numbers: times in ticks, frame rates, pixels.

use std::cmp::Ordering;

/// The ratio in lowest terms; what has no divisor, 0 to 0, stays what it is.
pub fn reduced(numerator: u128, denominator: u128) -> (u128, u128) {
    let (mut divisor, mut rest) = (numerator, denominator);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let divisor = divisor.max(1);
    (numerator / divisor, denominator / divisor)
}

/// Which of two times is earlier, each in ticks of so many in a second: `a / s < b / t`, without division.
pub fn compare((a, s): (i128, u32), (b, t): (i128, u32)) -> Ordering {
    a.saturating_mul(t.into()).cmp(&b.saturating_mul(s.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_reduced_and_times_compared() {
        let rows = [
            ((30_000, 1001), (30_000, 1001)),
            ((50, 2), (25, 1)),
            ((0, 5), (0, 1)),
            ((5, 0), (1, 0)),
            ((0, 0), (0, 0)),
        ];
        for ((numerator, denominator), expected) in rows {
            assert_eq!(reduced(numerator, denominator), expected);
        }
        assert_eq!(compare((1, 3), (333, 1000)), Ordering::Greater);
        assert_eq!(compare((-1, 3), (-333, 1000)), Ordering::Less);
        assert_eq!(compare((2, 50), (1, 25)), Ordering::Equal);
    }
}
