//! What an initialization segment says of protection — ISO/IEC 23001-7 §4, §8, §10; ISO/IEC 14496-12 §8.12.

use crate::base::{FourCc, Kid, Result};
use crate::codec::{self, CipherModes, Codec, Config};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{SampleEntry, Schm, Sgpd, Tenc, Trex};
use crate::isobmff::samples::Sample;
use crate::isobmff::track::{Track, tracks, trexes};
use crate::package::EditList;
use crate::protect::scheme::IvRule;
use crate::protect::{Mode, Pattern, Protected, Scheme, protected_entry};

use super::headers;
use crate::verify::findings::Findings;

/// `scheme_version` of Common Encryption: ISO/IEC 23001-7 §4.1.
const SCHEME_VERSION: u32 = 0x0001_0000;
/// The length of `schm` without a URI, behind its header: ISO/IEC 14496-12 §8.12.6.
const SCHM_BYTES: usize = 12;

/// An initialization segment.
pub(in crate::verify) struct Init {
    pub(in crate::verify) moov: BoxNode,
    pub(in crate::verify) trexes: Vec<Trex>,
    pub(in crate::verify) tracks: Vec<InitTrack>,
}

/// One track.
pub(in crate::verify) struct InitTrack {
    pub(in crate::verify) track_id: u32,
    pub(in crate::verify) handler_type: FourCc,
    /// Whether its pictures are shown turned by a quarter.
    pub(in crate::verify) is_turned: bool,
    /// Ticks per second of its media.
    pub(in crate::verify) timescale: u32,
    /// What its edit list makes of the times of its samples.
    pub(in crate::verify) edits: EditList,
    pub(in crate::verify) entries: Vec<Entry>,
    /// Descriptions of `seig` groups that the sample table has.
    pub(in crate::verify) groups: Option<Sgpd>,
}

/// One sample entry.
pub(in crate::verify) struct Entry {
    /// As it was before protection.
    pub(in crate::verify) clear: SampleEntry,
    pub(in crate::verify) codec: Option<&'static Codec>,
    pub(in crate::verify) protection: Option<EntryProtection>,
}

/// What protects the samples of an entry.
pub(in crate::verify) struct EntryProtection {
    pub(in crate::verify) scheme: &'static Scheme,
    pub(in crate::verify) tenc: Tenc,
}

impl Init {
    /// Reads `moov` and holds it to the rules of initialization segments.
    pub(in crate::verify) fn check(moov: BoxNode, place: &str, findings: &mut Findings) -> Result<Self> {
        let trexes = trexes(&moov)?;
        let is_fragmented = moov.find(&[b"mvex"]).is_some();
        let mut read = Vec::new();
        for (track, trak) in tracks(&moov)?.into_iter().zip(moov.all(b"trak")) {
            let place = format!("{place}: track {}", track.track_id);
            let stbl = trak.require(&[b"mdia", b"minf", b"stbl"])?;
            let auxiliary = |node: &BoxNode| node.is(b"senc") || node.is(b"saiz") || node.is(b"saio");
            let misplaced =
                [&moov, trak, stbl].into_iter().flat_map(BoxNode::boxes).find(|node| auxiliary(node));
            if is_fragmented {
                let found = misplaced.map(|node| node.kind.to_string()).unwrap_or_default();
                findings.check(
                    "senc-in-moov",
                    misplaced.is_none(),
                    &place,
                    &found,
                    &"none of senc, saiz, saio",
                );
            }
            read.push(InitTrack::check((&moov, &track), stbl, &place, findings)?);
        }
        let init = Self { moov, trexes, tracks: read };
        headers::check_init(&init, place, findings);
        Ok(init)
    }

    /// The track of this id.
    pub(in crate::verify) fn track(&self, track_id: u32) -> Option<&InitTrack> {
        self.tracks.iter().find(|track| track.track_id == track_id)
    }

    /// The protection of the first protected entry.
    pub(in crate::verify) fn protection(&self) -> Option<&EntryProtection> {
        self.tracks.iter().find_map(InitTrack::protection)
    }

