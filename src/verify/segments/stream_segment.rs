//! A segment of elementary streams with sample encryption, or in the clear beside such — RFC 8216bis §3.1.1, §3.1.3,
//! §4.4.4.4; Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming.

use crate::base::env::Source;
use crate::base::{Kid, Kind, Result, Secret};
use crate::package::{Proofs, sample_aes_segment};
use crate::protect::{Operation, SampleAes};

use super::elementary::Segment;
use crate::verify::findings::{Findings, found_or_error};
use crate::verify::proven::key_fits;

/// Streams of less bytes may have nothing that is encrypted.
const MAX_SHORT: usize = 4096;

/// What a segment is checked with.
pub(in crate::verify) struct StreamCheck<'a> {
    pub(in crate::verify) place: &'a str,
    /// Whether it stands under a key.
    pub(in crate::verify) is_protected: bool,
    /// What decrypts it, if that is known, and the id of the key.
    pub(in crate::verify) key: Option<&'a (SampleAes, Option<Kid>)>,
    /// What it must be then.
    pub(in crate::verify) clear: Option<&'a dyn Source>,
    pub(in crate::verify) findings: &'a mut Findings,
    /// What is shown of the key.
    pub(in crate::verify) proofs: &'a mut Proofs,
}

impl StreamCheck<'_> {
    /// Holds a segment to the rules and returns how many samples it has.
    pub(in crate::verify) fn run(&mut self, part: &dyn Source) -> Result<u64> {
        let read = Segment::read(part);
        let Some(segment) = found_or_error("stream-parse", read, self.place, self.findings)? else {
            return Ok(0);
        };
        let (faults, counted) = &segment.counters;
        for fault in faults {
            self.findings.check("ts-continuity", false, &self.place, fault, &"one more than before");
        }
        for _ in faults.len() as u64..*counted {
            self.findings.check("ts-continuity", true, &self.place, &"", &"");
        }
        let samples = segment.streams.iter().map(super::elementary::Stream::samples).sum();
        let source =
            self.clear.map(Segment::read).transpose().map_err(|error| error.at("the clear source"))?;
        if let Some(source) = &source {
            let fault = segment.packets.fault(&source.packets);
            let (holds, found) = (fault.is_none(), fault.as_deref().unwrap_or_default());
            self.findings.check("source-equal", holds, &self.place, &found, &"the packets of the source");
            let holds = segment.others == source.others;
            let found = "other tables or private streams";
            self.findings.check("source-equal", holds, &self.place, &found, &"those of the source");
        }
        if !self.is_protected {
            let holds = segment.streams.iter().all(|stream| !stream.is_encrypted);
            self.findings.check("hls-key-missing", holds, &self.place, &"encrypted streams", &"an EXT-X-KEY");
            self.compare(&segment, source.as_ref());
        } else if self.signals(&segment) {
            self.decrypt(part, &segment, source.as_ref())?;
        }
        Ok(samples)
    }

    /// Every stream that sample encryption is for says that it is encrypted, and there is one.
    fn signals(&mut self, segment: &Segment) -> bool {
        let expected = "an encrypted stream";
        let mut known = segment.streams.iter().filter(|stream| stream.elementary.is_some()).peekable();
        if known.peek().is_none() {
            return self.findings.check(
                "stream-signal",
                false,
                &self.place,
                &"no stream of its codecs",
                &expected,
            );
        }
        let mut holds = true;
        for stream in known {
            let place = format!("{}: PID {:#x}", self.place, stream.pid);
            let name = stream.elementary.map_or("", |elementary| elementary.name());
            let found = format!("{name} that is said to be clear");
            let is_encrypted = stream.is_encrypted;
            holds &= self.findings.check("stream-signal", is_encrypted, &place, &found, &expected);
            if let Some(fault) = stream.fault {
                self.findings.check("stream-signal", false, &place, &fault, &expected);
            }
        }
        holds
    }

    /// Without the key another one serves: where units begin and end does not depend on it.
    fn decrypt(&mut self, part: &dyn Source, segment: &Segment, source: Option<&Segment>) -> Result<()> {
        let any = SampleAes::new(&Secret::new([0; 16]), [0; 16]);
        let mut out = Vec::new();
        let key = self.key.map_or(&any, |(key, _)| key);
        let done = sample_aes_segment(part, &mut out, key, Operation::Decrypt);
        if let Err(error) = &done
            && error.kind() == Kind::Unsupported
        {
            self.findings.unchecked(format!("payload of {}: {error}", self.place));
            return Ok(());
        }
        let Some(done) = found_or_error("stream-parse", done, self.place, self.findings)? else {
            return Ok(());
        };
        self.never_clear(segment, source);
        let Some((_, kid)) = self.key else { return Ok(()) };
        let mut proofs = Proofs::default();
        for (elementary, evidence) in &done.evidence {
            proofs.add(*kid, elementary.name(), evidence);
        }
        let read = Segment::read(&out);
        let Some(decrypted) = found_or_error("payload-parses", read, self.place, self.findings)? else {
            return Ok(());
        };
        for stream in &decrypted.streams {
            let fault = stream.nal_fault();
            let place = format!("{}: PID {:#x}", self.place, stream.pid);
            let found = fault.as_deref().unwrap_or_default();
            self.findings.check("payload-parses", fault.is_none(), &place, &found, &"NAL units");
        }
        if self.compare(&decrypted, source) {
            // What is that of the source is as it should be, marks or not.
            proofs = Proofs::default();
            done.evidence.iter().for_each(|(elementary, _)| proofs.prove(*kid, elementary.name()));
        }
        key_fits(&proofs, &self.place, self.findings);
        self.proofs.merge(&proofs);
        Ok(())
    }

    /// What is said to be encrypted is not what it is in the clear source.
    fn never_clear(&mut self, segment: &Segment, source: Option<&Segment>) {
        let Some(source) = source else { return };
        for (stream, clear) in segment.streams.iter().zip(&source.streams) {
            if stream.is_encrypted && stream.data.len() >= MAX_SHORT {
                let place = format!("{}: PID {:#x}", self.place, stream.pid);
                let holds = stream.data != clear.data;
                self.findings.check("never-clear", holds, &place, &"the bytes of the source", &"other bytes");
            }
        }
    }

    /// The same streams of the same bytes; packets may differ. Says whether they are.
    fn compare(&mut self, segment: &Segment, source: Option<&Segment>) -> bool {
        let Some(source) = source else { return false };
        let lengths = |segment: &Segment| -> Vec<_> {
            segment.streams.iter().map(|stream| (stream.pid, stream.elementary, stream.data.len())).collect()
        };
        let (found, expected) = (lengths(segment), lengths(source));
        let mut holds = found == expected;
        let texts = (format!("{found:?}"), format!("{expected:?}"));
        if !self.findings.check("payload-samples", holds, &self.place, &texts.0, &texts.1) {
            return false;
        }
        let same = segment.maps == source.maps;
        let found = "another program map";
        self.findings.check("source-equal", same, &self.place, &found, &"that of the source");
        for (stream, clear) in segment.streams.iter().zip(&source.streams) {
            let differs = stream.data.iter().zip(&clear.data).position(|(left, right)| left != right);
            let place = format!("{}: PID {:#x}", self.place, stream.pid);
            let found = format!("another byte {} of the stream", differs.unwrap_or_default());
            let expected = "the bytes of the source";
            holds &= self.findings.check("payload-equal", differs.is_none(), &place, &found, &expected);
            let same = stream.headers == clear.headers;
            self.findings.check("source-equal", same, &place, &"other headers of PES packets", &expected);
        }
        holds
    }
}
