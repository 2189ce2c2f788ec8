//! What the times of TTML are written in: of the media, or time codes that count frames — W3C TTML1 §6.2, §10.3.1.

use super::Stated;
use crate::base::{Error, Result};

const CLAUSE: &str = "TTML1 §10.3.1";

/// Which frames a time code does not count: ttp:dropMode, §6.2.3.
#[derive(Clone, Copy)]
enum DropMode {
    None,
    Ntsc,
    Pal,
}

impl DropMode {
    fn of(name: &str) -> Result<Self> {
        match name {
            "nonDrop" => Ok(Self::None),
            "dropNTSC" => Ok(Self::Ntsc),
            "dropPAL" => Ok(Self::Pal),
            _ => Err(Error::input(format!("dropMode {name:?}, expected nonDrop, dropNTSC or dropPAL"))
                .clause("TTML1 §6.2.3")),
        }
    }

    /// How many frames were not counted before this hour and minute.
    fn dropped(self, hours: f64, minutes: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Ntsc => (hours * 54.0 + minutes - (minutes / 10.0).floor()) * 2.0,
            Self::Pal => (hours * 27.0 + (minutes / 2.0).floor() - (minutes / 20.0).floor()) * 4.0,
        }
    }
}

/// What times are written in.
pub(super) struct Clock {
    /// Frames of a second as they are counted, and as they are.
    counted_rate: f64,
    frame_rate: f64,
    tick_rate: f64,
    /// Of time codes: a second of those is so many frames, and not one of the media.
    time_code: Option<DropMode>,
}

impl Clock {
    pub(super) fn of(tt: &Stated<'_>) -> Result<Self> {
        let is_rate = |number: &f64| number.is_finite() && *number > 0.0;
        let number = |name| -> Result<Option<f64>> {
            let Some(text) = tt.get(name) else { return Ok(None) };
            let number = text.trim().parse::<f64>().ok().filter(is_rate);
            number
                .map(Some)
                .ok_or_else(|| Error::input(format!("{name} {text:?} is no number")).clause("TTML1 §6.2"))
        };
        let stated_rate = number("frameRate")?;
        let counted_rate = stated_rate.unwrap_or(30.0);
        let mut frame_rate = counted_rate;
        if let Some(multiplier) = tt.get("frameRateMultiplier") {
            let parts: Vec<f64> = multiplier.split([' ', ':']).filter_map(|part| part.parse().ok()).collect();
            frame_rate = match parts.as_slice() {
                [numerator] => counted_rate * numerator,
                [numerator, denominator] => counted_rate * numerator / denominator,
                _ => 0.0,
            };
            if !is_rate(&frame_rate) {
                return Err(Error::input(format!(
                    "frameRateMultiplier {multiplier:?}, expected two numbers such as 1000 1001"
                ))
                .clause("TTML1 §6.2.5"));
            }
        }
        let tick_rate = number("tickRate")?.or_else(|| stated_rate.map(|_| frame_rate)).unwrap_or(1.0);
        let time_code = match tt.get("timeBase").unwrap_or("media") {
            "media" => None,
            // Of markers that need not go on evenly nothing else can be told than that they do, from 0 on.
            "smpte" => Some(DropMode::of(tt.get("dropMode").unwrap_or("nonDrop"))?),
            other => {
                return Err(Error::unsupported(format!("timeBase {other:?}, expected media or smpte"))
                    .clause("TTML1 §6.2.11")
                    .hint("write the times as those of the video, from its begin on"));
            }
        };
        Ok(Self { counted_rate, frame_rate, tick_rate, time_code })
    }

    /// A time expression in milliseconds: §10.3.1.
    pub(super) fn time(&self, text: &str) -> Result<f64> {
        let wrong = || {
            Error::input(format!("time {text:?}, expected 00:00:00.000, frames behind a third colon, or a number with h m s ms f t"))
                .clause(CLAUSE)
        };
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let text = text.trim();
        if text.contains(':') {
            let parts: Option<Vec<f64>> = text.split(':').map(number).collect();
            return match parts.ok_or_else(wrong)?.as_slice() {
                [hours, minutes, seconds] => Ok(self.counted([*hours, *minutes, *seconds, 0.0])),
                [hours, minutes, seconds, frames] => Ok(self.counted([*hours, *minutes, *seconds, *frames])),
                _ => Err(wrong()),
            };
        }
        let metrics = [
            ("ms", 1.0),
            ("h", 3_600_000.0),
            ("m", 60_000.0),
            ("s", 1000.0),
            ("f", 1000.0 / self.frame_rate),
            ("t", 1000.0 / self.tick_rate),
        ];
        let found =
            metrics.iter().find_map(|(metric, factor)| Some(number(text.strip_suffix(metric)?)? * factor));
        found.ok_or_else(wrong)
    }

    fn counted(&self, [hours, minutes, seconds, frames]: [f64; 4]) -> f64 {
        let whole = hours * 3600.0 + minutes * 60.0 + seconds;
        let seconds = match self.time_code {
            None => whole + frames / self.frame_rate,
            Some(mode) => {
                (whole * self.counted_rate + frames - mode.dropped(hours, minutes)).max(0.0) / self.frame_rate
            }
        };
        seconds * 1000.0
    }
}
