//! What manifests say of a track besides its codec: language, label, roles — RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.8.

use crate::base::{Error, Result, language_tag};
use crate::codec::TrackKind;
use crate::package::TrackId;

use crate::job::track_facts::TrackFacts;

/// Roles of DASH, the characteristics with which HLS says the same, and the purpose for which DASH has a descriptor.
const SAME: &[(&str, &[&str], Option<&str>)] = &[
    (
        "caption",
        &["public.accessibility.transcribes-spoken-dialog", "public.accessibility.describes-music-and-sound"],
        Some("2"),
    ),
    ("description", &["public.accessibility.describes-video"], Some("1")),
    ("easyreader", &["public.easy-to-read"], None),
    ("enhanced-audio-intelligibility", &["public.accessibility.enhances-speech-intelligibility"], Some("2")),
];
/// The role of what is played when nobody chooses.
const MAIN: &str = "main";
/// The roles of what anyone may want who understands the language.
const OF_ANYONE: &[&str] = &[MAIN, "dub"];
/// The roles that a name of a track does not say.
const UNNAMED: &[&str] = &[MAIN, "dub", "subtitle"];
/// The roles that say that text is subtitles of a kind.
const OF_TEXT: &[&str] = &["subtitle", "caption", "forced-subtitle"];

/// What the media of a track says of it.
#[derive(Clone, Debug, Default)]
pub(in crate::job) struct OfMedia<'a> {
    pub(in crate::job) language: Option<&'a str>,
    /// What it is for.
    pub(in crate::job) roles: Vec<String>,
}

/// What the manifests say of a track, both the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::job) struct Described {
    /// A tag of BCP 47.
    pub(in crate::job) lang: Option<String>,
    pub(in crate::job) label: Option<String>,
    pub(in crate::job) roles: Vec<String>,
    /// Whether it is played when nobody chooses.
    pub(in crate::job) is_default: bool,
    pub(in crate::job) forced: bool,
    pub(in crate::job) characteristics: Vec<String>,
    /// The group that the operator names.
    pub(in crate::job) group: Option<String>,
    /// The bit rate that the operator states.
    pub(in crate::job) bandwidth: Option<u64>,
}

impl Described {
    /// What is said of a track: what the operator says goes before what its media states.
    ///
    /// # Errors
    /// When the operator says of it what tracks of its kind have not.
    pub(in crate::job) fn of(id: TrackId, media: OfMedia<'_>, facts: &[TrackFacts]) -> Result<Self> {
        let name = id.to_string();
        let none = TrackFacts::default();
        let facts = facts.iter().find(|facts| facts.id == name).unwrap_or(&none);
        check(id, facts)?;
        let is_video = id.kind == TrackKind::Video;
        let stated = facts.lang.as_deref().or_else(|| media.language.filter(|_| !is_video));
        let mut described = Self {
            lang: stated.and_then(language_tag),
            label: facts.label.clone().filter(|_| !is_video),
            roles: if facts.roles.is_empty() { media.roles } else { facts.roles.clone() },
            is_default: facts.default,
            forced: facts.forced,
            characteristics: facts.characteristics.clone(),
            group: facts.group.clone(),
            bandwidth: facts.bandwidth,
        };
        described.say_both_ways(id.kind);
        Ok(described)
    }

    /// Roles are said as characteristics too, and the other way round.
    fn say_both_ways(&mut self, kind: TrackKind) {
        for (role, characteristics, _) in SAME {
            let has_role = self.roles.iter().any(|known| known == role);
            if !has_role
                && characteristics.iter().all(|one| self.characteristics.iter().any(|known| known == one))
            {
                self.roles.push((*role).to_owned());
            }
            if has_role && kind != TrackKind::Video {
                let missing = characteristics
                    .iter()
                    .filter(|one| !self.characteristics.iter().any(|known| known == *one));
                let missing: Vec<_> = missing.map(|one| (*one).to_owned()).collect();
                self.characteristics.extend(missing);
            }
        }
        self.forced |= self.roles.iter().any(|role| role == "forced-subtitle");
        if kind == TrackKind::Text && !self.roles.iter().any(|role| OF_TEXT.contains(&role.as_str())) {
            self.roles.push(if self.forced { "forced-subtitle" } else { "subtitle" }.to_owned());
        }
    }

    /// Whether both are one choice of the user, in another quality.
    pub(in crate::job) fn is_same_choice(&self, other: &Self) -> bool {
        let choice = |one: &Self| {
            let roles: Vec<_> = one.roles.iter().filter(|role| *role != MAIN).cloned().collect();
            (one.lang.clone(), one.label.clone(), roles, one.forced, one.characteristics.clone())
        };
        choice(self) == choice(other)
    }

    /// What a player lists it as, unless it has a label: its language, or else `id`, and what it is for.
    pub(in crate::job) fn name(&self, id: TrackId) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        let name = self.lang.clone().unwrap_or_else(|| id.to_string());
        match self.roles.iter().find(|role| !UNNAMED.contains(&role.as_str())) {
            Some(role) => format!("{name} ({role})"),
            None => name,
        }
    }

    /// The purposes for which there is a descriptor: ETSI TS 102 822-3-1, AudioPurposeCS.
    pub(in crate::job) fn purposes(&self) -> Vec<&'static str> {
        let of =
            |role: &String| SAME.iter().find(|(known, ..)| known == role).and_then(|(.., purpose)| *purpose);
        self.roles.iter().filter_map(of).collect()
    }
}

