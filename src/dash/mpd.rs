//! MPD, Period, AdaptationSet and Representation as views of the element tree — ISO/IEC 23009-1 §5.3.
//!
//! It is longer than 400 lines because it holds every edit of an MPD: they share the walk over its elements.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::addressing::{self, Location, Media, Reference, SegmentTiming};
use super::live::Live;
use super::template;
use crate::base::env::Store;
use crate::base::{Error, Result, duration};
use crate::xml::{Document, Element};

/// The namespace of every edition's MPD.
pub(super) const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
const XLINK: &str = "http://www.w3.org/1999/xlink";
/// Most attributes of one element: Representations look at those of the elements around them.
const MAX_ATTRIBUTES: usize = 1000;
/// Most descriptors, labels and addresses of one element that holds Representations, for the same reason.
const MAX_PROPERTIES: usize = 256;

/// A media presentation description; what is not edited is written back byte for byte.
#[derive(Clone, Debug)]
pub struct Mpd {
    pub(super) document: Document,
    pub(super) repairs: Vec<String>,
}

/// Where a Representation stands: counts from 0 of its Period, of its AdaptationSet in the Period and of
/// itself in the AdaptationSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MpdPath {
    /// Which `Period` of the MPD.
    pub period: usize,
    /// Which `AdaptationSet` of the Period.
    pub adaptation_set: usize,
    /// Which `Representation` of the AdaptationSet.
    pub representation: usize,
}

impl fmt::Display for MpdPath {
    /// Writes an XPath, which counts from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [period, set, representation] =
            [self.period, self.adaptation_set, self.representation].map(|index| index.saturating_add(1));
        write!(f, "Period[{period}]/AdaptationSet[{set}]/Representation[{representation}]")
    }
}

/// What the MPD says a Representation carries: §5.3.3.2, `@contentType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// Video.
    Video,
    /// Audio.
    Audio,
    /// Subtitles and captions.
    Text,
    /// Still images, such as thumbnails.
    Image,
    /// Anything else.
    Other,
}

/// A Representation with what it inherits from its AdaptationSet and Period.
#[derive(Clone, Debug)]
pub struct Representation {
    /// Where it stands.
    pub place: MpdPath,
    /// `@id`.
    pub id: String,
    /// From `@contentType` or else `@mimeType`; `None` when neither tells.
    pub kind: Option<ContentType>,
    /// `@mimeType`.
    pub mime_type: Option<String>,
    /// `@codecs`.
    pub codecs: Option<String>,
    /// `@width`, in pixels.
    pub width: Option<u64>,
    /// `@height`, in pixels.
    pub height: Option<u64>,
    /// `@bandwidth`, in bits per second.
    pub bandwidth: Option<u64>,
    /// `@frameRate`, such as `25` or `30000/1001`.
    pub frame_rate: Option<String>,
    /// `@audioSamplingRate`, in Hz.
    pub audio_sampling_rate: Option<String>,
    /// `AdaptationSet/@lang`.
    pub lang: Option<String>,
    /// `Label` elements: §5.3.10.
    pub labels: Vec<String>,
    /// Scheme and value of each `AudioChannelConfiguration`: §5.8.5.4.
    pub channel_configurations: Vec<(String, String)>,
    /// Scheme and value of each `EssentialProperty` and `SupplementalProperty`, also of the AdaptationSet: §5.8.4.8, §5.8.4.9.
    pub properties: Vec<(String, String)>,
    /// When its segments are presented.
    pub timing: SegmentTiming,
    /// The initialization segment; `None` for a self-initializing file or media without one.
    pub initialization: Option<Reference>,
    /// The media segments.
    pub media: Media,
}

/// A Representation element and what the elements around it say of it: those are shared by many, and are without
/// the Periods, AdaptationSets and Representations that they hold.
#[derive(Clone)]
pub(super) struct Level<'a> {
    pub(super) place: MpdPath,
    root: Rc<Element>,
    period: Rc<Element>,
    pub(super) adaptation_set: Rc<Element>,
    pub(super) representation: &'a Element,
}

