//! What users type: the commands and options of the interface.
//!
//! It is longer than 400 lines because every option is described where it is declared.

use std::path::{Path, PathBuf};

use clap::{Args as ArgsGroup, Parser, Subcommand, ValueEnum};

use crate::job::{CLEAR_LEAD_SECONDS, SEGMENT_SECONDS};

use super::{address, number};

/// DRM packaging and key exchange for adaptive streaming.
#[derive(Parser, Debug)]
#[command(name = "drm-pack", version, about, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Encrypt renditions and write or rewrite their manifests
    Pack(Box<PackArgs>),
    /// Say which track gets which key, scheme and signaling, and the request, with nothing fetched or written
    Plan(Box<PlanArgs>),
    /// Fetch the keys that pack would use and write them; --check tests the connection step by step
    Keys(Box<KeysArgs>),
    /// Sign in and print a ticketed key-request URL
    KeyUrl(KeyUrlArgs),
    /// Decrypt a protected package or fragmented MP4 files: the inverse of pack
    Decrypt(DecryptArgs),
    /// Show what a file says: boxes, playlists, MPDs, CPIX, pssh and key tags; keys are never shown
    Inspect(InspectArgs),
    /// Check a protected presentation: manifests, boxes, subsamples, IVs, and the payload against the clear source
    Verify(VerifyArgs),
    /// Validate, convert, encrypt, decrypt and explain CPIX documents
    #[command(subcommand)]
    Cpix(CpixCommand),
    /// Run a development key server: CAS tickets, SPEKE 1.0 to 2.1, CPIX for an asset, for tests and demonstrations
    #[cfg(feature = "server")]
    KeyServer(KeyServerArgs),
    /// Show the whole way on the bundled clip: key server, ticket, keys, pack, decrypt, compare
    #[cfg(feature = "server")]
    Demo(DemoArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Pack(args) => args.json,
            Self::Plan(args) => args.json,
            Self::KeyUrl(args) => args.json,
            Self::Decrypt(args) => args.json,
            Self::Verify(args) => args.json,
            _ => false,
        }
    }
}

#[derive(ArgsGroup, Debug)]
pub(super) struct PackArgs {
    /// One .mpd, one .m3u8, one of each over the same segments, a folder that holds them, or one or more MP4, QuickTime
    /// (progressive, fragmented, CMAF), WebM, Matroska or MPEG-TS files with .vtt, .srt and .ttml files beside them; each
    /// a path or an http(s) URL
    #[arg(required = true, value_name = "INPUT", value_parser = address::input)]
    pub(super) inputs: Vec<String>,
    /// Output folder; it appears when everything in it is whole
    #[arg(long, value_name = "DIR", value_parser = address::path())]
    pub(super) out: PathBuf,
    /// DRM systems joined by + or ,: widevine, playready, fairplay, clearkey; wiseplay, marlin, irdeto, nagra, a system id, or
    /// other, as the key source has them; or simpleaes, AES-128 of whole segments
    #[arg(long, value_name = "LIST")]
    pub(super) drm: String,
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Write the 16-byte keys of --drm simpleaes here, {kid} replaced; its name is the key URI unless one is given
    #[arg(long, value_name = "PATH", value_parser = address::local)]
    pub(super) write_key_file: Option<String>,
    /// Replace the output folder when the new one is whole; it must hold nothing but a package
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Keep what is finished if the job is interrupted, and go on with what the same call kept before
    #[arg(long)]
    pub(super) resume: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Say the SHA-256 of every output in the report
    #[arg(long, requires = "json")]
    pub(super) digests: bool,
    #[command(flatten)]
    pub(super) keys: KeyArgs,
}

