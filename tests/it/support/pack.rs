//! Runs of whole jobs over fixtures, for the laws.

use std::path::{Path, PathBuf};

use drm_pack::base::env::{Http, Store};
use drm_pack::base::{Error, Kid, Result, Secret};
use drm_pack::cpix::Document;
use drm_pack::io::{FileStore, HttpClient};
use drm_pack::job::{DecryptJob, Env, Job, Report, decrypt, run};
use drm_pack::keys::{DevKeys, KeyServer};

use crate::support::media::root;

/// The seed of every test key.
pub(crate) const SEED: &str = "laws";

/// The store of an input's folder, and its name.
pub(crate) fn open_input(input: &str) -> Result<(Box<dyn Store>, String)> {
    let (store, name) = FileStore::of_file(input)?;
    Ok((Box::new(store), name))
}

/// Inputs that are packages, each with the DRM systems that it can signal.
pub(crate) fn packages() -> Vec<(PathBuf, &'static str)> {
    let clip = root().join("fixtures/clip");
    [
        ("dash/manifest.mpd", "widevine+playready"),
        ("dash-segment-base/manifest.mpd", "widevine+playready"),
        ("dash-segment-list/manifest.mpd", "widevine+playready"),
        ("hls/master.m3u8", "widevine+playready"),
        ("hls/v1/media.m3u8", "widevine"),
        ("hls-byterange/master.m3u8", "widevine+playready"),
    ]
    .map(|(path, drm)| (clip.join(path), drm))
    .to_vec()
}

/// MP4 files: video and audio together, `moov` first and last, fragmented.
pub(crate) fn files() -> Vec<PathBuf> {
    let clip = root().join("fixtures/clip/mp4");
    ["av.mp4", "av_faststart.mp4", "av_frag.mp4"].map(|name| clip.join(name)).to_vec()
}

/// One second of each codec.
pub(crate) fn codec_files() -> Vec<PathBuf> {
    let names = ["av1", "hevc", "mv_hevc", "avc_interlaced", "vp9", "ac3", "eac3", "opus", "flac", "mp3"];
    names.map(|name| root().join(format!("fixtures/clip/codecs/{name}.mp4"))).to_vec()
}

/// Files of other containers.
pub(crate) fn demuxed_files() -> Vec<PathBuf> {
    let names = [
        "vp9_opus.webm",
        "av1_ac3.mkv",
        "hevc_eac3.mkv",
        "avc_aac.mkv",
        "hevc_eac3.ts",
        "avc_ac3.ts",
        "avc_aac.ts",
    ];
    names.map(|name| root().join("fixtures/clip/demux").join(name)).to_vec()
}

/// A file of QuickTime.
pub(crate) fn quicktime_file() -> PathBuf {
    root().join("fixtures/clip/quicktime/av.mov")
}

/// A job on one input.
pub(crate) fn job(input: &Path, drm: &str, scheme: &str) -> Job {
    Job {
        inputs: vec![input.to_str().unwrap().to_owned()],
        drm: drm.to_owned(),
        scheme: Some(scheme.to_owned()),
        segment_duration: 2.0,
        ..Job::default()
    }
}

/// Packs with keys that [`key`] knows.
pub(crate) fn pack(job: &Job, out: &Path) -> Result<Report> {
    run(job, &env(&FileStore::new(out), &DevKeys::new(SEED), &HttpClient::new()?))
}

/// The same with keys that come without IVs.
pub(crate) fn pack_without_ivs(job: &Job, out: &Path) -> Result<Report> {
    pack_with(job, out, &WithoutIvs(DevKeys::new(SEED)))
}

/// The same with keys from elsewhere.
pub(crate) fn pack_with(job: &Job, out: &Path, keys: &dyn KeyServer) -> Result<Report> {
    run(job, &env(&FileStore::new(out), keys, &HttpClient::new()?))
}

/// The same where no key may be asked for: what is wrong is found before.
pub(crate) fn pack_without_keys(job: &Job, out: &Path) -> Result<Report> {
    run(job, &env(&FileStore::new(out), &NoKeys, &HttpClient::new()?))
}

/// A key server that is not to be asked.
struct NoKeys;

impl KeyServer for NoKeys {
    fn exchange(&self, _http: &dyn Http, _request: Document) -> Result<Document> {
        Err(Error::keys("keys were asked for"))
    }
}

/// Keys of a seed, and IVs only where the request has them.
pub(crate) struct WithoutIvs(pub(crate) DevKeys);

impl KeyServer for WithoutIvs {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        let proposed: Vec<_> = request.content_keys.iter().map(|key| key.explicit_iv).collect();
        let mut answer = self.0.exchange(http, request)?;
        for (key, iv) in answer.content_keys.iter_mut().zip(proposed) {
            key.explicit_iv = iv;
        }
        Ok(answer)
    }
}

/// Decrypts with the keys that [`pack`] used.
pub(crate) fn unpack(input: &Path, out: &Path) -> Result<Report> {
    unpack_all(&[input.to_owned()], out)
}

/// Decrypts manifests of one presentation.
pub(crate) fn unpack_all(inputs: &[PathBuf], out: &Path) -> Result<Report> {
    let key_store = DevKeys::new(SEED);
    let job = DecryptJob {
        inputs: inputs.iter().map(|input| input.to_str().unwrap().to_owned()).collect(),
        key_store: &key_store,
    };
    decrypt_with(&job, out)
}

/// Decrypts as the job says.
pub(crate) fn decrypt_with(job: &DecryptJob<'_>, out: &Path) -> Result<Report> {
    decrypt(job, &env(&FileStore::new(out), &DevKeys::new(SEED), &HttpClient::new()?))
}

/// The key of this id under [`SEED`].
pub(crate) fn key(kid: Kid) -> Secret<16> {
    DevKeys::new(SEED).key(kid).unwrap()
}

fn env<'a>(output: &'a FileStore, keys: &'a dyn KeyServer, http: &'a HttpClient) -> Env<'a> {
    Env { open_input: &open_input, output, keys, http, journal: None, observe: &|_| {} }
}
