//! Points in time in documents and playlists, `xs:dateTime` — XML Schema Part 2 §3.2.7, ISO 8601.

use super::error::{Error, Result};

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Reads `2026-03-01T10:00:00Z`, with a fraction of a second and an offset such as `+02:00` or none, in nanoseconds
/// since 1970. A time without an offset is taken for UTC.
///
/// # Errors
/// When it is not such a time.
pub fn parse(text: &str) -> Result<i128> {
    read(text.trim()).ok_or_else(|| {
        Error::input(format!("time {text:?}, expected a form such as 2026-03-01T10:00:00Z"))
            .clause("XML Schema Part 2 §3.2.7")
    })
}

fn read(text: &str) -> Option<i128> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').zip([4, 2, 2]).map(|(part, digits)| number(part, digits));
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = (time.get(..zone)?, time.get(zone..)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(|part| number(part, 2));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_time = hour < 24 && minute < 60 && second <= 60 || (hour, minute, second) == (24, 0, 0);
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) || !is_time {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let nanoseconds: i128 = format!("{fraction:0<9}").get(..9).filter(|_| is_fraction)?.parse().ok()?;
    Some((seconds - offset(zone)?) * SECOND + nanoseconds)
}

/// How many seconds a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i128> {
    let (sign, rest) = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => return (zone.len() <= 1).then_some(0),
        Some(b'+') => (1, zone.get(1..)?),
        _ => (-1, zone.get(1..)?),
    };
    // Playlists are known that write +0200.
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2))?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<i128> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn days_of(year: i128, month: i128) -> i128 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i128::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of the Gregorian calendar, in which 400 years have 146,097 days.
fn days_since_1970(year: i128, month: i128, day: i128) -> i128 {
    let before = |year: i128| year * 365 + year / 4 - year / 100 + year / 400;
    let months: i128 = (1..month).map(|month| days_of(year, month)).sum();
    before(year - 1) - before(1969) + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_zone() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00", 0),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2026-03-01T10:00:00Z", 1_772_359_200),
            ("2026-03-01T12:00:00+02:00", 1_772_359_200),
            ("2026-03-01T04:30:00-0530", 1_772_359_200),
            ("2026-02-28T24:00:00Z", 1_772_323_200),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            assert_eq!(parse(text).unwrap(), seconds * SECOND, "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.5Z").unwrap(), 1_500_000_000);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-03-01",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-03-01T25:00:00Z",
            "2026-03-01T10:00Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T10:00:00ZZ",
            "2026-03-01T10:00:00+2:00",
            "26-03-01T10:00:00Z",
            "2026-03-01T+1:00:00Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