/// What keys, IVs and signaling depend on.
#[derive(ArgsGroup, Debug)]
pub(super) struct JobArgs {
    /// Folder of the whole presentation, when manifests name files beside or above their own folder; the output has
    /// the folders below it; a URL with inputs of a server [default: INPUT's folder]
    #[arg(long, value_name = "DIR", value_parser = address::root())]
    pub(super) root: Option<PathBuf>,
    /// Follow links inside the input's folder to files elsewhere: only where every link is trusted
    #[arg(long)]
    pub(super) follow_links: bool,
    /// Protection scheme: cenc, cbcs, cens or cbc1; or cenc+cbcs, two trees, DIR/cenc and DIR/cbcs, each with manifests and
    /// keys of its own, from one exchange of keys; fairplay is in the latter [default: cbcs when fairplay is in the list, else
    /// cenc]
    #[arg(long, value_name = "S")]
    pub(super) scheme: Option<String>,
    /// preset0: one key for all substreams; preset1: one key each [default: preset0; with --cpix, --generate and labels in
    /// a key file what the rules say]
    #[arg(long, value_enum, value_name = "P")]
    pub(super) preset: Option<PresetArg>,
    /// Keys for video by size: PRESET-VIDEO-1 to 8, SHARED, UNENCRYPTED; with --audio-preset
    #[arg(long, value_name = "P", requires = "audio_preset", conflicts_with = "preset")]
    pub(super) video_preset: Option<String>,
    /// Keys for audio by channels: PRESET-AUDIO-1 to 3, SHARED, UNENCRYPTED; with --video-preset
    #[arg(long, value_name = "P", requires = "video_preset", conflicts_with = "preset")]
    pub(super) audio_preset: Option<String>,
    /// What is to be known of a track, ids as plan prints them: lang=TAG (en), label=TEXT, role=ROLE+ROLE of DASH, default,
    /// forced, characteristics=A+B of HLS, group=GROUP-ID of HLS, clear, bandwidth=BITS; of a package's tracks label and
    /// bandwidth, for the usage rules of keys
    #[arg(long, value_name = "ID:KEY=VALUE,...")]
    pub(super) track: Vec<String>,
    /// Content id; key servers take 1 to 128 of A-Z a-z 0-9 _ - where their vendor says nothing else [default: the input's
    /// name, cleaned]
    #[arg(long, value_name = "ID")]
    pub(super) resource_id: Option<String>,
    /// IV, 32 hex digits, of cbcs and AES-128; in cenc and cens one of the things that IVs follow from, as are key,
    /// track, time and samples [default: that of the key source; FairPlay needs one, others do without]
    #[arg(long, value_name = "HEX")]
    pub(super) vector: Option<String>,
    /// Manifests for MP4 inputs: hls, dash, or both joined by + or , [default: what --drm allows]
    #[arg(long, value_name = "LIST")]
    pub(super) format: Option<String>,
    /// Files for MP4 inputs: segments, or single-file, one indexed file for each track [default: segments]
    #[arg(long, value_enum, value_name = "L")]
    pub(super) layout: Option<LayoutArg>,
    /// Segment duration for MP4 inputs, in seconds, cut at the next random access point; a tail shorter than half of it
    /// joins the segment before; 0.1 to 3600 [default: 6]
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = number::seconds(SEGMENT_SECONDS))]
    pub(super) segment_duration: Option<f64>,
    /// Name of the manifests of MP4 inputs: {inputName} {inputFormat} {format} (hls or dash) {definition} (such as 720p)
    /// [default: master and manifest]
    #[arg(long, value_name = "T")]
    pub(super) name_manifest: Option<String>,
    /// Name of media playlists, single files and text of MP4 inputs; {track} {kid} {subStreamNumber} (from 0) as well
    /// [default: {track}]
    #[arg(long, value_name = "T")]
    pub(super) name_stream: Option<String>,
    /// Name of segments of MP4 inputs; {segmentNumber} (from 1) or {number} (from 0) as well
    /// [default: {track}/{segmentNumber}]
    #[arg(long, value_name = "T")]
    pub(super) name_segment: Option<String>,
    /// Address of the output's folder once it is served: manifests of MP4 inputs then name everything by absolute URIs below
    /// it, MPDs by BaseURL; with cenc+cbcs each tree has its folder below
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// FairPlay URI; {kid} {kid_guid} {iv} {content_id} {track} are replaced [default: skd://{kid}]
    #[arg(long, value_name = "T")]
    pub(super) skd_template: Option<String>,
    /// Where the licenses of a DRM system are, in the signaling that is our own: in an MPD, and in PlayReady's header;
    /// once for each system
    #[arg(long, value_name = "SYSTEM=URL")]
    pub(super) la_url: Vec<String>,
    /// Leave EXT-X-SESSION-KEY out of multivariant playlists
    #[arg(long)]
    pub(super) no_session_keys: bool,
    /// Address of the key of --drm simpleaes, the same words replaced; relative to INPUT; only for keys of which the key
    /// server says none
    #[arg(long, value_name = "T")]
    pub(super) key_uri: Option<String>,
    /// Encrypt the initialization segments of --drm simpleaes too
    #[arg(long)]
    pub(super) encrypt_init: bool,
    /// Protect picture tracks of MP4 inputs whole when their codec is not known, instead of refusing them
    #[arg(long)]
    pub(super) allow_full_sample: bool,
    /// Leave segments clear that begin before this time, in seconds
    #[arg(long, value_name = "S", default_value = "0", hide_default_value = true, allow_negative_numbers = true,
        value_parser = number::seconds(CLEAR_LEAD_SECONDS))]
    pub(super) clear_lead: f64,
    /// Leave segments clear that begin from FROM to TO, in seconds, such as advertisements; MP4 inputs are cut there, at the
    /// next random access point; once for each stretch
    #[arg(long, value_name = "FROM-TO", allow_hyphen_values = true)]
    pub(super) clear: Vec<String>,
    /// For MP4 inputs: playlists of I-frames and trick-mode AdaptationSets, byte ranges of the same files; key frames at
    /// least half a second apart become fragments of their own
    #[arg(long)]
    pub(super) trick_play: bool,
    /// For MP4 inputs: thumbnails of JPEG images, each a grid of tiles that are shown for SECONDS each, left to right and
    /// down; FILES is their folder, in the order of the numbers in their names, or a name with %d or %03d from 0 or 1:
    /// sprites/%03d.jpg:5x4:2
    #[arg(long, value_name = "FILES:COLSxROWS:SECONDS")]
    pub(super) thumbnails: Option<String>,
    /// Change keys after every N segments
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::count(u32::MAX))]
    pub(super) rotate_every: Option<u32>,
    /// What to do when the signaling of the key server, or of --cpix, contradicts what is packed: error; warn, which
    /// passes it on; replace, which writes our own
    #[arg(long, value_enum, default_value = "error", value_name = "DO")]
    pub(super) server_signaling: ServerSignalingArg,
    /// Most encrypted substreams that the vendor takes [default: 9 with --drmtoday]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::count(usize::from(u16::MAX)))]
    pub(super) max_substreams: Option<usize>,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct PlanArgs {
    /// One .mpd, one .m3u8, one of each over the same segments, a folder that holds them, or one or more MP4, QuickTime
    /// (progressive, fragmented, CMAF), WebM, Matroska or MPEG-TS files with .vtt, .srt and .ttml files beside them; each
    /// a path or an http(s) URL
    #[arg(required = true, value_name = "INPUT", value_parser = address::input)]
    pub(super) inputs: Vec<String>,
    /// DRM systems joined by + or ,: widevine, playready, fairplay, clearkey; wiseplay, marlin, irdeto, nagra, a system id, or
    /// other, as the key source has them; or simpleaes, AES-128 of whole segments
    #[arg(long, value_name = "LIST")]
    pub(super) drm: String,
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Print the plan as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) keys: KeyArgs,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct KeysArgs {
    /// One .mpd, one .m3u8, one of each over the same segments, a folder that holds them, or one or more MP4, QuickTime
    /// (progressive, fragmented, CMAF), WebM, Matroska or MPEG-TS files with .vtt, .srt and .ttml files beside them; each
    /// a path or an http(s) URL
    #[arg(required_unless_present = "check", value_name = "INPUT", value_parser = address::input)]
    pub(super) inputs: Vec<String>,
    /// DRM systems joined by + or ,: widevine, playready, fairplay, clearkey; wiseplay, marlin, irdeto, nagra, a system id, or
    /// other, as the key source has them; or simpleaes, AES-128 of whole segments
    #[arg(long, value_name = "LIST", required_unless_present = "check")]
    pub(super) drm: Option<String>,
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// File for the keys [default: standard output, unless it is a terminal]
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) out: Option<PathBuf>,
    /// How the keys are written
    #[arg(long, value_enum, default_value = "cpix", value_name = "F")]
    pub(super) output_format: KeysFormat,
    /// Test name lookup, connection, sign-in, ticket, endpoint and document, and say which one fails
    #[arg(long, conflicts_with_all = ["inputs", "out", "output_format"])]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) keys: KeyArgs,
}

