//! Periods, usage rules and update history from elements — DASH-IF CPIX 2.3 §4.

use std::str::FromStr;

use super::document::{
    AudioFilter, BitrateFilter, ContentKeyPeriod, ContentKeyUsageRule, UpdateHistoryItem, VideoFilter,
};
use super::read::{attribute, kid, required};
use crate::base::{Error, Result};
use crate::xml::Element;

pub(super) fn period(element: &Element) -> Result<ContentKeyPeriod> {
    Ok(ContentKeyPeriod {
        id: attribute(element, "id")?,
        index: number(element, "index")?,
        label: attribute(element, "label")?,
        start: attribute(element, "start")?,
        end: attribute(element, "end")?,
        start_offset: attribute(element, "startOffset")?,
        end_offset: attribute(element, "endOffset")?,
        duration: attribute(element, "duration")?,
    })
}

pub(super) fn update_history_item(element: &Element) -> Result<UpdateHistoryItem> {
    Ok(UpdateHistoryItem {
        id: attribute(element, "id")?,
        update_version: required(element, "updateVersion")?,
        index: required(element, "index")?,
        source: required(element, "source")?,
        date: required(element, "date")?,
    })
}

pub(super) fn usage_rule(element: &Element) -> Result<ContentKeyUsageRule> {
    let mut rule = ContentKeyUsageRule {
        id: attribute(element, "id")?,
        intended_track_type: attribute(element, "intendedTrackType")?,
        ..ContentKeyUsageRule::new(kid(element)?)
    };
    for child in element.elements() {
        filter(&mut rule, child).map_err(|error| error.at(child.local_name()))?;
    }
    Ok(rule)
}

fn filter(rule: &mut ContentKeyUsageRule, element: &Element) -> Result<()> {
    let name = element.local_name();
    let known: &[&str] = match name {
        "KeyPeriodFilter" => {
            rule.key_period_filters.push(required(element, "periodId")?);
            &["periodId"]
        }
        "LabelFilter" => {
            rule.label_filters.push(required(element, "label")?);
            &["label"]
        }
        "VideoFilter" => {
            rule.video_filters.push(VideoFilter {
                min_pixels: number(element, "minPixels")?,
                max_pixels: number(element, "maxPixels")?,
                hdr: boolean(element, "hdr")?,
                wcg: boolean(element, "wcg")?,
                min_fps: number(element, "minFps")?,
                max_fps: number(element, "maxFps")?,
            });
            &["minPixels", "maxPixels", "hdr", "wcg", "minFps", "maxFps"]
        }
        "AudioFilter" => {
            let min_channels = number(element, "minChannels")?;
            rule.audio_filters
                .push(AudioFilter { min_channels, max_channels: number(element, "maxChannels")? });
            &["minChannels", "maxChannels"]
        }
        "BitrateFilter" => {
            let min_bitrate = number(element, "minBitrate")?;
            rule.bitrate_filters
                .push(BitrateFilter { min_bitrate, max_bitrate: number(element, "maxBitrate")? });
            &["minBitrate", "maxBitrate"]
        }
        _ => {
            rule.other_filters.push(name.to_owned());
            return Ok(());
        }
    };
    for (attribute, _) in element.attributes()? {
        if !known.contains(&attribute) && !attribute.contains(':') && attribute != "xmlns" {
            rule.other_filters.push(format!("{name}/@{attribute}"));
        }
    }
    Ok(())
}

fn number<T: FromStr>(element: &Element, name: &str) -> Result<Option<T>> {
    attribute(element, name)?
        .map(|text| text.parse().map_err(|_| Error::input(format!("{name} {text:?}, expected a number"))))
        .transpose()
}

/// `xs:boolean`.
fn boolean(element: &Element, name: &str) -> Result<Option<bool>> {
    match attribute(element, name)?.as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(Error::input(format!("{name} {other:?}, expected true or false"))),
    }
}
