//! `drm-pack demo`: the whole way on the bundled clip, step by step, in a form that teaches.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::base::env::{Http, Source, Store};
use crate::base::id::hex;
use crate::base::{Error, Kid, Result};
use crate::cpix::Document;
use crate::io::interrupt::{OnInterrupt, wait_for_signal};
use crate::io::{FileStore, HttpClient, OutputDirectory, Overwrite};
use crate::isobmff::file::moov;
use crate::isobmff::samples::samples;
use crate::isobmff::track::{tracks, trexes};
use crate::job::{DecryptJob, Env, Job, Report, decrypt, run as run_job};
use crate::keys::{Account, DevKeys, DrmToday, KeyServer};
use crate::package::Preset;
use crate::server::{Running, Settings, start};
use crate::verify::{Reference, VerifyJob, verify};

use super::args::DemoArgs;
use super::key_files::RecordingKeyServer;
use super::key_server::players;
use super::output::{line, note, report as report_text};

/// The clip: two renditions of a picture and one of audio.
const CLIP: [(&str, &[u8]); 3] = [
    ("video_360.mp4", include_bytes!("../../fixtures/clip/mp4/video_360.mp4")),
    ("video_180.mp4", include_bytes!("../../fixtures/clip/mp4/video_180.mp4")),
    ("audio.m4a", include_bytes!("../../fixtures/clip/mp4/audio.m4a")),
];
/// Keys of the demonstration are derived from this.
const SEED: &str = "drm-pack demo";
const USER: &str = "demo::packager";
const DRM: &str = "widevine+playready+fairplay";
/// Where the presentations of the page are.
const PLAY: &str = "play";
/// The presentations of the page: folder, DRM systems, scheme, which tracks share a key.
const PRESENTATIONS: [(&str, &str, &str, Preset); 2] = [
    ("cbcs-key-for-each-track", "widevine+playready+fairplay+clearkey", "cbcs", Preset::Preset1),
    ("cenc-one-key", "widevine+playready+clearkey", "cenc", Preset::Preset0),
];

pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let work = Workplace::new(args.out.clone())?;
    let clip = work.path.join("clip");
    for (name, bytes) in CLIP {
        let mut sink = FileStore::new(&clip).create(name)?;
        sink.write(bytes)?;
        sink.commit()?;
    }

    line("1. The vendor. A development key server stands in for castLabs DRMtoday on this machine.")?;
    let (server, account) = vendor(args, &work.path)?;
    line(&format!("   listening on {}", server.url()))?;

    line(
        "\n2. Signing in. A login gives a ticket-granting ticket; each call needs a service ticket of its own.",
    )?;
    let http = HttpClient::new()?;
    let vendor = DrmToday::new(account)?;
    let url = vendor.ticketed_url(&http, None)?;
    line(&format!("   the key-request URL of this account is {}", crate::base::redact_url(&url)))?;
    line("   (drm-pack key-url prints it; the ticket in it is good for one call)")?;

    line(&format!(
        "\n3. Packing. {DRM}, cbcs, preset1: one key for each rendition, asked for over SPEKE 2.0."
    ))?;
    let keys = RecordingKeyServer::new(&vendor);
    let packed = work.path.join("packed");
    let report = pack(&clip, &packed, &Wanted::default(), &keys, &http)?;
    for text in report_text(&report, &packed).lines() {
        line(&format!("   {text}"))?;
    }

    line("\n4. What players are told. Each rendition names its own key, once for each DRM system:")?;
    for manifest in ["v1.m3u8", "manifest.mpd"] {
        show(&packed, manifest)?;
    }

    line("\n5. Decrypting again, with the keys that the server gave.")?;
    let decrypted = work.path.join("decrypted");
    let document = keys.into_document();
    decrypt_again(&packed.join("master.m3u8"), &decrypted, &document)?;

    line("\n6. Comparing every sample with the source.")?;
    for (track, (name, _)) in report.tracks.iter().zip(CLIP) {
        let source = payload(FileStore::new(&clip).open(name)?.as_ref())?;
        let there_and_back = payload(&chain(&FileStore::new(&decrypted), &track.id)?)?;
        let protected = payload(&chain(&FileStore::new(&packed), &track.id)?)?;
        line(&format!("   {:3} source    {}", track.id, hex(&source)))?;
        line(&format!("       encrypted {}", hex(&protected)))?;
        line(&format!("       decrypted {}", hex(&there_and_back)))?;
        if source != there_and_back || source == protected {
            return Err(
                Error::verification("the decrypted payload differs from the source").at(track.id.clone())
            );
        }
    }
    line("   equal: what was encrypted is what was given, sample for sample.")?;

    line("\n7. Verifying what was packed: boxes, key ids, IVs, slice headers, DRM data, manifests.")?;
    hold_to_rules(&packed, &clip, &document)?;
    if args.serve {
        for (folder, drm, scheme, preset) in PRESENTATIONS {
            let wanted = Wanted { drm, scheme: Some(scheme), preset };
            pack(&clip, &work.path.join(PLAY).join(folder), &wanted, &vendor, &http)?;
        }
        serve(&server, &players(&args.players))?;
    }
    work.finish()
}