/// A form of keys for another program.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysFormat {
    /// A CPIX document with clear keys
    Cpix,
    /// label=…:key_id=…:key=… for Shaka Packager's --keys
    Shaka,
    /// KID:KEY:IV for Bento4's --encryption-key
    Bento4,
    /// A list of objects
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum PresetArg {
    Preset0,
    Preset1,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum ServerSignalingArg {
    Error,
    Warn,
    Replace,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodArg {
    #[value(name = "POST")]
    Post,
    #[value(name = "GET")]
    Get,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum RotationRequestsArg {
    All,
    Single,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum LayoutArg {
    Segments,
    SingleFile,
}

/// Where keys come from: exactly one source.
#[derive(ArgsGroup, Debug)]
#[command(next_help_heading = "Keys, from exactly one of")]
pub(super) struct KeyArgs {
    /// POST a SPEKE request there; the URL may carry ?ticket=, and {content_id}, {kid} (made of it), {period}, {org}, {token},
    /// {user} and {password} are replaced; @FILE reads it [env: DRM_PACK_KEY_SERVER_URL] [default: that of --vendor]
    #[arg(long, value_name = "URL")]
    pub(super) key_server_url: Option<String>,
    /// How the key server is asked: POST a request, or GET a CPIX document, whose usage rules then decide
    /// [default: POST, or that of --vendor]
    #[arg(long, value_enum, value_name = "M", ignore_case = true)]
    pub(super) method: Option<MethodArg>,
    /// Content-Type of requests to the key server [default: application/xml, or that of --vendor]
    #[arg(long, value_name = "TYPE")]
    pub(super) content_type: Option<String>,
    /// Header of the key server's answers that says what is wrong [default: that of --vendor]
    #[arg(long, value_name = "NAME")]
    pub(super) error_header: Option<String>,
    /// With --rotate-every: all key periods in one request to a key server, or a single one in each
    #[arg(long, value_enum, value_name = "HOW", default_value = "all")]
    pub(super) rotation_requests: RotationRequestsArg,
    /// SPEKE version of the request: 1, 2.0 or 2.1 [default: 2.0, or that of --vendor]
    #[arg(long, value_name = "V")]
    pub(super) speke: Option<String>,
    /// Header for the key server; VALUE is @FILE or $VARIABLE, never the value itself
    #[arg(long, value_name = "NAME:VALUE")]
    pub(super) header: Vec<String>,
    /// User name for Basic authentication; the password comes from DRM_PACK_BASIC_PASSWORD or a file
    #[arg(long, value_name = "NAME", conflicts_with = "bearer_file")]
    pub(super) basic_user: Option<String>,
    /// File with the password of --basic-user [default: the variable DRM_PACK_BASIC_PASSWORD]
    #[arg(long, value_name = "FILE", requires = "basic_user", value_parser = address::path())]
    pub(super) basic_password_file: Option<PathBuf>,
    /// File with a token for Bearer authentication
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) bearer_file: Option<PathBuf>,
    /// Vendor whose address, method, headers, limits and ways apply, where no option says otherwise
    #[arg(long, value_name = "NAME", long_help = super::keys::vendors_help())]
    pub(super) vendor: Option<String>,
    /// File with the vendor's token, sent in the header that the vendor wants, or in the place of {token} in the address
    #[arg(long, value_name = "FILE", requires = "vendor", value_parser = address::path())]
    pub(super) vendor_token_file: Option<PathBuf>,
    /// Sign in to castLabs DRMtoday and get a fresh ticket for each call
    #[arg(long)]
    pub(super) drmtoday: bool,
    /// With --drmtoday: keys and key ids that the server makes for each stream type of its configuration
    #[arg(long, requires = "drmtoday")]
    pub(super) generate: bool,
    /// Lines [LABEL=]KID:KEY[:IV] in hex; labels are ids (v1,v2=) or classes (SD=, HD=, AUDIO=), LABEL@SCHEME= with
    /// --scheme cenc+cbcs, LABEL@PERIOD= with --rotate-every; # comments; - is standard input
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) key_file: Option<PathBuf>,
    /// A CPIX document with keys and signaling; its usage rules say which track has which key
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) cpix: Option<PathBuf>,
    /// Private RSA key for an encrypted CPIX document, or for the answer of a key server; PKCS #8 as DER or PEM
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) recipient_key: Vec<PathBuf>,
    /// Certificate for which a key server encrypts the content keys, DER or PEM; with --recipient-key
    #[arg(long, value_name = "CERT", requires = "recipient_key", value_parser = address::path())]
    pub(super) recipient_certificate: Option<PathBuf>,
    /// Certificate of a signer of --cpix, or of the answers of a key server, DER or PEM: the content keys must be signed, and
    /// each signature by one of these [default: each signature of --cpix is held to the certificate in it]
    #[arg(long, value_name = "CERT", value_parser = address::path())]
    pub(super) trust: Vec<PathBuf>,
    /// What else is warned of is an error: a key of zeros, one that is its key id, one under two key ids; with --cpix
    /// two usage rules for one track, of which the last one would count; a usage rule or key period for nobody
    #[arg(long)]
    pub(super) strict: bool,
    /// POST a signed request to a Widevine Common Encryption key API
    #[arg(long, value_name = "URL")]
    pub(super) widevine_key_url: Option<String>,
    /// Name of the signer for --widevine-key-url
    #[arg(long, value_name = "NAME", requires = "widevine_key_url", requires = "signer_key_file")]
    pub(super) signer: Option<String>,
    /// Signer key: two lines of hex, AES-256 key and IV, or a private RSA key in PEM
    #[arg(long, value_name = "FILE", requires = "signer", value_parser = address::path())]
    pub(super) signer_key_file: Option<PathBuf>,
    /// Policy of the licenses for --widevine-key-url
    #[arg(long, value_name = "NAME", requires = "widevine_key_url", default_value = "")]
    pub(super) policy: String,
    /// Keys derived offline from SEED, for tests and demonstrations only
    #[arg(long, value_name = "SEED")]
    pub(super) dev_keys: Option<String>,
    #[command(flatten)]
    pub(super) account: AccountArgs,
    #[command(flatten)]
    pub(super) http: HttpArgs,
}

