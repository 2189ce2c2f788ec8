//! Periods, usage rules and update history to text — DASH-IF CPIX 2.3 §4.

use super::document::{ContentKeyPeriod, ContentKeyUsageRule, UpdateHistoryItem};
use super::write::{Writer, attribute};

pub(super) fn period(writer: &mut Writer, period: &ContentKeyPeriod) {
    let label = writer.said("ContentKeyPeriod/@label", period.label.as_deref());
    let start_offset = writer.said("ContentKeyPeriod/@startOffset", period.start_offset.as_deref());
    let end_offset = writer.said("ContentKeyPeriod/@endOffset", period.end_offset.as_deref());
    let duration = writer.said("ContentKeyPeriod/@duration", period.duration.as_deref());
    let index = period.index.map(|index| index.to_string());
    item(
        &mut writer.out,
        "    <cpix:ContentKeyPeriod",
        &[
            ("id", period.id.as_deref()),
            ("index", index.as_deref()),
            ("label", label),
            ("start", period.start.as_deref()),
            ("end", period.end.as_deref()),
            ("startOffset", start_offset),
            ("endOffset", end_offset),
            ("duration", duration),
        ],
    );
}

pub(super) fn update_history_item(writer: &mut Writer, history: &UpdateHistoryItem) {
    item(
        &mut writer.out,
        "    <cpix:UpdateHistoryItem",
        &[
            ("id", history.id.as_deref()),
            ("updateVersion", Some(&history.update_version)),
            ("index", Some(&history.index)),
            ("source", Some(&history.source)),
            ("date", Some(&history.date)),
        ],
    );
}

pub(super) fn usage_rule(writer: &mut Writer, rule: &ContentKeyUsageRule) {
    let out = &mut *writer.out;
    out.push_str("    <cpix:ContentKeyUsageRule");
    attribute(out, "id", rule.id.as_deref());
    attribute(out, "kid", Some(&rule.kid.to_string()));
    attribute(out, "intendedTrackType", rule.intended_track_type.as_deref());
    out.push_str(">\n");
    for period in &rule.key_period_filters {
        item(out, "      <cpix:KeyPeriodFilter", &[("periodId", Some(period))]);
    }
    for label in &rule.label_filters {
        item(out, "      <cpix:LabelFilter", &[("label", Some(label))]);
    }
    for filter in &rule.video_filters {
        numbers(
            out,
            "      <cpix:VideoFilter",
            &[
                ("minPixels", text(filter.min_pixels)),
                ("maxPixels", text(filter.max_pixels)),
                ("hdr", text(filter.hdr)),
                ("wcg", text(filter.wcg)),
                ("minFps", text(filter.min_fps)),
                ("maxFps", text(filter.max_fps)),
            ],
        );
    }
    for filter in &rule.audio_filters {
        let bounds = [("minChannels", text(filter.min_channels)), ("maxChannels", text(filter.max_channels))];
        numbers(out, "      <cpix:AudioFilter", &bounds);
    }
    for filter in &rule.bitrate_filters {
        let bounds = [("minBitrate", text(filter.min_bitrate)), ("maxBitrate", text(filter.max_bitrate))];
        numbers(out, "      <cpix:BitrateFilter", &bounds);
    }
    out.push_str("    </cpix:ContentKeyUsageRule>\n");
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn numbers(out: &mut String, start: &str, attributes: &[(&str, Option<String>)]) {
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    item(out, start, &attributes);
}

fn item(out: &mut String, start: &str, attributes: &[(&str, Option<&str>)]) {
    out.push_str(start);
    attributes.iter().for_each(|(name, value)| attribute(out, name, *value));
    out.push_str("/>\n");
}