/// Leaves the page up until the user interrupts it.
fn serve(server: &Running, players: &Path) -> Result<()> {
    line(&format!("\n8. Playing. Open {}/ and press Play; Ctrl-C ends it.", server.url()))?;
    if !players.join("node_modules").is_dir() {
        line(
            "   No players are here yet: run scripts/players once (it needs npm), then load the page again.",
        )?;
    }
    wait_for_signal();
    Ok(())
}

fn vendor(args: &DemoArgs, work: &Path) -> Result<(Running, Account)> {
    // The server is of this process alone, and so is its password.
    let password = || SecretString::from("a password with &=+% \"characters\"");
    let mut settings = Settings::new(SecretString::from(SEED), USER, password());
    settings.address = args.listen;
    if args.serve {
        let media = work.join(PLAY);
        std::fs::create_dir_all(&media)
            .map_err(|error| Error::storage(error.to_string()).at(media.display()))?;
        settings.media = Some(media);
        settings.players = Some(players(&args.players));
    }
    settings.log = Box::new(|exchange| {
        // The page shows what it asks for.
        if exchange.path.starts_with("/cas/") || exchange.path.starts_with("/frontend/") {
            // The next line of the demonstration fails as well.
            let _ = line(&format!("   > {} {} {}", exchange.method, exchange.path, exchange.status));
        }
    });
    let (organization, cpix_config) = (settings.organization.clone(), settings.cpix_config.clone());
    let server = start(settings)?;
    let url = server.url();
    let account = Account {
        auth_url: url.clone(),
        frontend_url: url,
        organization,
        cpix_config,
        user: USER.into(),
        password: password(),
    };
    Ok((server, account))
}

/// How the clip is packed.
struct Wanted {
    drm: &'static str,
    scheme: Option<&'static str>,
    preset: Preset,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { drm: DRM, scheme: None, preset: Preset::Preset1 }
    }
}

fn pack(clip: &Path, out: &Path, wanted: &Wanted, keys: &dyn KeyServer, http: &dyn Http) -> Result<Report> {
    let job = Job {
        inputs: CLIP.iter().map(|(name, _)| clip.join(name).to_string_lossy().into_owned()).collect(),
        drm: wanted.drm.into(),
        scheme: wanted.scheme.map(str::to_owned),
        preset: wanted.preset,
        resource_id: Some("demo-clip".into()),
        segment_duration: 2.0,
        ..Job::default()
    };
    let output = OutputDirectory::begin(out, Overwrite::Refuse)?;
    let report = run_job(
        &job,
        &Env {
            open_input: &open_input,
            output: &output.store(),
            keys,
            http,
            journal: None,
            observe: &|_| {},
        },
    )?;
    output.publish()?;
    Ok(report)
}

/// A file of the demonstration.
fn open_input(path: &str) -> Result<(Box<dyn Store>, String)> {
    let (store, name) = FileStore::of_file(path)?;
    Ok((Box::new(store), name))
}

fn decrypt_again(input: &Path, out: &Path, document: &Document) -> Result<()> {
    let key_store = |kid: Kid| document.content_key(kid)?.value.clone();
    let output = OutputDirectory::begin(out, Overwrite::Refuse)?;
    let report = decrypt(
        &DecryptJob { inputs: vec![input.to_string_lossy().into_owned()], key_store: &key_store },
        &Env {
            open_input: &open_input,
            output: &output.store(),
            keys: &DevKeys::new(SEED),
            http: &HttpClient::new()?,
            journal: None,
            observe: &|_| {},
        },
    )?;
    output.publish()?;
    line(&format!("   {} files, no key tags and no pssh left", report.outputs.len()))?;
    Ok(())
}