impl KeyArgs {
    /// The files of keys and secrets.
    pub(super) fn files(&self) -> Vec<&Path> {
        let account = &self.account.password_file;
        let http = [&self.http.cacert, &self.http.client_cert];
        let secrets = [&self.basic_password_file, &self.bearer_file, &self.vendor_token_file, account];
        let keys = [&self.key_file, &self.cpix, &self.signer_key_file, &self.recipient_certificate];
        let files = keys.into_iter().chain(secrets).chain(http).flatten();
        let files = files.chain(&self.recipient_key).chain(&self.trust);
        files.map(PathBuf::as_path).collect()
    }
}

/// How key servers and inputs over HTTP are reached.
#[derive(ArgsGroup, Debug)]
#[command(next_help_heading = "Connection to servers")]
pub(super) struct HttpArgs {
    /// Proxy, instead of that of the environment; loopback addresses are reached directly. @FILE reads it
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<String>,
    /// Certificates in PEM to trust besides those of the platform
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) cacert: Option<PathBuf>,
    /// Certificate and private key of this client, in one PEM file
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) client_cert: Option<PathBuf>,
    /// Plain http to another machine's key server goes without a warning: what it carries can be read on the way
    #[arg(long)]
    pub(super) insecure_http: bool,
    /// Longest time for one exchange, or between bytes of an input, in seconds [default: 30]
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = number::whole_seconds(1..=600))]
    pub(super) timeout: Option<u64>,
}