    /// Every `default_KID` that is not zero, with its scheme.
    pub(in crate::verify) fn keys(&self) -> Vec<(Kid, &'static Scheme)> {
        let entries = self.tracks.iter().flat_map(|track| &track.entries);
        let mut keys: Vec<(Kid, &'static Scheme)> = Vec::new();
        for protection in entries.filter_map(|entry| entry.protection.as_ref()) {
            let kid = protection.tenc.default_kid;
            if *kid.bytes() != [0; 16] && !keys.iter().any(|(known, _)| *known == kid) {
                keys.push((kid, protection.scheme));
            }
        }
        keys
    }
}

impl InitTrack {
    fn check(
        (moov, track): (&BoxNode, &Track),
        stbl: &BoxNode,
        place: &str,
        findings: &mut Findings,
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for entry in &track.sample_entries {
            entries.push(Entry::check(entry, track.handler_type, place, findings)?);
        }
        let read = Self {
            track_id: track.track_id,
            handler_type: track.handler_type,
            is_turned: track.is_turned,
            timescale: track.timescale,
            // One that is cut off says nothing.
            edits: EditList::of(moov, track.track_id, track.timescale).unwrap_or_default(),
            entries,
            groups: Sgpd::of(stbl)?,
        };
        read.check_order(place, findings);
        Ok(read)
    }

    /// The protection of the first protected entry.
    pub(in crate::verify) fn protection(&self) -> Option<&EntryProtection> {
        self.entries.iter().find_map(|entry| entry.protection.as_ref())
    }

    /// The sample entry whose parser reads a sample. A clear entry that is the same as the protected one shares it:
    /// parameter sets reach on.
    pub(in crate::verify) fn parser_of(&self, sample: &Sample) -> Option<usize> {
        let index = (sample.sample_description_index as usize).saturating_sub(1);
        let entry = self.entries.get(index)?;
        self.entries.iter().position(|known| known.clear == entry.clear)
    }

    /// Video or audio, which are protected when others of their kind are.
    pub(in crate::verify) fn is_protectable(&self) -> bool {
        matches!(&self.handler_type.0, b"vide" | b"soun")
            && self.entries.iter().any(|entry| {
                entry.codec.is_none_or(|codec| !matches!(codec.protection, codec::Protection::Never))
            })
    }

    fn check_order(&self, place: &str, findings: &mut Findings) {
        let is_protected = |entry: &Entry| entry.protection.is_some();
        let (Some(first), Some(clear)) = (
            self.entries.iter().position(is_protected),
            self.entries.iter().position(|entry| !is_protected(entry)),
        ) else {
            return;
        };
        findings.check(
            "entries-order",
            first < clear,
            &place,
            &"the clear entry first",
            &"the protected one",
        );
        if let (Some(first), Some(clear)) = (self.entries.get(first), self.entries.get(clear)) {
            let same = first.clear == clear.clear;
            let found = clear.clear.format;
            findings.check(
                "clear-entry-differs",
                same,
                &place,
                &found,
                &"the protected entry without its sinf",
            );
        }
    }
}

impl Entry {
    fn check(entry: &SampleEntry, handler: FourCc, place: &str, findings: &mut Findings) -> Result<Self> {
        let is_protected_type = matches!(&entry.format.0, b"encv" | b"enca" | b"enct" | b"encs" | b"encm");
        let expected = match &handler.0 {
            b"vide" => Some(FourCc(*b"encv")),
            b"soun" => Some(FourCc(*b"enca")),
            _ => None,
        };
        let sinf = entry.find(b"sinf");
        if is_protected_type || sinf.is_some() {
            let fits = sinf.is_some() && expected.is_none_or(|expected| expected == entry.format);
            let found = format!("{} {} sinf", entry.format, if sinf.is_some() { "with" } else { "without" });
            let wanted =
                expected.map_or_else(|| "a protected type".into(), |kind| format!("{kind} with sinf"));
            findings.check("entry-format", fits, &place, &found, &wanted);
        }
        let mut clear = entry.clone();
        clear.boxes.retain(|node| !node.is(b"sinf"));
        let mut protection = None;
        if let Some(sinf) = sinf.filter(|sinf| check_sinf(sinf, place, findings))
            && let Some(protected) = protected_entry(entry)?
        {
            clear.format = protected.original_format;
            protection = Some(EntryProtection::check(&protected, sinf, handler, place, findings)?);
        }
        let codec = codec::find(clear.format);
        if let (Some(codec), Some(protection)) = (codec, &protection) {
            let allowed = codec.cipher_modes == CipherModes::All || protection.scheme.mode == Mode::Ctr;
            let found = format!("{} with {}", codec.name, protection.scheme.name);
            findings.check("codec-scheme", allowed, &place, &found, &"a scheme of counter mode");
        }
        Ok(Self { codec, clear, protection })
    }

    /// The configuration for a parser.
    pub(in crate::verify) fn config(&self) -> Config<'_> {
        let boxes = self.clear.boxes.iter().map(|node| (node.kind, node.payload())).collect();
        Config { entry: self.clear.format, boxes }
    }
}

