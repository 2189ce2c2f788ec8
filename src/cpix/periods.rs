//! The order of key periods: by their times or by their index, never by their place — DASH-IF CPIX 2.3 §4, 2.4 §5.

use std::time::Duration;

use super::document::{ContentKeyPeriod, Document};
use crate::base::{Error, Result, duration, time};

const CLAUSE: &str = "DASH-IF CPIX 2.4, ContentKeyPeriod";
/// A document whose times begin this early has times of the media, which begin in 1970, and not of a clock.
const FIRST_YEAR: i128 = 366 * 86_400 * 1_000_000_000;

/// The key periods of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// They are counted: ids in order. How long one lasts is for the packager to say.
    Counted(Vec<String>),
    /// They have times, in order.
    Timed(Vec<TimedPeriod>),
}

/// A key period with times of the presentation, whose first sample is at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedPeriod {
    /// `@id`.
    pub id: String,
    /// When it begins.
    pub start: Duration,
    /// When it ends; `None` when it does with the presentation.
    pub end: Option<Duration>,
}

/// A period with what tells its place, in nanoseconds: since 1970, or since the presentation began.
struct Span<'a> {
    id: &'a str,
    clock: Clock,
    start: i128,
    end: Option<i128>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    Day,
    Presentation,
}

/// Puts the key periods of a document in order; `begins` is the time of day of the presentation's first sample, when
/// that is known, in nanoseconds since 1970. Otherwise the presentation begins with the first period.
///
/// # Errors
/// When a period has no id, some are counted and some have times, two have one index or overlap, or a time is wrong.
pub fn order(document: &Document, begins: Option<i128>) -> Result<Order> {
    order_of(document, begins).map_err(Error::without_quotes)
}

fn order_of(document: &Document, begins: Option<i128>) -> Result<Order> {
    let periods = &document.periods;
    let is_timed = |period: &&ContentKeyPeriod| period.start.is_some() || period.start_offset.is_some();
    let timed: Vec<_> = periods.iter().filter(is_timed).collect();
    if timed.is_empty() {
        return counted(periods).map(Order::Counted);
    }
    if let Some(other) = periods.iter().find(|period| !is_timed(period)) {
        return Err(mixed(timed.first().copied(), other, "has times", "has none"));
    }
    let mut spans = timed.iter().map(|period| span(period)).collect::<Result<Vec<_>>>()?;
    if let Some(at) =
        spans.iter().position(|other| spans.first().is_some_and(|first| first.clock != other.clock))
        && let Some(other) = timed.get(at)
    {
        return Err(mixed(timed.first().copied(), other, "has other kinds of times", "has its own"));
    }
    spans.sort_by_key(|span| span.start);
    for (one, next) in spans.iter().zip(spans.iter().skip(1)) {
        if one.start == next.start || one.end.is_some_and(|end| end > next.start) {
            return Err(Error::keys(format!("the key periods {:?} and {:?} overlap", one.id, next.id))
                .clause(CLAUSE)
                .hint("correct their times: at each time one key is in force"));
        }
    }
    Ok(Order::Timed(since_begin(&spans, begins)?))
}

fn mixed(first: Option<&ContentKeyPeriod>, other: &ContentKeyPeriod, one: &str, two: &str) -> Error {
    let name = |period: &ContentKeyPeriod| period.id.clone().unwrap_or_default();
    let first = first.map(name).unwrap_or_default();
    Error::keys(format!("key period {first:?} {one}, {:?} {two}", name(other)))
        .clause(CLAUSE)
        .hint("give all of them times, or all an index")
}

/// The ids in the order of the index; without any they follow each other as they stand.
fn counted(periods: &[ContentKeyPeriod]) -> Result<Vec<String>> {
    let mut sorted: Vec<_> = periods.iter().collect();
    sorted.sort_by_key(|period| period.index);
    let with_index = periods.iter().filter(|period| period.index.is_some()).count();
    if with_index != 0 && with_index != periods.len() {
        let first = sorted.last().copied();
        return Err(sorted.first().map_or_else(
            || Error::keys("no key period"),
            |other| mixed(first, other, "has an index", "has none"),
        ));
    }
    let twice =
        sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.index.is_some() && a.index == b.index);
    if let Some((one, other)) = twice {
        let (one, other, index) = (id(one)?, id(other)?, one.index.unwrap_or_default());
        return Err(Error::keys(format!("the key periods {one:?} and {other:?} have one index, {index}"))
            .clause(CLAUSE));
    }
    sorted.into_iter().map(|period| id(period).map(str::to_owned)).collect()
}

fn id(period: &ContentKeyPeriod) -> Result<&str> {
    period
        .id
        .as_deref()
        .ok_or_else(|| Error::keys("a key period without an id: no usage rule can be for it").clause(CLAUSE))
}

fn span(period: &ContentKeyPeriod) -> Result<Span<'_>> {
    let id = id(period)?;
    let at = |error: Error| error.at(format_args!("key period {id:?}"));
    let length = |text: &String| nanoseconds(text).map_err(at);
    let day = |text: &String| time::parse(text).map_err(at);
    let (clock, start, end) = match (&period.start, &period.start_offset) {
        (Some(start), _) => (Clock::Day, day(start)?, period.end.as_ref().map(day).transpose()?),
        (None, Some(start)) => {
            (Clock::Presentation, length(start)?, period.end_offset.as_ref().map(length).transpose()?)
        }
        (None, None) => return Err(at(Error::keys("it has no times"))),
    };
    let duration = period.duration.as_ref().map(length).transpose()?;
    let end = end.or_else(|| duration.map(|duration| start.saturating_add(duration)));
    if end.is_some_and(|end| end <= start) {
        return Err(at(Error::keys("it ends before it begins").clause(CLAUSE)));
    }
    Ok(Span { id, clock, start, end })
}