/// A DRMtoday account. The password comes from DRMTODAY_PASSWORD or a file.
#[derive(ArgsGroup, Debug)]
#[command(next_help_heading = "DRMtoday account")]
pub(super) struct AccountArgs {
    /// Organization UUID, or what stands for {org} in --key-server-url
    #[arg(long, value_name = "UUID", env = "DRMTODAY_ORG")]
    pub(super) org: Option<String>,
    /// Id of the CPIX ingest configuration
    #[arg(long, value_name = "ID", env = "DRMTODAY_CPIX_CONFIG")]
    pub(super) cpix_config: Option<String>,
    /// Name of the API account, such as merchant::packager
    #[arg(long, value_name = "NAME", env = "DRMTODAY_USER")]
    pub(super) user: Option<String>,
    /// File with the password [default: the variable DRMTODAY_PASSWORD]
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) password_file: Option<PathBuf>,
    /// prod or staging
    #[arg(long, value_name = "NAME", default_value = "prod")]
    pub(super) environment: String,
    /// Sign-in host, instead of --environment
    #[arg(long, value_name = "URL", env = "DRMTODAY_AUTH_URL")]
    pub(super) auth_url: Option<String>,
    /// Key ingest host, instead of --environment
    #[arg(long, value_name = "URL", env = "DRMTODAY_FRONTEND_URL")]
    pub(super) frontend_url: Option<String>,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct KeyUrlArgs {
    #[command(flatten)]
    pub(super) account: AccountArgs,
    #[command(flatten)]
    pub(super) http: HttpArgs,
    /// Asset id: the URL of the generate (GET) endpoint instead of the process (POST) one
    #[arg(long, value_name = "ID")]
    pub(super) asset: Option<String>,
    /// Print the URL, the service and the time as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct DecryptArgs {
    /// One .mpd, one .m3u8, one of each over the same segments, a folder that holds them, or fragmented MP4 files;
    /// each a path or an http(s) URL
    #[arg(required = true, value_name = "INPUT", value_parser = address::input)]
    pub(super) inputs: Vec<String>,
    /// Output folder; it appears when everything in it is whole
    #[arg(long, value_name = "DIR", value_parser = address::path())]
    pub(super) out: PathBuf,
    /// Lines [LABEL=]KID:KEY[:IV] in hex, # comments; - is standard input. Not needed when the key's URI in a playlist
    /// gives it: a file of 16 bytes, or a data: URI
    #[arg(long, value_name = "FILE", conflicts_with = "cpix", value_parser = address::path())]
    pub(super) key_file: Option<PathBuf>,
    /// Folder of the whole presentation, when manifests name files beside or above their own folder; the output has
    /// the folders below it; a URL with inputs of a server [default: INPUT's folder]
    #[arg(long, value_name = "DIR", value_parser = address::root())]
    pub(super) root: Option<PathBuf>,
    /// Address of the folder of the whole presentation, when its manifests name files by absolute URIs below it, as those
    /// of pack --base-url do: what is below it is read here
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Follow links inside the input's folder to files elsewhere: only where every link is trusted
    #[arg(long)]
    pub(super) follow_links: bool,
    /// A CPIX document
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) cpix: Option<PathBuf>,
    /// Private RSA key for an encrypted CPIX document, PKCS #8 as DER or PEM
    #[arg(long, value_name = "FILE", requires = "cpix", value_parser = address::path())]
    pub(super) recipient_key: Vec<PathBuf>,
    /// Keys and IVs derived offline from SEED, for tests and demonstrations only
    #[arg(long, value_name = "SEED", conflicts_with_all = ["key_file", "cpix"])]
    pub(super) dev_keys: Option<String>,
    /// Replace the output folder when the new one is whole; it must hold nothing but a package
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Say the SHA-256 of every output in the report
    #[arg(long, requires = "json")]
    pub(super) digests: bool,
    #[command(flatten)]
    pub(super) http: HttpArgs,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct VerifyArgs {
    /// A folder with manifests, one .mpd or .m3u8, or MP4 files; segments follow their init segment. Of several folders
    /// each is a presentation, and what they encrypt under one key is held against each other
    #[arg(required = true, value_name = "INPUT", value_parser = address::input)]
    pub(super) inputs: Vec<String>,
    /// Folder of the whole presentation, when manifests name files beside or above their own folder [default: the
    /// folder that holds every INPUT]
    #[arg(long, value_name = "DIR", value_parser = address::root())]
    pub(super) root: Option<PathBuf>,
    /// Address of the folder of the whole presentation, when its manifests name files by absolute URIs below it, as those
    /// of pack --base-url do: what is below it is read here
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Follow links inside the input's folder to files elsewhere: only where every link is trusted
    #[arg(long)]
    pub(super) follow_links: bool,
    /// The clear source, to compare the payload with: a manifest, a folder, or a file, once for each that was
    /// packed; an http(s) URL will do
    #[arg(long, value_name = "INPUT", value_parser = address::input)]
    pub(super) against: Vec<String>,
    /// Lines [LABEL=]KID:KEY[:IV] in hex, # comments; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cpix", "dev_keys"], value_parser = address::path())]
    pub(super) key_file: Option<PathBuf>,
    /// A CPIX document
    #[arg(long, value_name = "FILE", conflicts_with = "dev_keys", value_parser = address::path())]
    pub(super) cpix: Option<PathBuf>,
    /// Private RSA key for an encrypted CPIX document, PKCS #8 as DER or PEM
    #[arg(long, value_name = "FILE", requires = "cpix", value_parser = address::path())]
    pub(super) recipient_key: Vec<PathBuf>,
    /// Keys derived offline from SEED, for tests and demonstrations only
    #[arg(long, value_name = "SEED")]
    pub(super) dev_keys: Option<String>,
    /// A track that was left clear on purpose, such as by pack --track ID:clear: its id, its file or its playlist, as the
    /// report of pack has it; once for each
    #[arg(long, value_name = "TRACK")]
    pub(super) clear_track: Vec<String>,
    /// Fail with exit code 7 when something is not proven, such as a key that the codec does not show to be right
    #[arg(long)]
    pub(super) strict: bool,
    /// List the rules too, and how many things each was held to
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Print the findings and the counts of checks as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) http: HttpArgs,
}

