//! `drm-pack plan`: tracks, keys, signaling and the request document, with nothing fetched or written.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::base::Result;
use crate::job::{PlanReport, check_drm, plan};

use super::args::PlanArgs;
use super::keys::{apply_vendor, http_client, key_server, speke_version, substream_limit, unasked_server};
use super::output::{json, line, note};
use super::pack::{Inputs, job};

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    check_drm(&args.drm)?;
    let version = speke_version(&args.keys)?;
    let mut job = job(&args.inputs, &args.drm, &args.job, substream_limit(&args.keys)?)?;
    apply_vendor(&args.keys, &mut job)?;
    let inputs = Inputs::of(&args.inputs, &args.job, &Arc::new(http_client(&args.keys.http)?));
    // Keys that are at hand are shown; nothing is asked of a server.
    let keys = match args.keys.cpix.is_some() || args.keys.key_file.is_some() {
        true => Some(key_server(&args.keys)?.0),
        false => unasked_server(&args.keys)?,
    };
    let report = plan(&job, &|input| inputs.open_input(input), version, keys.as_deref())?;
    if args.json {
        return json(&report);
    }
    report.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    line(&text(&report))
}

/// The plan as people read it.
fn text(report: &PlanReport) -> String {
    let proposals = if report.request.is_empty() {
        ""
    } else {
        "key ids are proposals: the key source may have others\n"
    };
    let mut text = format!("content id {}\n{proposals}\n", report.content_id);
    for track in &report.tracks {
        let shape = match (track.width, track.height, track.channels) {
            (Some(width), Some(height), _) => format!("{width}x{height}"),
            (.., Some(channels)) => format!("{channels} ch"),
            _ => String::new(),
        };
        let (id, kind, codec, scheme) = (&track.id, &track.kind, &track.codec, &track.scheme);
        let _ = write!(text, "{id:4} {kind:6} {codec:16} {shape:>9}  {scheme:10} ");
        let _ = writeln!(text, "key {}  {}", track.kid, track.source);
    }
    for track in &report.clear_tracks {
        let (id, kind, codec) = (&track.id, track.kind, &track.codec);
        let _ = writeln!(text, "{id:4} {kind:6} {codec:16} {:>9}  clear  {}", "", track.source);
    }
    for key in &report.keys {
        let tracks = if key.tracks.is_empty() { "no track".to_owned() } else { key.tracks.join(", ") };
        let period = key.period.map(|period| format!(" period {period}")).unwrap_or_default();
        let _ = writeln!(text, "\nkey {} {}{period}: {tracks}", key.kid, key.track_type);
        for signal in &key.signaling {
            let _ = writeln!(text, "  {:10} {}", signal.system, signal.places.join(", "));
        }
    }
    if !report.request.is_empty() {
        let _ = write!(text, "\nrequest\n{}", report.request.trim_end());
    }
    text
}