impl Mpd {
    /// Reads an MPD.
    ///
    /// # Errors
    /// When it is not an XML document whose root is `MPD`, or has parts elsewhere (`xlink:href`).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (document, repairs) = Document::parse_repaired(bytes)?;
        let root = document.root();
        let namespace = root.attribute(&declaration(root.prefix()))?.unwrap_or_default();
        if root.local_name() != "MPD" || namespace != NAMESPACE {
            return Err(Error::input(format!(
                "root element {} of namespace {namespace:?}, expected MPD of {NAMESPACE:?}",
                root.name()
            ))
            .clause("ISO/IEC 23009-1 §5.3.1"));
        }
        check(root, root.prefix(), &mut Scope::new())?;
        Ok(Self { document, repairs })
    }

    /// What was not well formed and was put right, one line each.
    pub fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }

    /// The root element.
    pub fn root(&self) -> &Element {
        self.document.root()
    }

    /// All Representations in document order; `document` is the MPD's own name in the presentation's folder.
    /// The store tells which files are there: that bounds the segments of a live presentation without an end.
    ///
    /// # Errors
    /// When an address is wrong or leads out of the folder, when no segment of a live Representation is there,
    /// or when there are more than [`MAX_SEGMENTS`](super::MAX_SEGMENTS) segments.
    pub fn representations(&self, document: &str, store: &dyn Store) -> Result<Vec<Representation>> {
        let root = self.document.root();
        let periods = periods(root)?;
        let live = self.is_dynamic().then_some(Live { store });
        let mut segments_left = addressing::MAX_SEGMENTS;
        self.levels()?
            .into_iter()
            .map(|level| {
                let duration = periods.get(level.place.period).and_then(|period| period.duration);
                level
                    .view((document, store), (duration, live), &mut segments_left)
                    .map_err(|error| error.at(level.place))
            })
            .collect()
    }

    /// How long the presentation lasts: all Periods together, when each has a duration.
    ///
    /// # Errors
    /// When a time or a duration is wrong.
    pub fn duration(&self) -> Result<Option<Duration>> {
        let periods = self.periods()?;
        Ok(periods.into_iter().try_fold(Duration::ZERO, |sum, period| sum.checked_add(period.duration?)))
    }

    /// Its Periods in order.
    ///
    /// # Errors
    /// When a time or a duration is wrong.
    pub fn periods(&self) -> Result<Vec<Period>> {
        periods(self.document.root())
    }

    /// Whether it goes on: `@type` is `dynamic`, §5.3.1.2.
    pub fn is_dynamic(&self) -> bool {
        let kind = self.document.root().attribute("type");
        kind.ok().flatten().is_some_and(|kind| kind == "dynamic")
    }

    /// The files that `InitializationSet` elements name, beside those that Representations have: §5.3.12.
    ///
    /// # Errors
    /// When an address leads out of the folder.
    pub fn initialization_sets(&self, document: Location<'_>) -> Result<Vec<String>> {
        let root = self.document.root();
        let base = relative_base(root, String::new())?;
        let mut names = Vec::new();
        for set in children(root, "InitializationSet") {
            if let Some(initialization) = set.attribute("initialization")? {
                let name = document.file(&base, &initialization);
                names.push(name.map_err(|error| error.at("InitializationSet"))?);
            }
        }
        Ok(names)
    }

    pub(super) fn levels(&self) -> Result<Vec<Level<'_>>> {
        let root = self.document.root();
        let around = Rc::new(without(root, "Period")?);
        let mut levels = Vec::new();
        for (p, period) in children(root, "Period").enumerate() {
            let around_sets = Rc::new(without(period, "AdaptationSet")?);
            for (a, set) in children(period, "AdaptationSet").enumerate() {
                let adaptation_set = Rc::new(without(set, "Representation")?);
                for (r, representation) in children(set, "Representation").enumerate() {
                    levels.push(Level {
                        place: MpdPath { period: p, adaptation_set: a, representation: r },
                        root: around.clone(),
                        period: around_sets.clone(),
                        adaptation_set: adaptation_set.clone(),
                        representation,
                    });
                }
            }
        }
        Ok(levels)
    }
}

/// An element without what it holds many of. What is left is read once for each Representation below it.
fn without(element: &Element, many: &str) -> Result<Element> {
    let others: Vec<_> = element.elements().filter(|child| child.local_name() != many).collect();
    if others.len() > MAX_PROPERTIES {
        return Err(Error::unsupported(format!("more than {MAX_PROPERTIES} elements that are no {many}"))
            .at(element.name().to_owned()));
    }
    Ok(others.into_iter().fold(element.emptied(), |around, child| around.with_child(child.clone())))
}