#[derive(Subcommand, Debug)]
pub(super) enum CpixCommand {
    /// Say what breaks the schema and what refers to nothing
    Validate {
        /// The document; - is standard input
        #[arg(value_parser = address::path())]
        file: PathBuf,
        /// Version to hold it to: 2.1, 2.2, 2.3, 2.4 [default: the one that it names]
        #[arg(long, value_name = "V")]
        version: Option<String>,
        /// Certificate of a signer, DER or PEM; every signature must be by one of them
        #[arg(long, value_name = "CERT", value_parser = address::path())]
        trust: Vec<PathBuf>,
    },
    /// Write the document in another version; what is not concerned stays byte for byte
    Convert {
        #[command(flatten)]
        file: CpixFileArgs,
        /// 2.1, 2.2, 2.3 or 2.4
        #[arg(long, value_name = "V")]
        to: String,
    },
    /// Encrypt the content keys for recipients
    Encrypt {
        #[command(flatten)]
        file: CpixFileArgs,
        /// Certificate of a recipient, DER or PEM
        #[arg(long, value_name = "CERT", required = true, value_parser = address::path())]
        recipient: Vec<PathBuf>,
    },
    /// Decrypt the content keys
    Decrypt {
        #[command(flatten)]
        file: CpixFileArgs,
        /// Private RSA key of a recipient, PKCS #8 as DER or PEM
        #[arg(long, value_name = "KEY", required = true, value_parser = address::path())]
        recipient_key: Vec<PathBuf>,
    },
    /// Say in words what is in the document; keys are not shown
    Explain {
        /// The document; - is standard input
        #[arg(value_parser = address::path())]
        file: PathBuf,
    },
}

