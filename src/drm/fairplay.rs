//! FairPlay Streaming — key lines of HLS playlists; there is no `pssh` and no DASH form.

use crate::base::{Error, Kid, Result, SystemId};
use crate::cpix::DrmSystem;
use crate::protect::Scheme;
use crate::protect::scheme::{Mode, Pattern};

use super::pssh::Pssh;
use super::{ManifestKind, Signal, System, fill, template};

const SYSTEM_ID: SystemId = SystemId::from_u128(0x94ce86fb_07ff_4f43_adb8_93d2fa968ca2);

/// FairPlay Streaming.
#[derive(Debug)]
pub struct FairPlay;

impl System for FairPlay {
    fn name(&self) -> &str {
        "fairplay"
    }

    fn system_id(&self) -> SystemId {
        SYSTEM_ID
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        None
    }

    fn dash_value(&self) -> &'static str {
        "FairPlay"
    }

    fn allows(&self, scheme: &Scheme) -> bool {
        scheme.mode == Mode::Cbc && scheme.video != Pattern::NONE
    }

    fn signals_in(&self, manifest: ManifestKind) -> bool {
        manifest == ManifestKind::Hls
    }

    fn decrypts_sample_aes(&self) -> bool {
        true
    }

    fn iv_from_key_source(&self) -> bool {
        true
    }

    /// The key URI of its playlists is what players know.
    fn signals_license_url(&self, _manifest: ManifestKind) -> bool {
        false
    }

    fn check_template(&self, skd_template: &str, keys: usize) -> Result<()> {
        template::check(skd_template)?;
        if keys > 1 && !template::is_per_key(skd_template)? {
            return Err(Error::usage(format!(
                "key URI template {skd_template:?} gives {keys} keys one URI, expected a URI for each key"
            ))
            .hint("use {kid}, {kid_guid}, {iv} or {track} in it"));
        }
        Ok(())
    }

    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]) {
        if manifests.contains(&ManifestKind::Hls) {
            fill::request_hls(&mut system.hls_signaling_data);
        }
    }

    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let Signal { key, scheme, .. } = *signal;
        if !self.allows(scheme) {
            return Err(Error::unsupported(format!("FairPlay with the protection scheme {}", scheme.name)));
        }
        if key.explicit_iv.is_none() {
            // The license carries the IV as well, so that one made up here would garble the media.
            return Err(Error::keys(format!(
                "key {} has no IV, FairPlay needs that of the license",
                key.kid
            ))
            .hint("give the IV with the key"));
        }
        let Some(method) = scheme.hls_method else {
            return Err(Error::unsupported(format!("{} in a playlist", scheme.name)));
        };
        let uri = template::expand(signal.skd_template, &signal.into())?;
        let line = format!(
            "METHOD={method},URI=\"{uri}\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\""
        );
        fill::hls(&mut system.hls_signaling_data, &line);
        Ok(())
    }

    fn kids(&self, _pssh: &Pssh) -> Result<Vec<Kid>> {
        Err(Error::unsupported("FairPlay has no pssh box"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drm::tests::{key, signal};

    #[test]
    fn the_key_line_has_the_expanded_uri_and_no_iv() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        FairPlay.signal(&signal(&key, "cbcs"), &mut system).unwrap();
        let attributes = "METHOD=SAMPLE-AES,URI=\"skd://31323334353637383930313233343536\",\
                          KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"";
        assert_eq!(system.hls_signaling_data.media.unwrap(), format!("#EXT-X-KEY:{attributes}"));
        assert_eq!(
            system.hls_signaling_data.multivariant.unwrap(),
            format!("#EXT-X-SESSION-KEY:{attributes}")
        );
        assert_eq!((system.pssh, system.content_protection_data), (None, None));
    }

    #[test]
    fn a_key_without_an_iv_is_refused_even_when_the_line_is_there() {
        let mut key = key();
        key.explicit_iv = None;
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        system.hls_signaling_data.media = Some("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"".into());
        let error = FairPlay.signal(&signal(&key, "cbcs"), &mut system).unwrap_err();
        assert_eq!(error.kind(), crate::base::Kind::Keys);
    }

    #[test]
    fn counter_mode_is_refused() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        assert!(FairPlay.signal(&signal(&key, "cenc"), &mut system).is_err());
    }

    #[test]
    fn one_uri_for_several_keys_is_refused() {
        assert!(FairPlay.check_template("skd://{content_id}", 1).is_ok());
        assert!(FairPlay.check_template("skd://{content_id}", 2).is_err());
        assert!(FairPlay.check_template("skd://{kid}", 2).is_ok());
        assert!(FairPlay.check_template("skd://{what}", 1).is_err());
    }
}
