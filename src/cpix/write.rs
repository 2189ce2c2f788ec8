//! CPIX documents to bytes — DASH-IF CPIX 2.1 to 2.4, children in the order of the schema.

use quick_xml::escape::escape;
use zeroize::Zeroizing;

use super::document::{ContentKey, DeliveryData, Document, DrmSystem};
use super::encrypted::{AES256_CBC, Envelope};
use super::recipient::Certificate;
use super::version::Version;
use super::write_usage::{period, update_history_item, usage_rule};
use crate::base::env::Random;
use crate::base::{Error, Result, base64};

pub(super) const CPIX: &str = "urn:dashif:org:cpix";
/// RFC 6030.
pub(super) const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
/// XML Signature.
pub(super) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XML Encryption.
pub(super) const ENC: &str = "http://www.w3.org/2001/04/xmlenc#";

/// A document in a version that was asked for.
pub struct Written {
    /// The document; it may hold keys in plain text, so it is wiped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What this version cannot say and was left out.
    pub warnings: Vec<String>,
}

/// Writes a document in the version that it names; it holds the keys in plain text, so the caller wipes it.
///
/// A usage rule with [`other_filters`](super::ContentKeyUsageRule::other_filters) is left out: without them it
/// would reach tracks that it was not made for. Recipients are named, for a key server to encrypt for them,
/// while no content key has a value.
pub fn write(document: &Document) -> Vec<u8> {
    let mut writer = Writer::new(Version::of(document.version.as_deref()), Words::All);
    let (declarations, delivery) = writer.named_recipients(document);
    // Nothing is drawn and nothing is sealed, so there is nothing to go wrong.
    writer.document(document, document.version.as_deref(), declarations, &delivery, None).unwrap_or_default();
    writer.out.as_bytes().to_vec()
}

/// Writes a document in this version, the content keys in plain text.
///
/// # Errors
/// [`Kind::Unsupported`](crate::base::Kind::Unsupported) when a usage rule has a filter that is unknown, so that
/// it can be written in no version.
pub fn write_as(document: &Document, version: Version) -> Result<Written> {
    let mut writer = Writer::new(version, Words::OfVersion);
    let (declarations, delivery) = writer.named_recipients(document);
    if delivery.is_empty() && !document.delivery_data.is_empty() {
        writer.warnings.push("the recipients are left out: the content keys are in plain text".to_owned());
    }
    known_filters(document)?;
    let name = version.names_schemes().then(|| version.name());
    writer.document(document, name, declarations, &delivery, None)?;
    Ok(writer.finish())
}

/// Writes a document in this version, the content keys encrypted for every recipient of its `DeliveryData`.
///
/// # Errors
/// As [`write_as`]; when there is no recipient, or one has no RSA certificate.
pub fn write_encrypted(document: &Document, version: Version, random: &dyn Random) -> Result<Written> {
    known_filters(document)?;
    if document.delivery_data.is_empty() {
        return Err(Error::usage("no recipient to encrypt the content keys for"));
    }
    let mut writer = Writer::new(version, Words::OfVersion);
    let envelope = Envelope::new(random)?;
    let algorithm = (!version.lacks("DocumentKey/@Algorithm")).then_some(AES256_CBC);
    let mut delivery = Vec::new();
    for data in &document.delivery_data {
        let recipient = Certificate::parse(&data.certificate).map_err(|error| error.at("DeliveryData"))?;
        let keys = envelope.keys_for(&recipient, "cpix:", algorithm)?;
        delivery.push(delivery_data(data, "cpix:", &keys));
    }
    let name = version.names_schemes().then(|| version.name());
    writer.document(document, name, &[("ds", DS), ("enc", ENC)], &delivery, Some(&envelope))?;
    Ok(writer.finish())
}

fn known_filters(document: &Document) -> Result<()> {
    match document.usage_rules.iter().find_map(|rule| rule.other_filters.first().map(|name| (rule.kid, name)))
    {
        Some((kid, name)) => {
            Err(Error::unsupported(format!("{name} in the usage rule of key {kid} is unknown"))
                .clause("DASH-IF CPIX 2.3 §4"))
        }
        None => Ok(()),
    }
}

