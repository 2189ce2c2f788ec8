//! What decrypted samples show of their keys, key by key and codec by codec — ISO/IEC 23001-7 §9.

use crate::base::{Error, KeyStore, Kid, Result};
use crate::codec::{Evidence, Verdict};

/// What is shown of each key by each codec.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    shown: Vec<Proof>,
    /// The keys whose values are others than those in the DRM data of the media.
    refuted: Vec<Kid>,
    /// Constant IVs that the media names and that samples need not show.
    ivs: Vec<(Kid, [u8; 16])>,
}

#[derive(Clone, Debug)]
struct Proof {
    /// `None` of a key that a playlist names without an id.
    kid: Option<Kid>,
    codec: &'static str,
    evidence: Evidence,
}

impl Proofs {
    /// Adds what is shown of a key by samples of a codec.
    pub fn add(&mut self, kid: Option<Kid>, codec: &'static str, evidence: &Evidence) {
        match self.shown.iter_mut().find(|proof| proof.kid == kid && proof.codec == codec) {
            Some(known) => known.evidence.add(evidence),
            None => self.shown.push(Proof { kid, codec, evidence: *evidence }),
        }
    }

    /// Adds that samples of a codec are known to be right.
    pub fn prove(&mut self, kid: Option<Kid>, codec: &'static str) {
        let mut evidence = Evidence::default();
        evidence.prove();
        self.add(kid, codec, &evidence);
    }

    /// Adds what is shown elsewhere.
    pub fn merge(&mut self, other: &Self) {
        other.shown.iter().for_each(|proof| self.add(proof.kid, proof.codec, &proof.evidence));
        other.refuted.iter().for_each(|kid| self.refute(*kid));
        other.ivs.iter().for_each(|(kid, iv)| self.note_iv(*kid, *iv));
    }

    /// Notes a constant IV that samples need not show.
    pub fn note_iv(&mut self, kid: Kid, iv: [u8; 16]) {
        if !self.ivs.contains(&(kid, iv)) {
            self.ivs.push((kid, iv));
        }
    }

    /// Takes the IVs of the media for right that are those which came with the keys.
    pub fn settle_ivs(&mut self, key_store: &dyn KeyStore) {
        for Proof { kid, evidence, .. } in &mut self.shown {
            let Some(kid) = *kid else { continue };
            let mut ivs = self.ivs.iter().filter(|(of, _)| *of == kid).peekable();
            if ivs.peek().is_some() && ivs.all(|(_, iv)| key_store.iv(kid) == Some(*iv)) {
                evidence.show_iv();
            }
        }
    }

    /// Notes that the DRM data of the media has the checksum of another key.
    pub fn refute(&mut self, kid: Kid) {
        if !self.refuted.contains(&kid) {
            self.refuted.push(kid);
        }
    }

    /// Whether no sample was decrypted.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// What is said of each codec and key: which they are, the verdict, and why.
    pub fn verdicts(&self) -> impl Iterator<Item = (String, Verdict, String)> + '_ {
        self.shown.iter().map(|Proof { kid, codec, evidence }| {
            let key = kid.map_or_else(|| "the key of the playlist".to_owned(), |kid| format!("key {kid}"));
            (format!("{codec} under {key}"), evidence.verdict(), evidence.describe())
        })
    }

    /// Checks that no key is another than the one that samples were encrypted with, by what some of them show.
    ///
    /// # Errors
    /// [`Kind::Verification`](crate::base::Kind::Verification) when one is.
    pub fn check(&self) -> Result<()> {
        match self.verdicts().find(|(_, verdict, _)| *verdict == Verdict::Wrong) {
            Some((what, _, why)) => Err(not_the_key(&format!("{what}: {why}"))),
            None => Ok(()),
        }
    }

    /// The same when all samples were seen: then a checksum counts where they say nothing, and the IVs that came with the
    /// keys.
    ///
    /// # Errors
    /// As [`Proofs::check`].
    pub fn check_all(&mut self, key_store: &dyn KeyStore) -> Result<()> {
        self.settle_ivs(key_store);
        self.check()?;
        let is_proven = |kid: &Kid| {
            let of_kid = self.shown.iter().filter(|proof| proof.kid == Some(*kid));
            of_kid.into_iter().any(|proof| proof.evidence.verdict() == Verdict::Right)
        };
        match self.refuted.iter().find(|kid| !is_proven(kid)) {
            Some(kid) => Err(not_the_key(&format!("key {kid}: the pssh has the checksum of another key"))),
            None => Ok(()),
        }
    }

    /// The codecs and keys of which it cannot be told whether the key is right, and why.
    pub fn open(&self) -> Vec<String> {
        let open = self.verdicts().filter(|(_, verdict, _)| *verdict == Verdict::Open);
        open.map(|(what, _, why)| format!("{what}: {why}")).collect()
    }
}

fn not_the_key(why: &str) -> Error {
    Error::verification(format!("not the right key: {why}"))
        .hint("give the key that it was encrypted with, and the IV if that comes with the key")
}
