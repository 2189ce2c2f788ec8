//! DRM packaging and key exchange — ISO/IEC 23001-7, DASH-IF CPIX, SPEKE, RFC 8216bis, ISO/IEC 23009-1.
#![doc = include_str!("../README.md")]
//!
//! # The map
//!
//! Arrows point to what is used: `cli → job → package → {drm, keys, presentation} → {cpix, dash, protect} → {xml,
//! isobmff, hls, codec} → base`. `tests/tidy.rs` holds the code to it.
//!
//! | layer | module | what it is | standard |
//! |---|---|---|---|
//! | 0 | [`base`] | errors, identifiers, secrets, cursors, the three outside traits | |
//! | 1 | [`xml`] | lossless element tree | XML 1.0 |
//! | 1 | [`isobmff`] | lossless box tree, typed boxes, samples, fragment surgery | ISO/IEC 14496-12 |
//! | 1 | [`hls`] | lossless playlist lines | RFC 8216bis |
//! | 1 | [`ts`] | lossless transport packets, program tables, PES headers | ISO/IEC 13818-1 |
//! | 1 | [`matroska`] | Matroska and WebM: tracks, and where frames lie | RFC 9559 |
//! | 1 | [`codec`] | which bytes of a sample may be protected, one file a codec | ISO/IEC 14496-15 and others |
//! | 2 | [`dash`] | media presentation descriptions | ISO/IEC 23009-1, DASH-IF IOP |
//! | 2 | [`demux`] | files of other containers read as movies | ISO/IEC 14496-12 |
//! | 2 | [`cpix`] | the domain model: keys, systems, usage rules | DASH-IF CPIX 2.3 |
//! | 2 | [`subtitles`] | text beside video, as cues | WebVTT, TTML, 3GPP TS 26.245 |
//! | 2 | [`protect`] | how bytes are encrypted and where boxes say so | ISO/IEC 23001-7 |
//! | 3 | [`drm`] | what each DRM system is told about a key, one file a system | vendor specifications |
//! | 3 | [`keys`] | key servers, one file a server | SPEKE 1 to 2.1, CAS |
//! | 3 | [`presentation`] | the one reader of presentations: documents, tracks, resources | RFC 8216bis, ISO/IEC 23009-1 |
//! | 4 | [`package`] | the plan, and the verbs that apply it | ISO/IEC 23000-19 |
//! | 4 | [`inspect`] | what a file says, as a tree and as a picture | |
//! | 5 | [`job`] | a run from input to report | |
//! | 5 | [`verify`] | a protected presentation held to the rules of the standards | |
//! | 5 | [`io`] | files, HTTP, randomness, signals | |
//! | 6 | `cli`, `server` | the command; the development key server | |
//!
//! # Invariants
//!
//! - A module of layers 0 to 4 given the same bytes returns the same bytes: no clock, randomness, file, socket or
//!   log below [`job`]. The outside is [`base::env::Http`], [`base::env::Store`] and [`base::env::Random`].
//! - Doing nothing changes nothing: what is parsed and not edited is written byte for byte.
//! - No format module knows what encryption is for: [`isobmff`] can parse `tenc`, only [`protect`] says what to
//!   put in it. A codec knows no scheme, a scheme no codec.
//! - Encryption never changes a sample's size or order.
//! - Under one key no AES-CTR counter block covers two different plaintexts, whoever calls how often: IVs follow
//!   from what is encrypted, see [`protect::SampleIvs`] and `docs/iv.md`.
//! - Equal content, key and plan give equal bytes on any machine, in any order: nothing is drawn.
//!
//! # Recipes
//!
//! | to add | new file | other edits |
//! |---|---|---|
//! | a codec | `codec/x.rs` | one line in [`codec::ALL`] |
//! | a DRM system | `drm/x.rs` | one line in [`drm::ALL`] |
//! | a scheme | | one row in [`protect::scheme::SCHEMES`] |
//! | a key server | `keys/x.rs` | one line in `cli/keys.rs` |
//! | a store | `io/x.rs` | one line where inputs are located |
//! | a typed box | `isobmff/boxes/x.rs` | one line in `boxes/mod.rs` |
//!
//! # Questions
//!
//! *Why is CPIX inside?* A raw key, a SPEKE answer and a document from disk say the same things; one model has no
//! conversions in which fields get lost. *Why not async?* The work is a few transfers and much arithmetic: threads
//! do it, and asynchronous callers wrap the pure verbs. *Why own box, playlist and MPD trees?* Typed models drop
//! what they do not know, and a packager that rewrites must not.

pub mod base;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod cpix;
pub mod dash;
pub mod demux;
pub mod drm;
pub mod hls;
pub mod inspect;
pub mod io;
pub mod isobmff;
pub mod job;
pub mod keys;
pub mod matroska;
pub mod package;
pub mod presentation;
pub mod protect;
#[cfg(feature = "server")]
pub mod server;
pub mod subtitles;
pub mod ts;
pub mod verify;
pub mod xml;