/// `DeliveryData` with these elements after its `DeliveryKey`; `p` is the prefix of CPIX elements.
pub(super) fn delivery_data(data: &DeliveryData, p: &str, keys: &[String]) -> String {
    let mut out = format!("<{p}DeliveryData");
    attribute(&mut out, "id", data.id.as_deref());
    attribute(&mut out, "name", data.name.as_deref());
    out.push_str(&format!(
        "><{p}DeliveryKey><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></{p}DeliveryKey>",
        base64(&data.certificate)
    ));
    keys.iter().for_each(|key| out.push_str(key));
    for (name, text) in [
        ("Description", &data.description),
        ("SendingEntity", &data.sending_entity),
        ("SenderPointOfContact", &data.sender_point_of_contact),
        ("ReceivingEntity", &data.receiving_entity),
    ] {
        if let Some(text) = text {
            out.push_str(&format!("<{p}{name}>{}</{p}{name}>", escape(text)));
        }
    }
    out.push_str(&format!("</{p}DeliveryData>"));
    out
}

/// Which elements and attributes are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// All, whatever the version.
    All,
    /// Those that the schema of the version has; the rest is warned about.
    OfVersion,
}

/// The text being written, and what was left out of it.
pub(super) struct Writer {
    pub(super) out: Zeroizing<String>,
    version: Version,
    words: Words,
    warnings: Vec<String>,
}

impl Writer {
    fn new(version: Version, words: Words) -> Self {
        Self { out: Zeroizing::new(String::new()), version, words, warnings: Vec::new() }
    }

    fn finish(mut self) -> Written {
        let bytes = Zeroizing::new(std::mem::take(&mut *self.out).into_bytes());
        Written { bytes, warnings: self.warnings }
    }

    /// The value when the version can say it; else a warning. `name` is that of the table of versions.
    pub(super) fn said<'a>(&mut self, name: &str, value: Option<&'a str>) -> Option<&'a str> {
        let lost = value.is_some() && self.words == Words::OfVersion && self.version.lacks(name);
        if lost {
            let warning = format!("{name} is left out: CPIX {} does not have it", self.version.name());
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        value.filter(|_| !lost)
    }

    /// Recipients without keys: a request for encrypted delivery.
    fn named_recipients(
        &self,
        document: &Document,
    ) -> (&'static [(&'static str, &'static str)], Vec<String>) {
        if document.delivery_data.is_empty() || document.content_keys.iter().any(|key| key.value.is_some()) {
            return (&[], Vec::new());
        }
        let recipients = document.delivery_data.iter().map(|data| delivery_data(data, "cpix:", &[]));
        (&[("ds", DS)], recipients.collect())
    }

    fn document(
        &mut self,
        document: &Document,
        version: Option<&str>,
        declarations: &[(&str, &str)],
        delivery: &[String],
        envelope: Option<&Envelope<'_>>,
    ) -> Result<()> {
        self.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<cpix:CPIX");
        attribute(&mut self.out, "xmlns:cpix", Some(CPIX));
        attribute(&mut self.out, "xmlns:pskc", Some(PSKC));
        for (prefix, uri) in declarations {
            attribute(&mut self.out, &format!("xmlns:{prefix}"), Some(uri));
        }
        attribute(&mut self.out, "id", document.id.as_deref());
        attribute(&mut self.out, "contentId", document.content_id.as_deref());
        attribute(&mut self.out, "name", document.name.as_deref());
        attribute(&mut self.out, "version", version);
        self.out.push_str(">\n");
        self.list("DeliveryDataList", delivery, |writer, data| {
            writer.out.push_str(&format!("    {data}\n"));
            Ok(())
        })?;
        self.list("ContentKeyList", &document.content_keys, |writer, key| {
            content_key(writer, key, envelope)
        })?;
        self.list("DRMSystemList", &document.drm_systems, |writer, system| {
            drm_system(writer, system);
            Ok(())
        })?;
        self.list("ContentKeyPeriodList", &document.periods, |writer, item| {
            period(writer, item);
            Ok(())
        })?;
        let rules: Vec<_> =
            document.usage_rules.iter().filter(|rule| rule.other_filters.is_empty()).collect();
        self.list("ContentKeyUsageRuleList", &rules, |writer, rule| {
            usage_rule(writer, rule);
            Ok(())
        })?;
        self.list("UpdateHistoryItemList", &document.update_history, |writer, item| {
            update_history_item(writer, item);
            Ok(())
        })?;
        self.out.push_str("</cpix:CPIX>\n");
        Ok(())
    }

    fn list<T>(
        &mut self,
        name: &str,
        items: &[T],
        write: impl Fn(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.out.push_str(&format!("  <cpix:{name}>\n"));
        items.iter().try_for_each(|item| write(self, item))?;
        self.out.push_str(&format!("  </cpix:{name}>\n"));
        Ok(())
    }
}

