//! Numbers on the command line: what is expected, from where to where, and how it is typed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use clap::builder::{StringValueParser, TypedValueParser};

use crate::base::{Error, Result};

/// Seconds, with decimals.
pub(super) fn seconds(range: RangeInclusive<f64>) -> impl TypedValueParser<Value = f64> {
    number(range, "seconds", "type digits with a point, without a unit: 6 or 0.5")
}

/// Seconds, whole ones.
pub(super) fn whole_seconds(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = u64> {
    number(range, "whole seconds", "type digits alone: 30")
}

/// A count.
pub(super) fn count<T>(most: T) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr + PartialOrd + Display + Copy + From<u8> + Send + Sync + 'static,
{
    number(T::from(1)..=most, "a whole number", "type digits alone: 9")
}

fn number<T>(
    range: RangeInclusive<T>,
    what: &'static str,
    remedy: &'static str,
) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    StringValueParser::new().try_map(move |text: String| -> Result<T> {
        let found = text.trim().parse().ok().filter(|value| range.contains(value));
        found.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            Error::usage(format!("{text:?}, expected {what} from {least} to {most}")).hint(remedy)
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn read<T: Clone + Send + Sync + 'static>(
        parser: impl TypedValueParser<Value = T>,
        text: &str,
    ) -> std::result::Result<T, String> {
        let argument = Arg::new("n").long("n").allow_negative_numbers(true).value_parser(parser);
        let found = Command::new("c").arg(argument).try_get_matches_from(["c", "--n", text]);
        found
            .map(|found| found.get_one::<T>("n").cloned().unwrap())
            .map_err(|error| std::error::Error::source(&error).unwrap().to_string())
    }

    #[test]
    fn what_is_no_number_or_out_of_bounds_is_refused_with_the_bounds() {
        for text in ["1e-9", "0", "-1", "NaN", "inf", "1e300", "abc", "", "6s", "0,5", "3600.1"] {
            let error = read(seconds(0.1..=3600.0), text).unwrap_err();
            let expected = format!("{text:?}, expected seconds from 0.1 to 3600; type digits with a point");
            assert!(error.starts_with(&expected), "{error}");
        }
        for text in ["0", "-1", "1.5", "99999999999", "", "two"] {
            let error = read(count(u32::MAX), text).unwrap_err();
            assert!(error.contains("expected a whole number from 1 to 4294967295; type"), "{error}");
        }
        assert_eq!(read(seconds(0.0..=3600.0), " 6.5 "), Ok(6.5));
        assert_eq!(read(count(u32::MAX), "7"), Ok(7));
    }
}