fn nanoseconds(text: &str) -> Result<i128> {
    let duration = duration::parse(text)?;
    Ok(i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX))
}

/// Times since the presentation began; periods that ended before are left out.
fn since_begin(spans: &[Span<'_>], begins: Option<i128>) -> Result<Vec<TimedPeriod>> {
    let Some(first) = spans.first() else { return Ok(Vec::new()) };
    let origin = match (first.clock, begins) {
        (Clock::Presentation, _) => 0,
        (Clock::Day, Some(begins)) => begins,
        (Clock::Day, None) if first.start < FIRST_YEAR => 0,
        (Clock::Day, None) => first.start,
    };
    let since = |time: i128| {
        let nanoseconds = time.saturating_sub(origin).max(0);
        let seconds = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
        Duration::new(seconds, u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0))
    };
    let left = spans.iter().filter(|span| span.end.is_none_or(|end| end > origin));
    let periods: Vec<_> = left
        .map(|span| TimedPeriod {
            id: span.id.to_owned(),
            start: since(span.start),
            end: span.end.map(since),
        })
        .collect();
    if periods.is_empty() {
        return Err(Error::keys("every key period has ended when the presentation begins").clause(CLAUSE));
    }
    Ok(periods)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(id: &str, index: Option<i64>) -> ContentKeyPeriod {
        ContentKeyPeriod { id: Some(id.to_owned()), index, ..ContentKeyPeriod::default() }
    }

    fn hours(id: &str, start: &str, end: &str) -> ContentKeyPeriod {
        let day = |time: &str| Some(format!("2026-03-01T{time}Z"));
        ContentKeyPeriod { start: day(start), end: day(end), ..counted(id, None) }
    }

    fn ordered(periods: Vec<ContentKeyPeriod>, begins: Option<i128>) -> Result<Order> {
        order(&Document { periods, ..Document::default() }, begins)
    }

    fn timed(periods: Vec<ContentKeyPeriod>, begins: Option<i128>) -> Vec<(String, u64, Option<u64>)> {
        let Order::Timed(periods) = ordered(periods, begins).unwrap() else { panic!("they are counted") };
        let seconds =
            |period: TimedPeriod| (period.id, period.start.as_secs(), period.end.map(|end| end.as_secs()));
        periods.into_iter().map(seconds).collect()
    }

    #[test]
    fn an_index_counts_and_the_place_does_not() {
        let ids = |periods| match ordered(periods, None).unwrap() {
            Order::Counted(ids) => ids,
            Order::Timed(_) => panic!("they have times"),
        };
        assert_eq!(ids(vec![counted("b", Some(7)), counted("a", Some(3))]), ["a", "b"]);
        assert_eq!(ids(vec![counted("b", None), counted("a", None)]), ["b", "a"]);
        assert!(ids(Vec::new()).is_empty());
    }

    #[test]
    fn times_count_from_the_first_period_or_from_when_the_presentation_begins() {
        let day = || vec![hours("b", "11:00:00", "12:00:00"), hours("a", "10:00:00", "11:00:00")];
        let all = [("a".to_owned(), 0, Some(3600)), ("b".to_owned(), 3600, Some(7200))];
        assert_eq!(timed(day(), None), all);
        let half_past_eleven = time::parse("2026-03-01T11:30:00Z").unwrap();
        assert_eq!(timed(day(), Some(half_past_eleven)), [("b".to_owned(), 0, Some(1800))]);
        let offset = |id: &str, start: &str, duration: &str| ContentKeyPeriod {
            start_offset: Some(start.to_owned()),
            duration: Some(duration.to_owned()),
            ..counted(id, None)
        };
        let media = vec![offset("b", "PT10S", "PT5S"), offset("a", "PT0S", "PT10S")];
        assert_eq!(timed(media, None), [("a".to_owned(), 0, Some(10)), ("b".to_owned(), 10, Some(15))]);
        // Times of the media begin in 1970, and need not begin with a period.
        let epoch = ContentKeyPeriod { start: Some("1970-01-01T00:00:10Z".to_owned()), ..counted("a", None) };
        assert_eq!(timed(vec![epoch], None), [("a".to_owned(), 10, None)]);
    }

    #[test]
    fn what_has_no_order_is_refused_by_name() {
        let (ten, eleven) = (hours("ten", "10:00:00", "11:00:00"), hours("eleven", "10:59:59", "12:00:00"));
        let offset = ContentKeyPeriod { start_offset: Some("PT1S".to_owned()), ..counted("offset", None) };
        for (periods, names) in [
            (vec![ten.clone(), eleven], ["ten", "eleven"]),
            (vec![ten.clone(), counted("counted", Some(1))], ["ten", "counted"]),
            (vec![ten.clone(), offset], ["ten", "offset"]),
            (vec![counted("one", Some(1)), counted("other", None)], ["one", "other"]),
            (vec![counted("one", Some(1)), counted("same", Some(1))], ["one", "same"]),
            (vec![hours("backwards", "11:00:00", "10:00:00")], ["backwards", "before it begins"]),
            (vec![hours("wrong", "1", "2")], ["wrong", "T1Z"]),
        ] {
            let error = ordered(periods, None).unwrap_err().to_string();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
        }
        let late = time::parse("2026-03-02T00:00:00Z").unwrap();
        assert!(ordered(vec![ten], Some(late)).unwrap_err().to_string().contains("has ended"));
    }
}
