//! What new manifests say of pictures — RFC 8216bis §4.4.6.2, ISO/IEC 23009-1 §5.3.7, §5.8.5, ANSI/SCTE 214-1.

use crate::codec::VideoInfo;
use crate::dash::write::{NewRepresentation, SetProperty};
use crate::hls::multivariant::Variant;
use crate::package::MediaTrack;

/// Greatest difference of a frame rate from one in use, as a share of it: a file of some seconds whose last picture
/// lasts longer or shorter by a few ticks of its time scale.
const ROUNDING: f64 = 0.0002;

/// The scheme of the property of transfer characteristics: ISO/IEC 23091-2.
const TRANSFER: &str = "urn:mpeg:mpegB:cicp:TransferCharacteristics";

/// Adds `VIDEO-RANGE` and `SUPPLEMENTAL-CODECS`; `RESOLUTION` is what is shown: as wide as pixels that are not square make
/// it, and turned as `matrix` says. `@width` and `@height` are the size before that, and `@sar` that of these pixels.
pub(super) fn add_to_variant(variant: &mut Variant, media: &MediaTrack) {
    let info = media.video();
    variant.video_range = info.video_range();
    variant.supplemental_codecs = info.supplemental_codec().map(|(codec, brand)| format!("{codec}/{brand}"));
    if let (Some((width, _)), Some((of_width, of_height))) = (&mut variant.resolution, info.oblong_pixel()) {
        let shown = u64::from(*width) * u64::from(of_width) / u64::from(of_height);
        *width = u32::try_from(shown).unwrap_or(*width);
    }
    if media.track.is_turned {
        variant.resolution = variant.resolution.map(|(width, height)| (height, width));
    }
}

/// The same variant for players of both eyes, who come first; others must not play what requires it, and have the base
/// layer.
pub(super) fn stereo(variant: &Variant, media: &MediaTrack) -> Option<Variant> {
    media.video().is_stereo.then(|| Variant { video_layout: Some("CH-STEREO"), ..variant.clone() })
}

/// Adds properties of color, `@sar` and `@scte214:supplementalCodecs`.
pub(super) fn add_to_representation(representation: &mut NewRepresentation, media: &MediaTrack) {
    let info = media.video();
    representation.set_properties = color_properties(&info);
    representation.sample_aspect_ratio =
        info.sample_aspect_ratio.map(|_| info.oblong_pixel().unwrap_or((1, 1)));
    representation.supplemental_codec = info.supplemental_codec();
}

/// Properties of color. Where a message prefers other transfer characteristics, those that are coded have to be
/// understood, and the others may be: ETSI TS 103 285 §5.2.5.
fn color_properties(info: &VideoInfo) -> Vec<SetProperty> {
    let is_coded_alone = |scheme: &str| info.preferred_transfer.is_none() || scheme != TRANSFER;
    let coded = info.color.properties().into_iter();
    let coded =
        coded.map(|(scheme, value)| SetProperty { is_essential: !is_coded_alone(&scheme), scheme, value });
    let preferred = info.preferred_transfer.map(|transfer| SetProperty {
        is_essential: false,
        scheme: TRANSFER.into(),
        value: transfer.to_string(),
    });
    let mut all: Vec<_> = coded.chain(preferred).collect();
    all.sort_by_key(|property| !property.is_essential);
    all
}

/// What divides AdaptationSets of one codec: pictures of other transfer characteristics are not switched to.
pub(super) fn switching(media: &MediaTrack) -> (&'static str, bool) {
    let info = media.video();
    let range = info.video_range().filter(|range| *range != "SDR");
    (range.unwrap_or_default(), info.preferred_transfer.is_some())
}

/// The frame rate in use that is meant by pictures in ticks: a whole number, or one of 1000 in 1001 seconds.
pub(super) fn nominal_frame_rate((pictures, ticks): (u64, u64)) -> (u64, u64) {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a frame rate"
    )]
    let near = |ticks_of: u64, unit: u64| {
        let rate = pictures as f64 / ticks as f64;
        let whole = (rate * ticks_of as f64 / unit as f64).round();
        let nominal = whole * unit as f64 / ticks_of as f64;
        ((rate - nominal).abs() <= nominal * ROUNDING).then_some((whole as u64 * unit, ticks_of))
    };
    if ticks <= 1001 {
        return (pictures, ticks);
    }
    near(1, 1).or_else(|| near(1001, 1000)).filter(|(pictures, _)| *pictures > 0).unwrap_or((pictures, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_differ_by_a_rounding_are_those_in_use() {
        for (found, expected) in [
            ((25, 1), (25, 1)),
            ((30_000, 1001), (30_000, 1001)),
            ((60_000, 2001), (60_000, 2001)),
            ((299_000, 9977), (30_000, 1001)),
            ((239_000, 9968), (24_000, 1001)),
            ((1_234_500, 49_379), (25, 1)),
            ((1_234_500, 48_000), (1_234_500, 48_000)),
            ((1, 100_000), (1, 100_000)),
        ] {
            assert_eq!(nominal_frame_rate(found), expected);
        }
    }
}