impl Level<'_> {
    fn view(
        &self,
        (document, store): (&str, &dyn Store),
        (duration, live): (Option<Duration>, Option<Live<'_>>),
        left: &mut u64,
    ) -> Result<Representation> {
        let own = |name: &str| self.representation.attribute(name);
        let id = own("id")?
            .ok_or_else(|| Error::input("Representation has no @id").clause("ISO/IEC 23009-1 §5.3.5.2"))?
            .into_owned();
        let bandwidth = number(self.representation, "bandwidth")?;
        let inherited = |name: &str| -> Result<Option<u64>> {
            Ok(number(self.representation, name)?.or(number(&self.adaptation_set, name)?))
        };
        let text = |name: &str| -> Result<Option<String>> {
            Ok(self.attribute(name)?.map(|value| value.into_owned()))
        };
        let (timing, (initialization, media)) = addressing::Addressing {
            levels: [self.representation, &self.adaptation_set, &self.period],
            document: Location { name: document, store },
            base: self.base_url()?,
            representation_id: &id,
            bandwidth,
            period_duration: duration,
            live,
            segments_left: left,
        }
        .locate()?;
        Ok(Representation {
            place: self.place,
            kind: self.content_type()?,
            mime_type: text("mimeType")?,
            codecs: text("codecs")?,
            width: inherited("width")?,
            height: inherited("height")?,
            frame_rate: text("frameRate")?,
            audio_sampling_rate: text("audioSamplingRate")?,
            lang: text("lang")?,
            labels: self.labels()?,
            timing,
            channel_configurations: self.channel_configurations()?,
            properties: self.properties()?,
            id,
            bandwidth,
            initialization,
            media,
        })
    }

    /// An attribute of the Representation, or else of its AdaptationSet: §5.3.7.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>> {
        let own = self.representation.attribute(name)?;
        if own.is_some() { Ok(own) } else { self.adaptation_set.attribute(name) }
    }

    /// The first relative `BaseURL` of each level, joined: §5.6.4. The others name the same data elsewhere.
    pub(super) fn base_url(&self) -> Result<String> {
        let mut base = String::new();
        for element in [&self.root, &self.period, &self.adaptation_set, self.representation] {
            base = relative_base(element, base)?;
        }
        Ok(base)
    }
}

/// The base of an element below `base`: its first relative `BaseURL`, if it has any.
fn relative_base(element: &Element, base: String) -> Result<String> {
    let urls = children(element, "BaseURL").map(|url| template::join(&base, url.text()?.trim()));
    let mut joined: Vec<Result<String>> = urls.collect();
    let relative = joined.iter().position(Result::is_ok).unwrap_or(0);
    if relative < joined.len() {
        return joined.swap_remove(relative).map_err(|error| error.at("BaseURL"));
    }
    Ok(base)
}

/// Child elements of `parent` that are `name` of the MPD namespace.
pub(super) fn children<'a>(parent: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
    parent.elements().filter(move |element| element.local_name() == name && is_mpd(parent.prefix(), element))
}

/// The first of [`children`].
pub(super) fn child<'a>(parent: &'a Element, name: &'a str) -> Option<&'a Element> {
    children(parent, name).next()
}

/// Whether a child of an MPD element with this prefix is one too; [`Mpd::parse`] has seen to one prefix.
pub(super) fn is_mpd(prefix: &str, element: &Element) -> bool {
    element.prefix() == prefix
        && element
            .attribute(&declaration(prefix))
            .is_ok_and(|declared| declared.is_none_or(|namespace| namespace == NAMESPACE))
}

/// The name of the attribute that declares a prefix.
pub(super) fn declaration(prefix: &str) -> String {
    if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") }
}

/// A non-negative whole number in an attribute.
pub(super) fn number(element: &Element, name: &str) -> Result<Option<u64>> {
    let Some(text) = element.attribute(name)? else { return Ok(None) };
    let digits = text.trim();
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
        .map(Some)
        .ok_or_else(|| {
            Error::input(format!("@{name} is {text:?}, expected a whole number")).at(element.name())
        })
}

/// Prefixes and the namespaces that they stand for, the innermost last.
type Scope<'a> = HashMap<&'a str, Vec<Cow<'a, str>>>;

/// Refuses what an MPD with it could not be read back for, in an element that comes from elsewhere, where these prefixes
/// are declared around it.
pub(super) fn check_inserted(element: &Element, declared: &[String]) -> Result<()> {
    let mut scope: Scope<'_> =
        declared.iter().map(|name| (name.as_str(), vec!["around it".into()])).collect();
    check(element, "", &mut scope)
}

