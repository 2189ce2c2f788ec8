//! Laws and scenarios of MPDs — ISO/IEC 23009-1.

use std::time::Duration;

use super::content_protection::{SystemDescriptor, descriptors};
use super::write::{NewAdaptationSet, NewAddressing, NewMpd, NewRepresentation};
use super::{ContentType, Count, Location, Media, Mpd, MpdPath, Protected, Reference, Representation};
use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Kid, Kind, SystemId};
use crate::xml::Element;

const NS: &str = "xmlns=\"urn:mpeg:dash:schema:mpd:2011\"";

/// Odd formatting: a missing space between attributes, CRLF, single quotes, comments, foreign elements.
const ODD: &str = "<?xml version='1.0'?>\r\n<!-- c -->\r\n<MPD \
xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles='p' \
    xmlns:x=\"urn:x\" type=\"static\" mediaPresentationDuration=\"PT8S\"\r\n\tminBufferTime=\"PT2S\" >\r\n\
    \t<x:Period/>\r\n\t<Period id='0'>\r\n\t\t<AdaptationSet contentType=\"video\" mimeType=\"video/mp4\" \
    id=\"7\">\r\n\
    \t\t\t<FramePacking schemeIdUri=\"f\"/>\r\n\t\t\t<!-- r --><Role \
    schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\" />\r\n\
    \t\t\t<SegmentTemplate timescale=\"10\" duration='20' media=\"$RepresentationID$/$Number%03d$.m4s\" \
    initialization=\"$RepresentationID$/init.mp4\"/>\r\n\
    \t\t\t<Representation id=\"a\" bandwidth=\"1\" width=\"64\"/>\r\n\
    \t\t\t<Representation id=\"b\" bandwidth=\"2\"></Representation>\r\n\
    \t\t\t<Representation id=\"c\" bandwidth=\"3\"/>\r\n\
    \t\t</AdaptationSet>\r\n\t</Period>\r\n</MPD>\r\n<!-- end -->";

/// A folder with files of these names.
struct Names<'a>(&'a [&'a str]);

fn location() -> Location<'static> {
    Location { name: "m.mpd", store: &Names(&[]) }
}

impl Store for Names<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn Source>, Error> {
        Err(Error::input(name))
    }

    fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.0.contains(&name))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>, Error> {
        Err(Error::storage(name))
    }
}

fn mpd(text: &str) -> Mpd {
    Mpd::parse(text.as_bytes()).unwrap()
}

fn text(mpd: &Mpd) -> String {
    String::from_utf8(mpd.to_bytes()).unwrap()
}

/// An MPD of 10 s with one Representation of id `r` and 500 bit/s.
fn one(information: &str) -> Mpd {
    mpd(&format!(
        "<MPD {NS} mediaPresentationDuration=\"PT10S\"><Period><AdaptationSet contentType=\"audio\">\
         <Representation id=\"r\" \
         bandwidth=\"500\">{information}</Representation></AdaptationSet></Period></MPD>"
    ))
}

fn only(mpd: &Mpd) -> Result<Representation, Error> {
    mpd.representations("m.mpd", &Names(&[])).map(|mut all| all.remove(0))
}

/// Names and count of the segments.
fn segments(mpd: &Mpd) -> (Vec<String>, Count) {
    let Media::Segments { references, count } = only(mpd).unwrap().media else { panic!("single file") };
    (references.into_iter().map(|reference| reference.name).collect(), count)
}

fn place(period: usize, adaptation_set: usize, representation: usize) -> MpdPath {
    MpdPath { period, adaptation_set, representation }
}

fn protected(place: MpdPath, key: u8) -> Protected {
    let kid = Kid::new([key; 16]);
    let systems = [
        SystemDescriptor {
            system_id: SystemId::new([0xAB; 16]),
            value: "One",
            robustness: None,
            data: "\n <cenc:pssh>AAAA</cenc:pssh>\n <one:pro>BBBB</one:pro>",
            namespaces: &[("one", "urn:one")],
        },
        SystemDescriptor {
            system_id: SystemId::new([0xCD; 16]),
            value: "",
            robustness: None,
            data: "<c:pssh xmlns:c=\"urn:mpeg:cenc:2013\">CCCC</c:pssh>",
            namespaces: &[],
        },
        SystemDescriptor {
            system_id: SystemId::new([0xEF; 16]),
            value: "",
            robustness: None,
            data: "",
            namespaces: &[],
        },
    ];
    Protected { place, kid, descriptors: descriptors("cbcs", Some(kid), &systems).unwrap() }
}