fn check_sinf(sinf: &BoxNode, place: &str, findings: &mut Findings) -> bool {
    let count = |kind: &[u8; 4]| sinf.all(kind).count();
    let tenc = sinf.all(b"schi").flat_map(|schi| schi.all(b"tenc")).count();
    let once = [count(b"frma"), count(b"schm"), count(b"schi"), tenc] == [1; 4];
    let kinds: Vec<_> = sinf.boxes().iter().map(|node| node.kind.to_string()).collect();
    let found = kinds.join(", ");
    let shaped =
        findings.check("sinf-children", once, &place, &found, &"frma, schm and schi with tenc, once each");
    if shaped {
        let known: Vec<_> =
            kinds.iter().filter(|kind| ["frma", "schm", "schi"].contains(&kind.as_str())).collect();
        findings.check("sinf-order", known == ["frma", "schm", "schi"], &place, &found, &"frma, schm, schi");
    }
    shaped
}

impl EntryProtection {
    fn check(
        protected: &Protected,
        sinf: &BoxNode,
        handler: FourCc,
        place: &str,
        findings: &mut Findings,
    ) -> Result<Self> {
        let scheme = protected.scheme().map_err(|error| error.at(place))?;
        let schm = sinf.require(&[b"schm"])?.payload();
        let version = Schm::parse(schm)?.scheme_version;
        let holds = version == SCHEME_VERSION;
        findings.check("scheme-version", holds, &place, &format_args!("{version:#010x}"), &"0x00010000");
        // A URI stands behind the version when the flag says so: ISO/IEC 14496-12 §8.12.6.
        let head = schm.first_chunk().map_or(0, |head| u32::from_be_bytes(*head));
        let expected = u32::from(schm.len() > SCHM_BYTES);
        let found = format!("version and flags {head:#010x}");
        findings.check("scheme-version", head == expected, &place, &found, &format!("{expected:#010x}"));
        check_tenc(&protected.tenc, scheme, handler, place, findings);
        let bytes = sinf.require(&[b"schi", b"tenc"])?.payload();
        // Flags and a reserved byte; in version 0, which has no pattern, another one.
        let reserved = bytes.get(1..if protected.tenc.version == 0 { 6 } else { 5 }).unwrap_or_default();
        let holds = reserved.iter().all(|byte| *byte == 0);
        findings.check("tenc-reserved", holds, &place, &format_args!("{reserved:02x?}"), &"zeros");
        Ok(Self { scheme, tenc: protected.tenc.clone() })
    }
}

fn check_tenc(tenc: &Tenc, scheme: &Scheme, handler: FourCc, place: &str, findings: &mut Findings) {
    let wanted = scheme.tenc_version;
    // There is no version above 1: §8.2.2.
    let holds = (wanted..=1).contains(&tenc.version);
    findings.check("tenc-version", holds, &place, &tenc.version, &wanted);
    let (crypt, skip) = (tenc.default_crypt_byte_block, tenc.default_skip_byte_block);
    let found = format_args!("{crypt}:{skip}").to_string();
    let is_video = handler.0 == *b"vide";
    if is_video && scheme.video != Pattern::NONE {
        findings.check("tenc-pattern-video", (crypt, skip) == (1, 9), &place, &found, &"1:9");
    } else {
        findings.check("tenc-pattern", skip == 0, &place, &found, &"0:0");
    }
    let flag = (tenc.default_is_protected, tenc.default_per_sample_iv_size);
    let holds = flag.0 == 1 || flag == (0, 0);
    let found = format!("isProtected {}, IV size {}", flag.0, flag.1);
    findings.check("tenc-protected", holds, &place, &found, &"1, or 0 and 0");
    if flag.0 != 1 {
        return;
    }
    let constant = tenc.default_constant_iv.as_ref().map_or(0, Vec::len);
    let found = format!("{} bytes with each sample, {constant} constant", flag.1);
    if scheme.iv == IvRule::Constant16 {
        let holds = flag.1 == 0 && constant == 16;
        findings.check("tenc-iv-size", holds, &place, &found, &"0 bytes with each sample, 16 constant");
        return;
    }
    findings.check("tenc-iv-size", flag.1 != 0, &place, &found, &"8 or 16 bytes with each sample");
    if scheme.mode == Mode::Ctr {
        findings.check("tenc-iv-eight", flag.1 == 8, &place, &found, &"8 bytes with each sample");
    }
}