/// Refuses what the views would pass over in silence: remote parts and MPD elements under a second prefix.
fn check<'a>(element: &'a Element, prefix: &str, scope: &mut Scope<'a>) -> Result<()> {
    let attributes = element.attributes().map_err(|error| error.at(element.name()))?;
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(Error::unsupported(format!(
            "{} attributes, at most {MAX_ATTRIBUTES} are read of an element",
            attributes.len()
        ))
        .at(element.name()));
    }
    let declared = attributes.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix("xmlns").filter(|rest| rest.is_empty() || rest.starts_with(':'))?;
        Some((rest.trim_start_matches(':'), value.clone()))
    });
    let declared: Vec<(&'a str, Cow<'a, str>)> = declared.collect();
    for (name, value) in &declared {
        scope.entry(name).or_default().push(value.clone());
    }
    let bound =
        |prefix: &str| scope.get(prefix).and_then(|uris| uris.last()).map(Cow::as_ref).unwrap_or_default();
    // What no reader of namespaces finds: `xml` and `xmlns` alone need no declaration.
    let is_known = |prefix: &str| matches!(prefix, "xml" | "xmlns") || !bound(prefix).is_empty();
    let names = attributes.iter().map(|(name, _)| *name).chain([element.name()]);
    let mut undeclared =
        names.filter(|name| name.split_once(':').is_some_and(|(prefix, _)| !is_known(prefix)));
    if let Some(name) = undeclared.next() {
        return Err(Error::input(format!(
            "{name:?} has a prefix that is not declared, expected xmlns:… for it"
        ))
        .clause("Namespaces in XML 1.0 §5")
        .at(element.name())
        .hint("players do not read such an MPD: declare the prefix"));
    }
    if let Some((name, value)) = attributes
        .iter()
        .find(|(name, _)| name.split_once(':').is_some_and(|(p, n)| n == "href" && bound(p) == XLINK))
    {
        return Err(Error::unsupported(format!("{name} {value:?}, expected the element itself"))
            .clause("ISO/IEC 23009-1 §5.5")
            .at(element.name())
            .hint("resolve remote elements first"));
    }
    if element.prefix() != prefix && bound(element.prefix()) == NAMESPACE {
        return Err(Error::unsupported(format!(
            "element {} of the MPD namespace, expected the prefix of the root element",
            element.name()
        ))
        .clause("Namespaces in XML 1.0 §3"));
    }
    for child in element.elements() {
        check(child, prefix, scope)?;
    }
    for (name, _) in declared {
        scope.entry(name).or_default().pop();
    }
    Ok(())
}

/// When a Period begins and how long it lasts: §5.3.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// `@start`.
    pub stated_start: Option<Duration>,
    /// `@duration`.
    pub stated_duration: Option<Duration>,
    /// When it begins: as it says, or where the one before it ends by its duration.
    pub start: Option<Duration>,
    /// Its own duration, or up to the next one's start or the presentation's end.
    pub duration: Option<Duration>,
}

fn periods(root: &Element) -> Result<Vec<Period>> {
    let time = |element: &Element, name: &str| -> Result<Option<Duration>> {
        let Some(text) = element.attribute(name)? else { return Ok(None) };
        duration::parse(&text).map(Some).map_err(|error| error.at(format_args!("{}/@{name}", element.name())))
    };
    let mut periods: Vec<Period> = Vec::new();
    for period in children(root, "Period") {
        let (stated_start, stated_duration) = (time(period, "start")?, time(period, "duration")?);
        let behind = periods.last().map_or(Some(Duration::ZERO), |before| {
            before.start.zip(before.stated_duration).and_then(|(start, lasts)| start.checked_add(lasts))
        });
        let start = stated_start.or(behind);
        periods.push(Period { stated_start, stated_duration, start, duration: None });
    }
    let end = time(root, "mediaPresentationDuration")?;
    let ends: Vec<_> = periods.iter().skip(1).map(|period| period.start).chain([end]).collect();
    for (period, end) in periods.iter_mut().zip(ends) {
        let to_end = || end.zip(period.start).and_then(|(end, start)| end.checked_sub(start));
        period.duration = period.stated_duration.or_else(to_end);
    }
    Ok(periods)
}