#[derive(ArgsGroup, Debug)]
pub(super) struct InspectArgs {
    /// A file of any format, told by its content; pssh as base64 or hex; - is standard input
    #[arg(value_parser = address::local)]
    pub(super) file: String,
    /// Print as JSON, with the same names
    #[arg(long)]
    pub(super) json: bool,
    /// Show each sample: decode time, size, sync, IV, key id, and its runs as bytes clear+protected
    #[arg(long, conflicts_with = "html")]
    pub(super) samples: bool,
    /// Draw the presentation of an MPD, a playlist or an MP4 file into one HTML file
    #[arg(long, value_name = "OUT", value_parser = address::path())]
    pub(super) html: Option<PathBuf>,
    /// Address of the folder of the whole presentation, when its manifests name files by absolute URIs below it, as those
    /// of pack --base-url do: what is below it is read here
    #[arg(long, value_name = "URL", requires = "html")]
    pub(super) base_url: Option<String>,
}

#[derive(ArgsGroup, Debug)]
pub(super) struct CpixFileArgs {
    /// The document; - is standard input
    #[arg(value_parser = address::path())]
    pub(super) file: PathBuf,
    /// Write to this file, which only its owner can read [default: standard output]
    #[arg(long, value_name = "FILE", value_parser = address::path())]
    pub(super) out: Option<PathBuf>,
}

