//! How a playlist names a key of AES-128 — RFC 8216bis §4.4.4.4, §5.2.

use crate::base::Result;
use crate::base::id::hex;
use crate::base::uri::folder_from;
use crate::hls::AES_128;
use crate::package::{KeyAddress, Plan};
use crate::protect::Aes128;

use super::package::KeyUse;

/// The `EXT-X-KEY` tag in a playlist of this name, where `implied` is the media sequence number that stands for an IV
/// that is not written. A relative URI is written differently in other folders than that of the input.
pub(super) fn key_line(
    plan: &Plan,
    usage: KeyUse,
    implied: Option<u64>,
    (playlist, input): (&str, &str),
) -> Result<String> {
    let key = plan.key_in(usage.period, usage.substream)?;
    let KeyAddress { uri, others } = key.address()?;
    let is_relative = !uri.starts_with('/') && !uri.split('/').next().unwrap_or_default().contains(':');
    let up = if is_relative { folder_from(playlist, input) } else { String::new() };
    let written = || Aes128::iv_of_media_sequence_number(usage.sequence);
    let iv = key.vector().copied().or_else(|| (implied != Some(usage.sequence)).then(written));
    let iv = iv.map_or_else(String::new, |iv| format!(",IV=0x{}", hex(&iv)));
    let others: String = others.iter().map(|other| format!(",{other}")).collect();
    Ok(format!("#EXT-X-KEY:METHOD={AES_128},URI=\"{up}{uri}\"{iv}{others}"))
}
