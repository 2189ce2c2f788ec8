//! Attributes of an MPD whose values are of a type that has few: ISO/IEC 23009-1 annex B.
//!
//! A value that is none of its type is passed over by players, or means something else; it is listed as not proven.

use crate::base::Result;
use crate::xml::Element;

use super::names::short;
use crate::verify::findings::Findings;

/// What an attribute may say.
#[derive(Clone, Copy)]
enum Type {
    /// `xs:boolean`, or a number where older editions have one.
    Boolean,
    /// `xs:duration`.
    Duration,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// Attributes by element; an empty name is any element.
const VALUES: &[(&str, &str, Type)] = &[
    ("MPD", "type", Type::OneOf(&["static", "dynamic"])),
    ("MPD", "mediaPresentationDuration", Type::Duration),
    ("MPD", "minimumUpdatePeriod", Type::Duration),
    ("MPD", "minBufferTime", Type::Duration),
    ("MPD", "timeShiftBufferDepth", Type::Duration),
    ("MPD", "suggestedPresentationDelay", Type::Duration),
    ("MPD", "maxSegmentDuration", Type::Duration),
    ("MPD", "maxSubsegmentDuration", Type::Duration),
    ("Period", "start", Type::Duration),
    ("Period", "duration", Type::Duration),
    ("", "segmentAlignment", Type::Boolean),
    ("", "subsegmentAlignment", Type::Boolean),
    ("", "bitstreamSwitching", Type::Boolean),
    ("", "availabilityTimeComplete", Type::Boolean),
    ("", "indexRangeExact", Type::Boolean),
    ("", "codingDependency", Type::Boolean),
    ("", "inband", Type::Boolean),
    ("", "scanType", Type::OneOf(&["progressive", "interlaced", "unknown"])),
    ("", "contentType", Type::OneOf(&["video", "audio", "text", "image", "application", "font"])),
];

impl Type {
    fn holds(self, value: &str) -> bool {
        match self {
            Self::Boolean => matches!(value, "true" | "false") || is_number(value),
            Self::Duration => is_duration(value),
            Self::OneOf(values) => values.contains(&value),
        }
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit())
}

/// `PnYnMnDTnHnMnS`: the designators in this order, each behind a number, at least one (XML Schema part 2 §3.2.6).
fn is_duration(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let are_in_order = |part: &str, designators: &str| {
        let mut left = designators.chars();
        let fields: Vec<&str> = part.split_inclusive(|end: char| end.is_ascii_alphabetic()).collect();
        !fields.is_empty()
            && fields.iter().all(|field| {
                let (number, designator) = field.split_at(field.len() - 1);
                let whole = number.split_once('.').filter(|_| designator == "S");
                let is_right = whole
                    .map_or_else(|| is_number(number), |(whole, part)| is_number(whole) && is_number(part));
                is_right && left.any(|known| designator.starts_with(known))
            })
    };
    (date.is_empty() && time.is_some() || are_in_order(date, "YMD"))
        && time.is_none_or(|time| are_in_order(time, "HMS"))
}

/// Looks at the attributes of one element.
pub(super) fn check_element(document: &str, element: &Element, findings: &mut Findings) -> Result<()> {
    let name = element.local_name();
    for (_, attribute, expected) in VALUES.iter().filter(|(of, ..)| of.is_empty() || *of == name) {
        if let Some(value) = element.attribute(attribute)?.filter(|value| !expected.holds(value)) {
            findings.unchecked(format!(
                "{document}: {attribute} {:?} of {name}, which is none of its type",
                short(&value)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_form() {
        for right in ["PT0S", "PT4.0S", "P1DT2H", "PT1H2M3.5S", "P1Y2M", "PT1M"] {
            assert!(is_duration(right), "{right}");
        }
        for wrong in
            ["", "P", "PT", "4S", "pT4S", "PT4s", "PT4", "PT4M5H", "P1DT", "PT4.S", "PT-4S", "PT4.0M"]
        {
            assert!(!is_duration(wrong), "{wrong}");
        }
    }
}
