//! Durations in XML documents, `xs:duration` — XML Schema Part 2 §3.2.6.

use std::time::Duration;

use super::error::{Error, Result};

/// Reads `PT1H2M3.5S`, `P1DT2H` and the like; digits below a nanosecond are left out.
///
/// # Errors
/// When it is not a duration, or has years or months, whose length depends on a date.
pub fn parse(text: &str) -> Result<Duration> {
    let clause = "XML Schema Part 2 §3.2.6";
    let wrong =
        || Error::input(format!("duration {text:?}, expected a form such as PT1H2M3.5S")).clause(clause);
    let rest = text.trim().strip_prefix('P').ok_or_else(wrong)?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return Err(wrong()),
        Some((date, time)) => (date, time),
        None if rest.is_empty() => return Err(wrong()),
        None => (rest, ""),
    };
    // Packagers write P0Y0M0DT…: zero years are a fixed length, other years are not.
    let mut days = date;
    for letter in ['Y', 'M'] {
        if let Some((number, rest)) = days.split_once(letter) {
            if number.parse::<u64>().map_err(|_| wrong())? != 0 {
                return Err(Error::unsupported(format!(
                    "duration {text:?} has years or months, expected days, hours, minutes and seconds"
                ))
                .clause(clause));
            }
            days = rest;
        }
    }
    let days = sum(days, &[('D', 86_400)]).ok_or_else(wrong)?;
    let time = sum(time, &[('H', 3600), ('M', 60), ('S', 1)]).ok_or_else(wrong)?;
    days.checked_add(time).ok_or_else(wrong)
}

fn sum(text: &str, units: &[(char, u64)]) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for &(letter, seconds) in units {
        let Some((number, after)) = rest.split_once(letter) else { continue };
        rest = after;
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if seconds == 1 => (whole, nanoseconds(fraction)?),
            _ => (number, 0),
        };
        let is_number = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
        let whole = is_number.then(|| whole.parse::<u64>().ok())??.checked_mul(seconds)?;
        total = total.checked_add(Duration::new(whole, fraction))?;
    }
    rest.is_empty().then_some(total)
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

/// Writes a duration in seconds: `PT8.016S`.
pub fn write(duration: Duration) -> String {
    let fraction = format!("{:09}", duration.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("PT{}{point}{fraction}S", duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds) in [
            ("PT1H2M3.5S", 3_723_500),
            ("P1DT2H", 93_600_000),
            ("P2D", 172_800_000),
            ("PT0H0M8.016S", 8016),
            ("P0Y0M0DT0H3M30.000S", 210_000),
            ("PT0.0010000009S", 1),
            ("PT90M", 5_400_000),
        ] {
            assert_eq!(parse(text).unwrap().as_millis(), milliseconds, "{text}");
        }
        for text in ["PT8S", "PT8.016S", "PT0.000000001S", "PT3600S"] {
            assert_eq!(write(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "P",
            "PT",
            "8",
            "PT8",
            "-PT8S",
            "PT2M1H",
            "PT1.5H",
            "PT.5S",
            "PT1.S",
            "P1Y",
            "P2M",
            "PT+1S",
            "PT99999999999999999999S",
            "P1D2H",
            "P99999999999999999D",
            "PT1S1S",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
