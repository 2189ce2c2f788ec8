//! What descriptors and labels say of a Representation — ISO/IEC 23009-1 §5.3.3, §5.3.10, §5.8.

use super::ContentType;
use super::mpd::{Level, child, children};
use crate::base::Result;
use crate::isobmff::user_data::ROLE_SCHEME;
use crate::xml::Element;

impl Level<'_> {
    /// What is carried, where the MPD tells.
    pub(super) fn content_type(&self) -> Result<Option<ContentType>> {
        let of_component = match child(&self.adaptation_set, "ContentComponent") {
            Some(component) => component.attribute("contentType")?,
            None => None,
        };
        let mime_type = self.attribute("mimeType")?;
        let stated = [self.attribute("contentType")?, of_component];
        let Some(name) = stated.into_iter().flatten().next().or_else(|| mime_type.clone()) else {
            return Ok(None);
        };
        Ok(Some(match name.split('/').next().unwrap_or_default() {
            "video" => ContentType::Video,
            "audio" => ContentType::Audio,
            "text" => ContentType::Text,
            "image" => ContentType::Image,
            _ if mime_type.is_some_and(|kind| kind == "application/ttml+xml") || self.is_subtitle()? => {
                ContentType::Text
            }
            _ => ContentType::Other,
        }))
    }

    /// Whether a Role of §5.8.5.5 says so; `application/mp4` alone does not tell subtitles from metadata.
    fn is_subtitle(&self) -> Result<bool> {
        for role in children(&self.adaptation_set, "Role") {
            let scheme = role.attribute("schemeIdUri")?.unwrap_or_default();
            let value = role.attribute("value")?.unwrap_or_default();
            if scheme == ROLE_SCHEME && ["subtitle", "caption", "forced-subtitle"].contains(&value.as_ref()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What Representation and AdaptationSet are labeled with.
    pub(super) fn labels(&self) -> Result<Vec<String>> {
        let elements = [self.representation, &self.adaptation_set];
        let labels = elements.into_iter().flat_map(|element| children(element, "Label"));
        labels.map(|label| Ok(label.text()?.trim().to_owned())).collect()
    }

    /// The descriptors of the Representation, or else those of its AdaptationSet.
    pub(super) fn channel_configurations(&self) -> Result<Vec<(String, String)>> {
        const NAME: &str = "AudioChannelConfiguration";
        let own = described(self.representation, NAME)?;
        if own.is_empty() { described(&self.adaptation_set, NAME) } else { Ok(own) }
    }

    /// The properties of the Representation and of its AdaptationSet.
    pub(super) fn properties(&self) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for element in [self.representation, &self.adaptation_set] {
            for name in ["EssentialProperty", "SupplementalProperty"] {
                all.extend(described(element, name)?);
            }
        }
        Ok(all)
    }
}

/// Scheme and value of descriptors of this name.
fn described(element: &Element, name: &str) -> Result<Vec<(String, String)>> {
    let text = |descriptor: &Element, name: &str| -> Result<String> {
        Ok(descriptor.attribute(name)?.unwrap_or_default().into_owned())
    };
    children(element, name).map(|one| Ok((text(one, "schemeIdUri")?, text(one, "value")?))).collect()
}