#[cfg(feature = "server")]
#[derive(ArgsGroup, Debug)]
pub(super) struct KeyServerArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8089")]
    pub(super) listen: std::net::SocketAddr,
    /// Listen on an address that other machines reach: every key of this server can be computed from its seed
    #[arg(long)]
    pub(super) allow_public: bool,
    /// Seed that keys and IVs are derived from
    #[arg(long, value_name = "SEED", default_value = "drm-pack")]
    pub(super) seed: String,
    /// Lifetime of a service ticket, in seconds
    #[arg(long, value_name = "S", default_value = "10", allow_negative_numbers = true,
        value_parser = number::whole_seconds(1..=86_400))]
    pub(super) ticket_seconds: u64,
    /// Take a service ticket as often as it comes, until its lifetime ends
    #[arg(long)]
    pub(super) lenient_tickets: bool,
    /// What the server does wrong, or otherwise than most, on purpose
    #[arg(long, value_enum, default_value = "none", value_name = "NAME", hide_default_value = true)]
    pub(super) fault: crate::server::Fault,
    /// Say of every key that players need this HDCP-LEVEL: NONE, TYPE-0 or TYPE-1; in answers to SPEKE 2.1, as all of these
    #[arg(long, value_name = "LEVEL")]
    pub(super) hdcp_level: Option<String>,
    /// Say of every key that MPDs have these OutputProtection descriptors
    #[arg(long, value_name = "XML")]
    pub(super) output_protection: Option<String>,
    /// Say of every key and system that MPDs want this robustness
    #[arg(long, value_name = "TEXT")]
    pub(super) robustness: Option<String>,
    /// Say of every key and system that multivariant playlists have this ALLOWED-CPC
    #[arg(long, value_name = "TEXT")]
    pub(super) allowed_cpc: Option<String>,
    /// Answer for this DRM system too, of which nothing but the id is known: wiseplay, marlin, irdeto, nagra or a system id
    #[arg(long, value_name = "NAME")]
    pub(super) other_drm: Vec<String>,
    /// Name of the account; its password is DRMTODAY_PASSWORD, or made up
    #[arg(long, value_name = "NAME", default_value = "demo::packager", env = "DRMTODAY_USER")]
    pub(super) user: String,
    /// Folder of presentations that the page of this server lists and plays
    #[arg(long, value_name = "DIR", value_parser = address::path())]
    pub(super) media: Option<PathBuf>,
    #[command(flatten)]
    pub(super) players: PlayersArgs,
}

/// Where the players of the page are.
#[cfg(feature = "server")]
#[derive(ArgsGroup, Debug)]
pub(super) struct PlayersArgs {
    /// Folder that scripts/players filled [default: target/players of the project]
    #[arg(long, value_name = "DIR", env = "DRM_PACK_PLAYERS", value_parser = address::path())]
    pub(super) players: Option<PathBuf>,
}

#[cfg(feature = "server")]
#[derive(ArgsGroup, Debug)]
pub(super) struct DemoArgs {
    /// Then serve a page that plays what was packed, until it is interrupted
    #[arg(long)]
    pub(super) serve: bool,
    /// Address of the page; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:0",
        hide_default_value = true,
        requires = "serve"
    )]
    pub(super) listen: std::net::SocketAddr,
    #[command(flatten)]
    pub(super) players: PlayersArgs,
    /// Keep what the demo writes in this folder
    #[arg(long, value_name = "DIR", value_parser = address::path())]
    pub(super) out: Option<PathBuf>,
}