fn hold_to_rules(packed: &Path, clip: &Path, document: &Document) -> Result<()> {
    let key_store = |kid: Kid| document.content_key(kid)?.value.clone();
    let clear = FileStore::new(clip);
    let names = CLIP.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found = verify(&VerifyJob {
        store: &FileStore::new(packed),
        names: vec!["master.m3u8".into(), "manifest.mpd".into()],
        key_store: Some(&key_store),
        against: Some(Reference { store: &clear, names }),
        clear_tracks: &[],
        beside: &[],
    })?;
    let counts = found.findings.counts();
    let checks: u64 = counts.values().map(|count| count.checked).sum();
    if let Some(finding) = found.findings.listed().first() {
        return Err(Error::verification(format!("found {}, expected {}", finding.found, finding.expected))
            .at(finding.rule)
            .at(finding.place.clone()));
    }
    let rules = counts.len();
    line(&format!("   {checks} checks by {rules} rules over {} samples, nothing found", found.samples))?;
    Ok(())
}

/// The lines of a manifest that tell of protection, shortened.
fn show(folder: &Path, manifest: &str) -> Result<()> {
    let path = folder.join(manifest);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::storage(error.to_string()).at(path.display()))?;
    line(&format!("   {manifest}"))?;
    let telling = |text: &&str| text.contains("EXT-X-KEY") || text.contains("<ContentProtection");
    for text in text.lines().filter(telling) {
        let text = text.trim();
        let short: String = text.chars().take(104).collect();
        line(&format!("     {short}{}", if short.len() < text.len() { "…" } else { "" }))?;
    }
    Ok(())
}

/// SHA-256 of all samples of a file with one track, in order.
fn payload(source: &dyn Source) -> Result<[u8; 32]> {
    let moov = moov(source)?;
    let trexes = trexes(&moov)?;
    let mut hash = Sha256::new();
    for track in tracks(&moov)? {
        for sample in samples(source, &moov, track.track_id, &trexes)? {
            let sample = sample?;
            let mut bytes = vec![0; sample.size as usize];
            source.read_at(sample.position, &mut bytes)?;
            hash.update(&bytes);
        }
    }
    Ok(hash.finalize().into())
}

/// A track that lies in segments, as one file: an init segment and its segments are one.
fn chain(store: &FileStore, track: &str) -> Result<Vec<u8>> {
    let mut chain = whole(store, &format!("{track}/init.mp4"))?;
    let mut number = 1;
    while store.exists(&format!("{track}/{number}.m4s"))? {
        chain.extend(whole(store, &format!("{track}/{number}.m4s"))?);
        number += 1;
    }
    Ok(chain)
}

fn whole(store: &FileStore, name: &str) -> Result<Vec<u8>> {
    let source = store.open(name)?;
    let mut bytes = vec![0; usize::try_from(source.len()).unwrap_or(0)];
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A folder for the demonstration, removed at the end unless it was asked for.
struct Workplace {
    path: PathBuf,
    keep: bool,
    _on_interrupt: Option<OnInterrupt>,
}

impl Workplace {
    fn new(out: Option<PathBuf>) -> Result<Self> {
        let keep = out.is_some();
        let path =
            out.unwrap_or_else(|| std::env::temp_dir().join(format!("drm-pack-demo-{}", std::process::id())));
        let failed = |error: std::io::Error| Error::storage(error.to_string()).at(path.display());
        let at_end = path.clone();
        let on_interrupt = (!keep).then(|| {
            OnInterrupt::new(move || {
                let _ = std::fs::remove_dir_all(&at_end);
                None
            })
        });
        std::fs::create_dir_all(&path).map_err(failed)?;
        if std::fs::read_dir(&path).map_err(failed)?.next().is_some() {
            return Err(Error::usage("the folder is not empty, and the demo writes many files")
                .at(path.display())
                .hint("name one that is not there yet"));
        }
        Ok(Self { path, keep, _on_interrupt: on_interrupt })
    }

    fn finish(&self) -> Result<()> {
        if self.keep {
            line(&format!("\nEverything is in {}", self.path.display()))
        } else {
            line(
                "\nTry `drm-pack demo --out DIR` to keep the files, and `drm-pack key-server` for jobs of your own.",
            )
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep && std::fs::remove_dir_all(&self.path).is_err() {
            note(&format!("warning: {} is left over", self.path.display()));
        }
    }
}