fn content_key(writer: &mut Writer, key: &ContentKey, envelope: Option<&Envelope<'_>>) -> Result<()> {
    let scheme = key.common_encryption_scheme.map(|scheme| scheme.to_string());
    let scheme = writer.said("ContentKey/@commonEncryptionScheme", scheme.as_deref());
    let content_id = writer.said("ContentKey/@contentId", key.content_id.as_deref());
    let has_hdcp = key.hls_hdcp_level.is_some() || key.hdcp_output_protection_data.is_some();
    let hdcp = writer.said("ContentKey/HDCPData", has_hdcp.then_some("")).is_some();
    let out = &mut *writer.out;
    out.push_str("    <cpix:ContentKey");
    attribute(out, "kid", Some(&key.kid.to_string()));
    attribute(out, "id", key.id.as_deref());
    attribute(out, "contentId", content_id);
    attribute(out, "explicitIV", key.explicit_iv.as_ref().map(|iv| base64(iv)).as_deref());
    attribute(out, "dependsOnKey", key.depends_on_key.map(|kid| kid.to_string()).as_deref());
    attribute(out, "commonEncryptionScheme", scheme);
    if key.value.is_none() && !hdcp {
        out.push_str("/>\n");
        return Ok(());
    }
    out.push_str(">\n");
    if hdcp {
        out.push_str("      <cpix:HDCPData");
        attribute(out, "HLSHDCPLevel", key.hls_hdcp_level.as_deref());
        out.push('>');
        if let Some(data) = &key.hdcp_output_protection_data {
            out.push_str(&format!(
                "<cpix:HDCPOutputProtectionData>{}</cpix:HDCPOutputProtectionData>",
                escape(data)
            ));
        }
        out.push_str("</cpix:HDCPData>\n");
    }
    if let Some(value) = &key.value {
        let secret = match envelope {
            Some(envelope) => Zeroizing::new(envelope.secret(value)?),
            None => {
                let value = Zeroizing::new(base64(value.expose()));
                Zeroizing::new(format!("<pskc:PlainValue>{}</pskc:PlainValue>", value.as_str()))
            }
        };
        out.push_str("      <cpix:Data><pskc:Secret>");
        out.push_str(&secret);
        out.push_str("</pskc:Secret></cpix:Data>\n");
    }
    out.push_str("    </cpix:ContentKey>\n");
    Ok(())
}

fn drm_system(writer: &mut Writer, system: &DrmSystem) {
    let lines = &system.hls_signaling_data;
    let hls_allowed_cpc = writer.said("DRMSystem/@HLSAllowedCPC", system.hls_allowed_cpc.as_deref());
    let robustness = writer.said("ContentProtectionData/@robustness", system.robustness.as_deref());
    let uri = writer.said("DRMSystem/URIExtXKey", system.uri_ext_x_key.as_deref());
    let hds = writer.said("DRMSystem/HDSSignalingData", system.hds_signaling_data.as_deref());
    let allowed_cpc = |text: &Option<String>, writer: &mut Writer| {
        writer.said("HLSSignalingData/@allowedCPC", text.as_deref()).map(str::to_owned)
    };
    let media_cpc = allowed_cpc(&lines.media_allowed_cpc, writer);
    let multivariant_cpc = allowed_cpc(&lines.multivariant_allowed_cpc, writer);
    let (media, multivariant) = (writer.version.media(), writer.version.multivariant());
    let out = &mut *writer.out;
    out.push_str("    <cpix:DRMSystem");
    attribute(out, "kid", Some(&system.kid.to_string()));
    attribute(out, "systemId", Some(&system.system_id.to_string()));
    attribute(out, "id", system.id.as_deref());
    attribute(out, "name", system.name.as_deref());
    attribute(out, "HLSAllowedCPC", hls_allowed_cpc);
    out.push_str(">\n");
    let encoded = |text: &Option<String>| text.as_ref().map(|text| base64(text.as_bytes()));
    child(out, "PSSH", &[], system.pssh.as_ref().map(|pssh| base64(pssh)));
    child(
        out,
        "ContentProtectionData",
        &[("robustness", robustness)],
        encoded(&system.content_protection_data),
    );
    child(out, "URIExtXKey", &[], uri.map(|uri| base64(uri.as_bytes())));
    let attributes = [("playlist", Some(media)), ("allowedCPC", media_cpc.as_deref())];
    child(out, "HLSSignalingData", &attributes, encoded(&lines.media));
    let attributes = [("playlist", Some(multivariant)), ("allowedCPC", multivariant_cpc.as_deref())];
    child(out, "HLSSignalingData", &attributes, encoded(&lines.multivariant));
    let smooth = system.smooth_streaming_protection_header_data.clone();
    child(out, "SmoothStreamingProtectionHeaderData", &[], smooth);
    child(out, "HDSSignalingData", &[], hds.map(str::to_owned));
    out.push_str("    </cpix:DRMSystem>\n");
}