/// Asserts the sequences of RepresentationBaseType and its extensions: Annex B.
fn assert_schema_order(element: &Element) {
    const BASE: &[&str] = &[
        "FramePacking",
        "AudioChannelConfiguration",
        "ContentProtection",
        "OutputProtection",
        "EssentialProperty",
        "SupplementalProperty",
        "InbandEventStream",
        "Switching",
        "RandomAccess",
        "GroupLabel",
        "Label",
        "ProducerReferenceTime",
        "ContentPopularityRate",
        "Resync",
        "Accessibility",
        "Role",
        "Rating",
        "Viewpoint",
        "ContentComponent",
        "BaseURL",
        "SubRepresentation",
        "SegmentBase",
        "SegmentList",
        "SegmentTemplate",
        "Representation",
    ];
    if matches!(element.local_name(), "AdaptationSet" | "Representation") {
        let ranks: Vec<_> = element
            .elements()
            .filter_map(|child| BASE.iter().position(|name| *name == child.local_name()))
            .collect();
        assert!(ranks.is_sorted(), "{}", element.to_text());
    }
    element.elements().for_each(assert_schema_order);
}

#[test]
fn what_is_not_edited_is_written_as_it_was_read() {
    for source in [ODD.to_owned(), format!("\u{feff}{ODD}"), ODD.replace("\r\n", "")] {
        let mut mpd = mpd(&source);
        assert_eq!(text(&mpd), source);
        mpd.unprotect();
        mpd.protect(&[]).unwrap();
        mpd.map_byte_ranges(location(), &mut |_, range| Ok(range)).unwrap();
        assert_eq!(text(&mpd), source);
    }
}

