//! A plan as bytes that are stored and handed on, in JSON: RFC 8259. The keys are in it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::assignment::TrackId;
use super::key_address::KeyAddress;
use super::schedule::{MAX_PERIODS, Period, Schedule};
use super::{KeyId, Plan, PlannedKey, Treatment};
use crate::base::id::{hex, parse_16};
use crate::base::{Error, Kid, Result, Secret};
use crate::cpix::DrmSystem;
use crate::drm;
use crate::protect::{Iv, Scheme, constant_iv};
use crate::xml::{self, Node};

/// The layout. A plan of another one was stored by another version of this program.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPlan {
    version: u32,
    treatment: StoredTreatment,
    schedule: Schedule,
    /// How many crypto periods there are.
    periods: usize,
    keys: Vec<StoredKey>,
    /// Which key, by its place among them, a track has in a crypto period.
    key_of: Vec<(Period, TrackId, usize)>,
    warnings: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum StoredTreatment {
    Samples { scheme: String },
    Aes128 { key_uri: Option<String>, encrypts_maps: bool },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    kid: Kid,
    value: KeyText,
    /// The IV that its source or the operator gave, in hex.
    iv: Option<String>,
    address: Option<KeyAddress>,
    systems: Vec<DrmSystem>,
    hdcp_level: Option<String>,
    output_protection: Vec<String>,
}

/// The value of a key in hex.
struct KeyText(Secret<16>);

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let value = parse_16(&text).ok_or_else(|| de::Error::custom("a key that is not 32 hex digits"))?;
        Ok(Self(Secret::new(value)))
    }
}

/// The error for what no plan that was stored can be.
fn damaged(what: &str) -> Error {
    Error::input(format!("a stored plan with {what}")).hint("it was damaged or changed: make it again")
}

impl Plan {
    /// The plan as bytes. [`Plan::from_bytes`] of them protects any segment on any machine as this plan does.
    ///
    /// They have the keys: who reads them can decrypt everything that the plan protects. Store and send them as keys
    /// are stored and sent. They are wiped when they are dropped.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        let treatment = match &self.treatment {
            Treatment::Samples(scheme) => StoredTreatment::Samples { scheme: scheme.name.to_owned() },
            Treatment::Aes128 { key_uri, encrypts_maps } => {
                StoredTreatment::Aes128 { key_uri: key_uri.clone(), encrypts_maps: *encrypts_maps }
            }
        };
        let keys = self.keys.iter().map(|key| StoredKey {
            kid: key.kid,
            value: KeyText(key.value.clone()),
            iv: key.vector.map(|iv| hex(&iv)),
            address: key.address.clone(),
            systems: key.systems.iter().map(|(_, data)| data.clone()).collect(),
            hdcp_level: key.hdcp_level.clone(),
            output_protection: key.output_protection.iter().map(xml::Element::to_text).collect(),
        });
        let stored = StoredPlan {
            version: VERSION,
            treatment,
            schedule: self.schedule.clone(),
            periods: self.periods,
            keys: keys.collect(),
            key_of: self.key_of.iter().map(|((period, track), key)| (*period, *track, key.0)).collect(),
            warnings: self.warnings.clone(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Zeroizing::new(bytes))
    }

    /// The plan that was stored as these bytes.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) when they are not those of a plan, or of one of another version. No
    /// error repeats what is in them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut stored: StoredPlan = serde_json::from_slice(bytes).map_err(|error| {
            Error::input(format!("no stored plan: line {}, column {}", error.line(), error.column()))
                .hint("give the bytes as they were written; those of another version are made again")
        })?;
        if stored.version != VERSION {
            return Err(Error::input(format!(
                "a stored plan of layout {}, expected {VERSION}",
                stored.version
            ))
            .hint("it is of another version of this program: make it again"));
        }
        let most = usize::try_from(MAX_PERIODS).unwrap_or(usize::MAX);
        if !(1..=most).contains(&stored.periods) {
            return Err(damaged("a number of crypto periods that there cannot be"));
        }
        let treatment = match &stored.treatment {
            StoredTreatment::Samples { scheme } => Treatment::Samples(Scheme::find(scheme)?),
            StoredTreatment::Aes128 { key_uri, encrypts_maps } => {
                Treatment::Aes128 { key_uri: key_uri.clone(), encrypts_maps: *encrypts_maps }
            }
        };
        let mut keys: Vec<PlannedKey> = Vec::with_capacity(stored.keys.len());
        let mut ivs: HashMap<[u8; 16], Iv> = HashMap::new();
        for key in std::mem::take(&mut stored.keys) {
            let mut key = planned(key, &treatment)?;
            // What is encrypted under one value is counted together.
            let counted = ivs.entry(*key.value.expose()).or_insert_with(|| key.iv.clone());
            key.iv = key.iv.clone().counted_with(counted);
            keys.push(key);
        }
        let mut key_of = BTreeMap::new();
        for (period, track, key) in std::mem::take(&mut stored.key_of) {
            if key >= keys.len() || period.number() >= stored.periods {
                return Err(damaged("a key or crypto period that is not there"));
            }
            key_of.insert((period, track), KeyId(key));
        }
        let StoredPlan { schedule, periods, warnings, .. } = stored;
        let plan = Self { treatment, schedule, keys, key_of, periods, warnings };
        plan.check_uris()?;
        Ok(plan)
    }
}

/// A key as it was planned.
fn planned(stored: StoredKey, treatment: &Treatment) -> Result<PlannedKey> {
    let StoredKey { kid, value: KeyText(value), iv, address, systems, hdcp_level, output_protection } =
        stored;
    let vector = iv.map(|text| parse_16(&text).ok_or_else(|| damaged("an IV that is not 32 hex digits")));
    let vector = vector.transpose()?;
    let iv = match treatment {
        Treatment::Samples(scheme) => Iv::of(scheme, kid, &value, vector),
        Treatment::Aes128 { .. } if address.is_none() => return Err(damaged("a key without an address")),
        Treatment::Aes128 { .. } => Iv::Constant(vector.unwrap_or_else(|| constant_iv(kid, &value))),
    };
    let mut elements = Vec::new();
    for node in output_protection.iter().map(|text| xml::parse_fragment(text)).collect::<Result<Vec<_>>>()? {
        elements.extend(node.into_iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Raw(_) => None,
        }));
    }
    let systems = systems.into_iter().map(|data| (drm::of_id(data.system_id), data)).collect();
    let key =
        PlannedKey { kid, value, vector, iv, address, systems, hdcp_level, output_protection: elements };
    key.limits().check().map_err(|error| error.at(format_args!("key {kid}")))?;
    Ok(key)
}