/// Says which of the tracks of a kind are played when nobody chooses: those that the operator names, else, of audio, the
/// first one that is for anyone; and with it every other quality of the same.
///
/// # Errors
/// When the operator names two that are not the same.
pub(in crate::job) fn choose_default(kind: TrackKind, tracks: &mut [&mut Described]) -> Result<()> {
    let named: Vec<_> = tracks.iter().filter(|one| one.is_default).map(|one| (**one).clone()).collect();
    if let Some(other) = named.iter().find(|one| !named.iter().all(|other| one.is_same_choice(other))) {
        return Err(Error::usage(format!(
            "several tracks of one kind are to be the default, one of them in {:?}",
            other.lang.as_deref().unwrap_or("no language")
        ))
        .clause("RFC 8216bis §4.4.6.1.1")
        .at("--track")
        .hint("give default to one language"));
    }
    let is_for_anyone =
        |one: &&&mut Described| one.roles.iter().all(|role| OF_ANYONE.contains(&role.as_str()));
    let first = tracks.iter().find(is_for_anyone).or_else(|| tracks.first());
    let first = first.filter(|_| kind == TrackKind::Audio).map(|one| (**one).clone());
    let Some(default) = named.into_iter().next().or(first) else { return Ok(()) };
    for one in tracks.iter_mut().filter(|one| one.is_same_choice(&default)) {
        one.is_default = true;
        if !one.roles.iter().any(|role| role == MAIN) {
            one.roles.insert(0, MAIN.to_owned());
        }
    }
    Ok(())
}

/// What makes no sense of a kind.
fn check(id: TrackId, facts: &TrackFacts) -> Result<()> {
    let (is_video, is_text) = (id.kind == TrackKind::Video, id.kind == TrackKind::Text);
    let wrong = [
        (
            facts.default && is_video,
            "default",
            "there is nothing to choose: players take the quality that they can",
        ),
        (facts.group.is_some() && is_video, "group", "video is in no group of renditions"),
        (!facts.characteristics.is_empty() && is_video, "characteristics", "give a role"),
        (facts.forced && !is_text, "forced", "it is for text"),
        (facts.clear && is_text, "clear", "text is clear anyway"),
    ];
    let texts = facts.label.iter().chain(&facts.group).chain(&facts.characteristics);
    if let Some(text) = texts.into_iter().find(|text| text.contains(|c: char| c == '"' || c.is_control())) {
        return Err(Error::usage(format!("{text:?} has a quotation mark or a line break"))
            .clause("RFC 8216bis §4.2")
            .at(format!("--track {id}")));
    }
    match wrong.iter().find(|(is_wrong, ..)| *is_wrong) {
        Some((_, key, why)) => {
            Err(Error::usage(format!("{key} for the track {id}")).at("--track").hint(*why))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(id: TrackId, text: &str) -> Described {
        Described::of(
            id,
            OfMedia { language: Some("deu"), ..OfMedia::default() },
            &[TrackFacts::parse(text).unwrap()],
        )
        .unwrap()
    }

    #[test]
    fn roles_and_characteristics_say_the_same() {
        let text = TrackId::new(TrackKind::Text, 1);
        let audio = TrackId::new(TrackKind::Audio, 1);
        let caption = described(text, "t1:role=caption");
        assert_eq!((caption.characteristics.len(), caption.purposes()), (2, vec!["2"]));
        assert_eq!(described(text, "t1:forced").roles, ["forced-subtitle"]);
        assert!(described(text, "t1:role=forced-subtitle").forced);
        assert_eq!(described(text, "t1:label=x").roles, ["subtitle"]);
        let spoken = described(audio, "a1:characteristics=public.accessibility.describes-video");
        assert_eq!(
            (spoken.roles.as_slice(), spoken.lang.as_deref()),
            (&["description".to_owned()][..], Some("de"))
        );
        for (id, facts) in
            [(text, "t1:clear"), (audio, "a1:forced"), (TrackId::new(TrackKind::Video, 1), "v1:default")]
        {
            assert!(
                Described::of(id, OfMedia::default(), &[TrackFacts::parse(facts).unwrap()]).is_err(),
                "{facts}"
            );
        }
    }

    #[test]
    fn the_first_language_is_the_default_unless_another_is_named() {
        let audio = |lang: &str, is_default| Described {
            lang: Some(lang.into()),
            is_default,
            ..Described::default()
        };
        let mains = |tracks: &mut [Described]| {
            choose_default(TrackKind::Audio, &mut tracks.iter_mut().collect::<Vec<_>>()).unwrap();
            tracks.iter().map(|track| track.roles == [MAIN] && track.is_default).collect::<Vec<_>>()
        };
        let of = |one, two| [audio("en", one), audio("de", two), audio("en", false)];
        assert_eq!(mains(&mut of(false, false)), [true, false, true]);
        assert_eq!(mains(&mut of(false, true)), [false, true, false]);
        let role = |role: &str| Described { roles: vec![role.into()], ..audio("en", false) };
        for (roles, default) in [(["description", "dub"], 1), (["description", "commentary"], 0)] {
            let mut tracks = roles.map(role);
            choose_default(TrackKind::Audio, &mut tracks.iter_mut().collect::<Vec<_>>()).unwrap();
            assert_eq!(tracks.iter().position(|track| track.is_default), Some(default), "{roles:?}");
        }
        let mut both = of(true, true);
        assert!(choose_default(TrackKind::Audio, &mut both.iter_mut().collect::<Vec<_>>()).is_err());
    }
}