#[test]
fn a_representation_inherits_from_its_adaptation_set() {
    let all = mpd(ODD).representations("dash/m.mpd", &Names(&[])).unwrap();
    assert_eq!(all.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let first = &all[0];
    assert_eq!(first.place, place(0, 0, 0));
    assert_eq!(first.kind, Some(ContentType::Video));
    assert_eq!(first.mime_type.as_deref(), Some("video/mp4"));
    assert_eq!((first.width, first.height, first.bandwidth), (Some(64), None, Some(1)));
    let initialization = first.initialization.as_ref().unwrap();
    assert_eq!(*initialization, Reference { name: "dash/a/init.mp4".into(), range: None, time: None });
    let Media::Segments { references, count } = &first.media else { panic!() };
    assert_eq!((references.len(), *count), (4, Count::Implied));
    assert_eq!(references[3].name, "dash/a/004.m4s");
}

#[test]
fn a_level_replaces_single_attributes_of_the_level_above() {
    let mpd = mpd(
        "<d:MPD xmlns:d=\"urn:mpeg:dash:schema:mpd:2011\"><d:BaseURL>a/</d:BaseURL><d:BaseURL>z/</d:BaseURL>\
         <d:Period duration=\"PT6S\"><d:BaseURL>b/</d:BaseURL>\
         <d:SegmentTemplate timescale=\"1000\" duration=\"2000\" startNumber=\"0\" media=\"p$Number$\"/>\
         <d:AdaptationSet lang=\"sv\" mimeType=\"application/ttml+xml\"><d:SegmentTemplate \
         media=\"$Number$.$Bandwidth$\"/>\
         <d:Representation id=\"r\" bandwidth=\"5\"><d:SegmentTemplate startNumber=\"9\"/></d:Representation>\
         </d:AdaptationSet></d:Period></d:MPD>",
    );
    assert_eq!(segments(&mpd).0, ["a/b/9.5", "a/b/10.5", "a/b/11.5"]);
    let representation = only(&mpd).unwrap();
    assert_eq!((representation.kind, representation.lang.as_deref()), (Some(ContentType::Text), Some("sv")));
}

#[test]
fn templates_count_their_segments() {
    for (attributes, names, count) in [
        ("duration=\"5\"", &["1", "2"][..], Count::Implied),
        ("duration=\"4\"", &["1", "2", "3"], Count::Implied),
        ("duration=\"9999\" timescale=\"1000\"", &["1", "2"], Count::Implied),
        ("duration=\"4\" startNumber=\"0\" endNumber=\"1\"", &["0", "1"], Count::Stated),
        ("startNumber=\"7\"", &["7"], Count::Stated),
        ("", &["1"], Count::Stated),
    ] {
        let mpd = one(&format!("<SegmentTemplate media=\"$Number$\" {attributes}/>"));
        assert_eq!(segments(&mpd), (names.iter().map(|n| n.to_string()).collect(), count), "{attributes}");
    }
    let timeless = "<SegmentTemplate media=\"$Number$\" duration=\"4\" timescale=\"0\"/>";
    let error = only(&one(timeless)).unwrap_err().to_string();
    assert!(error.contains("@timescale is 0"), "{error}");
}

#[test]
fn timelines_list_their_segments() {
    for (timeline, names, count) in [
        ("<S t=\"5\" d=\"2\"/><S d=\"3\" r=\"1\"/>", &["1-5", "2-7", "3-10"][..], Count::Stated),
        ("<S d=\"30\" r=\"-1\"/>", &["1-0", "2-30", "3-60", "4-90"], Count::Implied),
        ("<S t=\"0\" d=\"40\" r=\"-1\"/><S t=\"75\" d=\"9\"/>", &["1-0", "2-40", "3-75"], Count::Stated),
        ("<S t=\"0\" d=\"10\"/><S t=\"50\" d=\"10\" n=\"6\"/>", &["1-0", "6-50"], Count::Stated),
        ("", &[], Count::Stated),
    ] {
        let mpd = one(&format!(
            "<SegmentTemplate timescale=\"10\" \
            media=\"$Number$-$Time$\"><SegmentTimeline>{timeline}</SegmentTimeline>\
             </SegmentTemplate>"
        ));
        assert_eq!(segments(&mpd), (names.iter().map(|n| n.to_string()).collect(), count), "{timeline}");
    }
    let offset = one(
        "<SegmentTemplate timescale=\"10\" presentationTimeOffset=\"1000\" media=\"$Time$\" endNumber=\"3\">\
         <SegmentTimeline><S t=\"1000\" d=\"25\" r=\"-1\"/></SegmentTimeline></SegmentTemplate>",
    );
    assert_eq!(segments(&offset).0, ["1000", "1025", "1050"]);
}

#[test]
fn single_files_and_lists_are_located() {
    let file = |range| Reference { name: "v/a b.mp4".into(), range, time: None };
    let representation =
        only(&one("<BaseURL> v/a%20b.mp4 </BaseURL><SegmentBase indexRange=\"100-199\"><Initialization \
        range=\"0-99\"/></SegmentBase>"))
        .unwrap();
    assert_eq!(representation.initialization, Some(file(Some(0..100))));
    assert_eq!(representation.media, Media::SingleFile { file: file(None), index_range: Some(100..200) });

    let representation = only(&one("<BaseURL>v/a%20b.mp4</BaseURL>")).unwrap();
    assert_eq!(representation.initialization, None);
    assert_eq!(representation.media, Media::SingleFile { file: file(None), index_range: None });

    let representation =
        only(&one("<BaseURL>v/a%20b.mp4</BaseURL><SegmentList><Initialization sourceURL=\"i.mp4\"/>\
         <SegmentURL media=\"1.mp4\"/><SegmentURL mediaRange=\"5-9\"/></SegmentList>"))
        .unwrap();
    assert_eq!(
        representation.initialization,
        Some(Reference { name: "v/i.mp4".into(), range: None, time: None })
    );
    let references = vec![Reference { name: "v/1.mp4".into(), range: None, time: None }, file(Some(5..10))];
    assert_eq!(representation.media, Media::Segments { references, count: Count::Stated });
}

#[test]
fn addresses_that_cannot_be_followed_are_refused() {
    for (information, kind) in [
        ("", Kind::Input),
        ("<BaseURL>v/</BaseURL>", Kind::Input),
        ("<BaseURL>https://h/v.mp4</BaseURL>", Kind::Input),
        ("<BaseURL>../v.mp4</BaseURL>", Kind::Input),
        ("<SegmentTemplate/>", Kind::Input),
        ("<SegmentTemplate media=\"/$Number$\"/>", Kind::Input),
        ("<SegmentTemplate media=\"x\" duration=\"1\"/>", Kind::Input),
        ("<SegmentTemplate media=\"$Time$\" duration=\"1\"/>", Kind::Input),
        ("<SegmentTemplate media=\"$Number$\" duration=\"0\"/>", Kind::Input),
        ("<SegmentTemplate media=\"$Number$\" duration=\"1\" timescale=\"1000000\"/>", Kind::Unsupported),
        ("<SegmentTemplate media=\"$Number$\" endNumber=\"18446744073709551615\"/>", Kind::Unsupported),
        ("<SegmentTemplate media=\"$Number$\" startNumber=\"2\" endNumber=\"0\"/>", Kind::Input),
        ("<SegmentTemplate media=\"$Number$\" index=\"$Number$.sidx\"/>", Kind::Unsupported),
        (
            "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S d=\"1\" r=\"9223372036854775807\"/>\
             </SegmentTimeline></SegmentTemplate>",
            Kind::Unsupported,
        ),
        (
            "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S d=\"1\" r=\"-1\"/><S d=\"1\"/>\
             </SegmentTimeline></SegmentTemplate>",
            Kind::Input,
        ),
        (
            "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"18446744073709551615\" d=\"1\"/>\
             </SegmentTimeline></SegmentTemplate>",
            Kind::Input,
        ),
        ("<SegmentList/>", Kind::Input),
        ("<BaseURL>v</BaseURL><SegmentBase indexRange=\"9-\"/>", Kind::Input),
        ("<BaseURL>v</BaseURL><SegmentBase indexRange=\"9-8\"/>", Kind::Input),
    ] {
        let error = only(&one(information)).unwrap_err();
        assert_eq!(error.kind(), kind, "{information}: {error}");
        assert!(error.to_string().contains("Representation[1]"), "{error}");
    }
}

#[test]
fn period_durations_follow_from_starts() {
    let mpd = |attributes: &str| {
        mpd(&format!(
            "<MPD {NS} {attributes}><Period start=\"PT0S\"><AdaptationSet><SegmentTemplate \
            media=\"$Number$\" duration=\"2\"/>\
             <Representation id=\"r\"/></AdaptationSet></Period><Period start=\"PT5S\"/></MPD>"
        ))
    };
    assert_eq!(segments(&mpd("")).0.len(), 3);
    assert_eq!(segments(&mpd("type=\"dynamic\"")).0.len(), 3);
    assert_eq!(segments(&mpd("type=\"dynamic\" mediaPresentationDuration=\"PT9S\"")).0.len(), 3);
}

#[test]
fn a_live_presentation_has_the_segments_that_are_there() {
    let live = |information: &str| {
        mpd(&format!(
            "<MPD {NS} type=\"dynamic\"><Period start=\"PT0S\"><AdaptationSet><SegmentTemplate {information}>\
             <Representation id=\"r\"/></AdaptationSet></Period></MPD>"
        ))
    };
    let there = |mpd: &Mpd, names: &[&str]| -> Result<Vec<String>, Error> {
        let all = mpd.representations("m.mpd", &Names(names))?;
        let Media::Segments { references, count } = &all[0].media else { panic!("single file") };
        assert_eq!(*count, Count::Stated);
        Ok(references.iter().map(|reference| reference.name.clone()).collect())
    };
    let numbers = live("media=\"$Number$\" duration=\"2\" startNumber=\"7\"/");
    assert_eq!(there(&numbers, &["7", "8", "9"]).unwrap(), ["7", "8", "9"]);
    assert_eq!(there(&numbers, &["6", "500", "501", "503", "900"]).unwrap(), ["500", "501", "503"]);
    assert_eq!(there(&numbers, &["6"]).unwrap_err().kind(), Kind::Input);
    let bounded = live("media=\"$Number$\" duration=\"2\" endNumber=\"2\"/");
    assert_eq!(there(&bounded, &[]).unwrap(), ["1", "2"]);
    let timeline = live(
        "media=\"$Time$\"><SegmentTimeline><S t=\"5\" d=\"2\"/><S d=\"3\" r=\"-1\"/></SegmentTimeline></SegmentTemplate",
    );
    assert_eq!(there(&timeline, &["5", "7", "10"]).unwrap(), ["5", "7", "10"]);
    let stated = live(
        "media=\"$Time$\"><SegmentTimeline><S t=\"5\" d=\"2\" r=\"2\"/></SegmentTimeline></SegmentTemplate",
    );
    assert_eq!(there(&stated, &[]).unwrap(), ["5", "7", "9"]);
    for endless in ["media=\"$Number$\" duration=\"0\"/", "media=\"x\" duration=\"1\"/"] {
        assert_eq!(there(&live(endless), &["x"]).unwrap_err().kind(), Kind::Input, "{endless}");
    }
    let last = live(
        "media=\"$Time$\"><SegmentTimeline><S t=\"18446744073709551614\" d=\"9\" r=\"-1\"/></SegmentTimeline>\
         </SegmentTemplate",
    );
    assert_eq!(there(&last, &["18446744073709551614"]).unwrap().len(), 1);
}

#[test]
fn what_is_not_an_mpd_is_refused() {
    for (source, kind) in [
        ("<MPD/>".to_owned(), Kind::Input),
        (format!("<Period {NS}/>"), Kind::Input),
        (format!("<!DOCTYPE MPD><MPD {NS}/>"), Kind::Input),
        (format!("<MPD {NS}><m:Period xmlns:m=\"urn:mpeg:dash:schema:mpd:2011\"/></MPD>"), Kind::Unsupported),
        (
            format!("<MPD {NS} xmlns:l=\"http://www.w3.org/1999/xlink\"><Period l:href=\"p.xml\"/></MPD>"),
            Kind::Unsupported,
        ),
    ] {
        let error = Mpd::parse(source.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{source}: {error}");
    }
    assert!(
        mpd(&format!("<MPD {NS}><x:Period xmlns:x=\"urn:x\"/><Period xmlns=\"urn:x\"/></MPD>"))
            .levels()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn descriptors_are_placed_in_the_documents_own_layout() {
    let mut mpd = mpd(ODD);
    let all: Vec<_> = (0..3).map(|r| protected(place(0, 0, r), 1)).collect();
    mpd.protect(&all).unwrap();
    let kid = "01010101-0101-0101-0101-010101010101";
    let expected = format!(
        "\t\t\t<FramePacking schemeIdUri=\"f\"/>\r\n\
         \t\t\t<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cbcs\" \
         cenc:default_KID=\"{kid}\"/>\r\n\
         \t\t\t<ContentProtection schemeIdUri=\"urn:uuid:abababab-abab-abab-abab-abababababab\" \
         value=\"One\">\r\n\
         \t\t\t\t<cenc:pssh>AAAA</cenc:pssh>\r\n\t\t\t\t<one:pro>BBBB</one:pro>\r\n\
         \t\t\t</ContentProtection>\r\n\
         \t\t\t<ContentProtection schemeIdUri=\"urn:uuid:cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd\">\r\n\
         \t\t\t\t<c:pssh xmlns:c=\"urn:mpeg:cenc:2013\">CCCC</c:pssh>\r\n\t\t\t</ContentProtection>\r\n\
         \t\t\t<ContentProtection schemeIdUri=\"urn:uuid:efefefef-efef-efef-efef-efefefefefef\"/>\r\n\
         \t\t\t<!-- r --><Role "
    );
    let written = text(&mpd);
    assert!(written.contains(&expected), "{written}");
    assert!(
        written.contains("minBufferTime=\"PT2S\" xmlns:cenc=\"urn:mpeg:cenc:2013\" xmlns:one=\"urn:one\" >")
    );
    assert_eq!(written.matches("xmlns:cenc").count(), 1);
    assert_schema_order(mpd.document.root());
    assert_eq!(mpd.has_content_protection(), Some(place(0, 0, 0)));
    assert!(mpd.protect(&all).is_err());
    mpd.unprotect();
    let declared = " xmlns:cenc=\"urn:mpeg:cenc:2013\" xmlns:one=\"urn:one\"";
    assert_eq!(text(&mpd).replace(declared, ""), ODD);
}

#[test]
fn a_prefix_with_another_meaning_is_left_to_it() {
    let source = format!(
        "<MPD {NS} xmlns:cenc=\"urn:mpeg:cenc:2013\"><Period xmlns:one=\"urn:other\"><AdaptationSet>\
         <Representation id=\"r\"/></AdaptationSet></Period></MPD>"
    );
    let mut mpd = mpd(&source);
    mpd.protect(&[protected(place(0, 0, 0), 1)]).unwrap();
    let written = text(&mpd);
    assert!(written.starts_with(&source[..source.find("<Rep").unwrap()]), "{written}");
    assert!(
        written.contains("<ContentProtection xmlns:one=\"urn:one\" schemeIdUri=\"urn:uuid:ab"),
        "{written}"
    );
    mpd.unprotect();
    assert_eq!(text(&mpd), source);
}

#[test]
fn descriptors_take_the_documents_prefix() {
    let mut mpd = mpd("<m:MPD xmlns:m=\"urn:mpeg:dash:schema:mpd:2011\"><m:Period><m:AdaptationSet>\
         <m:Representation id=\"a\"/><m:Representation id=\"b\"/></m:AdaptationSet></m:Period></m:MPD>");
    mpd.protect(&[protected(place(0, 0, 0), 1), protected(place(0, 0, 1), 2)]).unwrap();
    let written = text(&mpd);
    assert_eq!(written.matches("<m:ContentProtection ").count(), 8);
    assert_eq!(written.matches("<m:SupplementalProperty ").count(), 2);
    Mpd::parse(written.as_bytes()).unwrap();
}

#[test]
fn representations_with_several_keys_become_switching_sets() {
    let mut mpd = mpd(&ODD.replace("id=\"7\"", "id=\"1\""));
    mpd.protect(&[protected(place(0, 0, 0), 1), protected(place(0, 0, 1), 2), protected(place(0, 0, 2), 1)])
        .unwrap();
    assert_schema_order(mpd.document.root());
    let all = mpd.representations("m.mpd", &Names(&[])).unwrap();
    let places: Vec<_> = all.iter().map(|r| (r.id.as_str(), r.place)).collect();
    assert_eq!(places, [("a", place(0, 0, 0)), ("c", place(0, 0, 1)), ("b", place(0, 1, 0))]);
    let Media::Segments { references, .. } = &all[2].media else { panic!() };
    assert_eq!((references[0].name.as_str(), all[2].kind), ("b/001.m4s", Some(ContentType::Video)));
    let written = text(&mpd);
    let (first, second) = written.split_once("</AdaptationSet>").unwrap();
    assert!(
        second
            .starts_with("\r\n\t\t<AdaptationSet contentType=\"video\" mimeType=\"video/mp4\" id=\"2\">\r\n")
    );
    for (set, id, others) in [(first, "01010101", "2"), (second, "02020202", "1")] {
        assert!(set.contains(&format!("cenc:default_KID=\"{id}")), "{set}");
        let switching = "<SupplementalProperty schemeIdUri=\"urn:mpeg:dash:adaptation-set-switching:2016\"";
        assert!(set.contains(&format!("\r\n\t\t\t{switching} value=\"{others}\"/>\r\n")), "{set}");
        assert_eq!(set.matches("<Role ").count(), 1);
    }
}

#[test]
fn assigned_ids_do_not_clash_and_older_switching_is_kept() {
    let mut mpd = mpd(&format!(
        "<MPD {NS}><Period><AdaptationSet><SupplementalProperty \
        schemeIdUri=\"urn:mpeg:dash:adaptation-set-switching:2016\" \
         value=\"1\"/><Representation id=\"a\"/><Representation id=\"b\"/><Representation \
         id=\"c\"/></AdaptationSet>\
         <AdaptationSet id=\"1\"><Representation id=\"d\"/></AdaptationSet></Period><Period><AdaptationSet \
         id=\"3\"/></Period></MPD>"
    ));
    let keys: Vec<_> = (0_u8..3).map(|r| protected(place(0, 0, r.into()), r)).collect();
    mpd.protect(&keys).unwrap();
    let written = text(&mpd);
    for (id, value) in [("2", "1,4,5"), ("4", "1,2,5"), ("5", "1,2,4")] {
        let set = written.split(&format!("<AdaptationSet id=\"{id}\">")).nth(1).unwrap();
        assert!(
            set.split("</AdaptationSet>").next().unwrap().contains(&format!("value=\"{value}\"")),
            "{written}"
        );
    }
    assert_eq!(written.matches("<AdaptationSet id=\"1\"><Representation id=\"d\"/>").count(), 1);
}

#[test]
fn half_protected_sets_and_wrong_places_are_refused() {
    for places in [vec![place(0, 0, 0), place(0, 0, 2)], vec![place(0, 0, 3)], vec![place(0, 0, 0); 2]] {
        let mut mpd = mpd(ODD);
        let all: Vec<_> = places.into_iter().map(|place| protected(place, 1)).collect();
        assert!(mpd.can_protect(&all.iter().map(|one| (one.place, 1)).collect::<Vec<_>>()).is_err());
        assert!(mpd.protect(&all).is_err());
        assert_eq!(text(&mpd), ODD);
    }
    let mut listed = mpd(&ODD.replace("\t</Period>", "<Subset contains=\"7\"/></Period>"));
    let keys: Vec<_> = (0_u8..3).map(|r| protected(place(0, 0, r.into()), r)).collect();
    let wished: Vec<_> = keys.iter().zip(0..).map(|(one, key)| (one.place, key)).collect();
    assert_eq!(listed.can_protect(&wished).unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(listed.protect(&keys).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn content_protection_is_found_on_every_level() {
    let protection = "<ContentProtection schemeIdUri=\"x\"/>";
    for (before, expected) in [
        ("<Period id='0'>", place(0, 0, 0)),
        ("<Representation id=\"b\" bandwidth=\"2\">", place(0, 0, 1)),
        ("minBufferTime=\"PT2S\" >", place(0, 0, 0)),
    ] {
        let mut mpd = mpd(&ODD.replace(before, &format!("{before}\r\n{protection}")));
        assert_eq!(mpd.has_content_protection(), Some(expected), "{before}");
        mpd.unprotect();
        assert_eq!(mpd.has_content_protection(), None);
        assert_eq!(text(&mpd), ODD);
    }
    assert_eq!(mpd(ODD).has_content_protection(), None);
}

#[test]
fn data_that_is_not_well_formed_is_refused() {
    for data in
        ["<cenc:pssh>", "<two:pro/>", "AAAA", "</fragment><fragment>", "<a two:b=\"\"/>", "<!DOCTYPE a>"]
    {
        let system = SystemDescriptor {
            system_id: SystemId::new([1; 16]),
            value: "",
            robustness: None,
            data,
            namespaces: &[],
        };
        let error = descriptors("cenc", Some(Kid::new([0; 16])), &[system]).unwrap_err();
        assert!(error.to_string().contains("01010101-0101"), "{error}");
    }
}

#[test]
fn byte_ranges_move_with_their_files() {
    let source = format!(
        "<MPD {NS}><Period><AdaptationSet><SegmentList><Initialization range=\"0-9\" \
        sourceURL=\"i.mp4\"/></SegmentList>\
         <Representation id=\"a\"><BaseURL>a.mp4</BaseURL><SegmentBase indexRange = '100-199' \
         ><Initialization range=\"0-99\"/>\
         <RepresentationIndex range=\"007-9\"/></SegmentBase></Representation>\
         <Representation id=\"b\"><BaseURL>b/</BaseURL><SegmentList><SegmentURL media=\"1.mp4\" \
         mediaRange=\"5-9\" \
         indexRange=\"5-6\"/></SegmentList></Representation></AdaptationSet></Period></MPD>"
    );
    let mut mpd = mpd(&source);
    let mut seen = Vec::new();
    mpd.map_byte_ranges(location(), &mut |name, range| {
        seen.push(format!("{name} {range:?}"));
        Ok(if range.start == 7 || name.ends_with("i.mp4") { range } else { range.start + 1..range.end + 20 })
    })
    .unwrap();
    let expected = [
        "i.mp4 0..10",
        "b/i.mp4 0..10",
        "a.mp4 100..200",
        "a.mp4 0..100",
        "a.mp4 7..10",
        "b/1.mp4 5..10",
        "b/1.mp4 5..7",
    ];
    assert_eq!(seen, expected);
    let moved = source
        .replace("'100-199'", "'101-219'")
        .replace("\"0-99\"", "\"1-119\"")
        .replace("\"5-9\"", "\"6-29\"")
        .replace("\"5-6\"", "\"6-26\"");
    assert_eq!(text(&mpd), moved);
    let different = mpd.map_byte_ranges(location(), &mut |name, range| {
        Ok(if name.starts_with('b') { range.start..range.end + 1 } else { range })
    });
    assert_eq!(different.unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(text(&mpd), moved);
}

fn new_mpd() -> Mpd {
    let video = |id: &str, width| NewRepresentation {
        id: id.into(),
        codecs: "c.1".into(),
        bandwidth: 1000,
        width: Some(width),
        height: Some(360),
        frame_rate: Some("30000/1001".into()),
        audio_sampling_rate: None,
        channel_configuration: None,
        properties: Vec::new(),
        sample_aspect_ratio: None,
        supplemental_codec: None,
        set_properties: Vec::new(),
        tiles: None,
        timescale: 1000,
        presentation_time_offset: 100,
        addressing: NewAddressing::Template {
            initialization: "$RepresentationID$/init.mp4".into(),
            media: "$RepresentationID$/$Number$.m4s".into(),
            start_number: 1,
        },
        timeline: vec![(100, 2000), (2100, 2000), (4100, 1000), (6000, 2000)],
    };
    let audio = NewRepresentation {
        channel_configuration: Some(12),
        properties: vec![("urn:example:property", "JOC".into())],
        audio_sampling_rate: Some(48_000),
        frame_rate: None,
        width: None,
        height: None,
        ..video("a&1", 0)
    };
    let set = |content_type, mime_type: &str, representations| NewAdaptationSet {
        content_type,
        mime_type: mime_type.into(),
        lang: Some("en".into()),
        label: None,
        purposes: Vec::new(),
        roles: Vec::new(),
        trick_mode_of: None,
        representations,
    };
    super::write::mpd(&NewMpd {
        duration: Duration::from_millis(8016),
        max_segment_duration: Duration::from_secs(2),
        adaptation_sets: vec![
            set(ContentType::Video, "video/mp4", vec![video("v1", 640), video("v2", 320)]),
            set(ContentType::Audio, "audio/mp4", vec![audio]),
        ],
    })
}

#[test]
fn a_new_mpd_says_what_it_was_given() {
    let mut mpd = new_mpd();
    let written = text(&mpd);
    let timeline = "        <SegmentTemplate timescale=\"1000\" presentationTimeOffset=\"100\" \
        initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number$.m4s\" \
        startNumber=\"1\">\n          \
        <SegmentTimeline>\n            <S t=\"100\" d=\"2000\" r=\"1\"/>\n            \
        <S d=\"1000\"/>\n            <S t=\"6000\" d=\"2000\"/>\n          \
        </SegmentTimeline>\n        </SegmentTemplate>\n      \
        </Representation>\n";
    assert_eq!(written.matches(timeline).count(), 3, "{written}");
    assert!(written.contains("mediaPresentationDuration=\"PT8.016S\""));
    let all = Mpd::parse(written.as_bytes()).unwrap().representations("m.mpd", &Names(&[])).unwrap();
    assert_eq!((all.len(), all[2].id.as_str(), all[2].kind), (3, "a&1", Some(ContentType::Audio)));
    let Media::Segments { references, count } = &all[0].media else { panic!() };
    assert_eq!((references.len(), *count), (4, Count::Stated));
    assert_schema_order(mpd.document.root());
    let keys: Vec<_> =
        [(0, 0, 1), (0, 1, 2), (1, 0, 3)].map(|(a, r, key)| protected(place(0, a, r), key)).into();
    mpd.protect(&keys).unwrap();
    assert_schema_order(mpd.document.root());
    let written = text(&mpd);
    assert!(written.contains("\n    <AdaptationSet id=\"3\" contentType=\"video\""), "{written}");
    assert!(written.contains("\n      <ContentProtection "), "{written}");
    assert!(written.contains("\n        <cenc:pssh>"), "{written}");
}

/// Runs everything on bytes that need not be an MPD.
fn exercise(bytes: &[u8]) {
    let Ok(mut mpd) = Mpd::parse(bytes) else { return };
    let _ = mpd.representations("m.mpd", &Names(&[]));
    let _ = mpd.map_byte_ranges(location(), &mut |_, range| Ok(range.start..range.end.saturating_add(7)));
    let Ok(levels) = mpd.levels() else { return };
    let all: Vec<_> = levels.iter().map(|level| level.place).collect();
    let keys: Vec<_> =
        all.iter().map(|at| protected(*at, u8::try_from(at.representation % 2).unwrap())).collect();
    let _ = mpd.protect(&keys);
    mpd.unprotect();
    let _ = mpd.to_bytes();
}

#[test]
fn truncations_and_mutations_never_panic() {
    let single = text(&one("<BaseURL>a.mp4</BaseURL><SegmentBase indexRange=\"9-99\"><Initialization \
        range=\"0-9\"/></SegmentBase>"));
    let sources = [ODD.to_owned(), single, text(&new_mpd())];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for source in &sources {
        for end in 0..source.len() {
            exercise(&source.as_bytes()[..end]);
        }
    }
    let tokens =
        ["0", "9", "99999999999999999999", "-1", "$", "%", "\"", "<", ">", "/", "", ":", "P", "T", "é", " "];
    for round in 0..2000 {
        let mut bytes = sources[round % sources.len()].clone().into_bytes();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            let token = tokens[random(tokens.len())];
            bytes.splice(at..at + 1, token.bytes());
        }
        exercise(&bytes);
    }
}