fn child(out: &mut String, name: &str, attributes: &[(&str, Option<&str>)], text: Option<String>) {
    let Some(text) = text else { return };
    out.push_str(&format!("      <cpix:{name}"));
    attributes.iter().for_each(|(name, value)| attribute(out, name, *value));
    if text.is_empty() {
        out.push_str("/>\n");
    } else {
        out.push_str(&format!(">{}</cpix:{name}>\n", escape(&text)));
    }
}

pub(super) fn attribute(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.push_str(&format!(" {name}=\"{}\"", escape(value)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{FourCc, Kid, Secret, SystemId};
    use crate::cpix::{
        AudioFilter, BitrateFilter, ContentKeyPeriod, ContentKeyUsageRule, HlsSignalingData,
        UpdateHistoryItem, VideoFilter, read,
    };

    /// Text that survives XML attribute normalization and trimming.
    fn words() -> impl Strategy<Value = String> {
        "[a-z<>&'\"é:+]{1,12}"
    }

    fn optional<S: Strategy + 'static>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
    where
        S::Value: Clone,
    {
        proptest::option::of(strategy)
    }

    prop_compose! {
        fn content_key()(
            kid in any::<[u8; 16]>(),
            explicit_iv in optional(any::<[u8; 16]>()),
            scheme in optional(Just(FourCc(*b"cbcs"))),
            root in optional(any::<[u8; 16]>()),
            (id, content_id, level) in (optional(words()), optional(words()), optional(words())),
            value in optional(any::<[u8; 16]>()),
        ) -> ContentKey {
            ContentKey {
                id,
                explicit_iv,
                common_encryption_scheme: scheme,
                depends_on_key: root.map(Kid::new),
                content_id,
                hls_hdcp_level: level,
                value: value.map(Secret::new),
                ..ContentKey::new(Kid::new(kid))
            }
        }
    }

    prop_compose! {
        fn drm_system()(
            system_id in any::<[u8; 16]>(),
            kid in any::<[u8; 16]>(),
            pssh in optional(any::<Vec<u8>>()),
            content_protection_data in optional(words()),
            media in optional(Just(String::new())),
            multivariant in optional(words()),
            smooth in optional("[A-Z]{0,8}"),
            (uri, hds) in (optional(words()), optional("[A-Z]{0,8}")),
            (name, cpc) in (optional(words()), optional(words())),
        ) -> DrmSystem {
            let multivariant_allowed_cpc = multivariant.as_ref().and_then(|_| cpc.clone());
            DrmSystem {
                name,
                hls_allowed_cpc: cpc.clone(),
                pssh,
                robustness: content_protection_data.as_ref().and(cpc),
                content_protection_data,
                uri_ext_x_key: uri,
                hls_signaling_data: HlsSignalingData {
                    media,
                    multivariant,
                    multivariant_allowed_cpc,
                    media_allowed_cpc: None,
                },
                smooth_streaming_protection_header_data: smooth,
                hds_signaling_data: hds,
                ..DrmSystem::new(SystemId::new(system_id), Kid::new(kid))
            }
        }
    }

    prop_compose! {
        fn usage_rule()(
            kid in any::<[u8; 16]>(),
            intended_track_type in optional(words()),
            (min_pixels, max_pixels) in any::<(Option<u32>, Option<u32>)>(),
            (min_channels, max_channels) in any::<(Option<u32>, Option<u32>)>(),
            (hdr, wcg, min_fps, max_fps) in any::<(Option<bool>, Option<bool>, Option<u32>, Option<u32>)>(),
            (min_bitrate, max_bitrate) in any::<(Option<u64>, Option<u64>)>(),
            (video, audio, bitrate) in (0..3usize, 0..3usize, 0..3usize),
            (key_period_filters, label_filters) in
                (proptest::collection::vec(words(), 0..3), proptest::collection::vec(words(), 0..3)),
        ) -> ContentKeyUsageRule {
            let video_filter = VideoFilter { min_pixels, max_pixels, hdr, wcg, min_fps, max_fps };
            ContentKeyUsageRule {
                intended_track_type,
                key_period_filters,
                label_filters,
                video_filters: vec![video_filter; video],
                audio_filters: vec![AudioFilter { min_channels, max_channels }; audio],
                bitrate_filters: vec![BitrateFilter { min_bitrate, max_bitrate }; bitrate],
                ..ContentKeyUsageRule::new(Kid::new(kid))
            }
        }
    }

    prop_compose! {
        fn document()(
            content_id in optional(words()),
            version in optional(prop_oneof![Just("2.3".to_owned()), Just("2.4".to_owned())]),
            content_keys in proptest::collection::vec(content_key(), 0..4),
            drm_systems in proptest::collection::vec(drm_system(), 0..4),
            usage_rules in proptest::collection::vec(usage_rule(), 0..4),
            (index, label) in (any::<Option<i64>>(), optional(words())),
            periods in 0..3usize,
        ) -> Document {
            let period = ContentKeyPeriod {
                index,
                start: label.clone(),
                duration: label.clone(),
                label: label.clone(),
                ..ContentKeyPeriod::default()
            };
            let item = UpdateHistoryItem {
                update_version: "1".to_owned(),
                index: label.clone().unwrap_or_default(),
                ..UpdateHistoryItem::default()
            };
            Document {
                content_id,
                name: label,
                version,
                content_keys,
                drm_systems,
                usage_rules,
                periods: vec![period; periods],
                update_history: vec![item; periods],
                ..Document::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(document in document()) {
            let written = write(&document);
            let found = read(&written).unwrap();
            // `Debug` leaves the keys out; they are compared by themselves.
            prop_assert_eq!(format!("{found:?}"), format!("{document:?}"));
            for (found, wanted) in found.content_keys.iter().zip(&document.content_keys) {
                let bytes = |key: &ContentKey| key.value.as_ref().map(|value| *value.expose());
                prop_assert_eq!(bytes(found), bytes(wanted));
            }
        }

        #[test]
        fn a_cut_or_changed_document_never_panics(
            document in document(),
            cut in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = write(&document);
            let _ = read(&bytes[..cut.index(bytes.len())]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = read(&bytes);
        }
    }

    #[test]
    fn children_come_in_the_order_of_the_schema_and_empty_ones_ask() {
        let kid = Kid::new([0x11; 16]);
        let mut system = DrmSystem::new(SystemId::new([0x22; 16]), kid);
        system.hls_signaling_data.media = Some(String::new());
        system.pssh = Some(Vec::new());
        let document = Document {
            content_id: Some("a&b".to_owned()),
            version: Some("2.3".to_owned()),
            content_keys: vec![ContentKey {
                common_encryption_scheme: Some(FourCc(*b"cenc")),
                ..ContentKey::new(kid)
            }],
            drm_systems: vec![system],
            usage_rules: vec![ContentKeyUsageRule {
                intended_track_type: Some("ALL".to_owned()),
                video_filters: vec![VideoFilter::default()],
                audio_filters: vec![AudioFilter::default()],
                ..ContentKeyUsageRule::new(kid)
            }],
            ..Document::default()
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" contentId="a&amp;b" version="2.3">
  <cpix:ContentKeyList>
    <cpix:ContentKey kid="11111111-1111-1111-1111-111111111111" commonEncryptionScheme="cenc"/>
  </cpix:ContentKeyList>
  <cpix:DRMSystemList>
    <cpix:DRMSystem kid="11111111-1111-1111-1111-111111111111" systemId="22222222-2222-2222-2222-222222222222">
      <cpix:PSSH/>
      <cpix:HLSSignalingData playlist="media"/>
    </cpix:DRMSystem>
  </cpix:DRMSystemList>
  <cpix:ContentKeyUsageRuleList>
    <cpix:ContentKeyUsageRule kid="11111111-1111-1111-1111-111111111111" intendedTrackType="ALL">
      <cpix:VideoFilter/>
      <cpix:AudioFilter/>
    </cpix:ContentKeyUsageRule>
  </cpix:ContentKeyUsageRuleList>
</cpix:CPIX>
"#;
        assert_eq!(String::from_utf8(write(&document)).unwrap(), expected);
    }
}
