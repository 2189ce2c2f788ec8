//! User data of a track: what it is for — ISO/IEC 14496-12 §8.10.3, §8.10.4; QuickTime File Format, User Data Atoms.

use super::BoxNode;
use super::boxes::leading_boxes;

/// The scheme of roles: ISO/IEC 23009-1 §5.8.5.5.
pub const ROLE_SCHEME: &str = "urn:mpeg:dash:role:2011";

/// The characteristics that QuickTime tags tracks with (`tagc`), and the roles that say the same.
const TAGS: &[(&[u8], &str)] = &[
    (b"public.accessibility.describes-video", "description"),
    (b"public.accessibility.enhances-speech-intelligibility", "enhanced-audio-intelligibility"),
    (b"public.accessibility.transcribes-spoken-dialog", "caption"),
    (b"public.auxiliary-content", "commentary"),
    (b"public.easy-to-read", "easyreader"),
    (b"public.subtitles.forced-only", "forced-subtitle"),
    (b"public.translation.dubbed", "dub"),
];

/// What a track is for, in words of a scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindBox {
    /// Whose word it is.
    pub scheme: String,
    /// The word.
    pub value: String,
}

/// What user data says of a track; what cannot be read says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserData {
    /// `kind`, and the tags of QuickTime that are known, as roles.
    pub kinds: Vec<KindBox>,
    /// `switch_group` of `tsel`: tracks of one are the same in other qualities; 0 says nothing.
    pub switch_group: u32,
}

impl UserData {
    pub(super) fn of(trak: &BoxNode) -> Self {
        let inside = |udta: &BoxNode| match udta.boxes() {
            [] => leading_boxes(udta.payload()).map_or_else(|_| Vec::new(), |(boxes, _)| boxes),
            boxes => boxes.to_vec(),
        };
        let mut found = Self::default();
        for node in trak.all(b"udta").flat_map(inside) {
            match &node.kind.0 {
                b"kind" => found.kinds.extend(kind(node.payload())),
                b"tagc" => found.kinds.extend(role_of_tag(node.payload()).map(KindBox::role)),
                b"tsel" => {
                    let group = node.payload().get(4..8).and_then(|field| field.first_chunk().copied());
                    found.switch_group = group.map_or(0, u32::from_be_bytes);
                }
                _ => {}
            }
        }
        found
    }
}

impl KindBox {
    /// A role.
    pub fn role(role: &str) -> Self {
        Self { scheme: ROLE_SCHEME.to_owned(), value: role.to_owned() }
    }

    /// The `kind` box that says it.
    pub fn to_box(&self) -> BoxNode {
        let texts = [self.scheme.as_bytes(), &[0], self.value.as_bytes(), &[0]].concat();
        BoxNode::data(b"kind", [&[0; 4][..], &texts].concat())
    }
}

/// KindBox: the URI of a scheme and a value, each with a zero behind it.
fn kind(payload: &[u8]) -> Option<KindBox> {
    let mut texts = payload.get(4..)?.split(|byte| *byte == 0);
    let mut text = || Some(String::from_utf8_lossy(texts.next()?).into_owned());
    Some(KindBox { scheme: text()?, value: text().unwrap_or_default() })
}

/// The role that says what a tag of QuickTime does, if there is one.
pub(super) fn role_of_tag(payload: &[u8]) -> Option<&'static str> {
    let text = payload.split(|byte| *byte == 0).next()?;
    TAGS.iter().find(|(tag, _)| *tag == text).map(|(_, role)| *role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_tags_are_read_and_what_is_cut_off_says_nothing() {
        let role = KindBox::role("description");
        let html = [&[0; 4][..], b"about:html-kind\0main-desc\0"].concat();
        let boxes = [
            role.to_box(),
            BoxNode::data(b"kind", html),
            BoxNode::data(b"kind", vec![0; 3]),
            BoxNode::data(b"tagc", b"public.auxiliary-content".to_vec()),
            BoxNode::data(b"tagc", b"public.other".to_vec()),
            BoxNode::data(b"tsel", vec![0, 0, 0, 0, 0, 0, 0, 7]),
        ];
        let bytes: Vec<u8> = boxes.iter().flat_map(BoxNode::to_bytes).chain([0; 4]).collect();
        for udta in [BoxNode::data(b"udta", bytes), BoxNode::container(b"udta", boxes.to_vec())] {
            let found = UserData::of(&BoxNode::container(b"trak", vec![udta]));
            let html = KindBox { scheme: "about:html-kind".into(), value: "main-desc".into() };
            assert_eq!(found.kinds, [role.clone(), html, KindBox::role("commentary")]);
            assert_eq!(found.switch_group, 7);
        }
        assert_eq!(UserData::of(&BoxNode::container(b"trak", Vec::new())), UserData::default());
    }
}
