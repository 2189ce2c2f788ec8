//! What transport packets say besides the streams in them, held to the clear source — ISO/IEC 13818-1 §2.4.3.2 to §2.4.3.5.
//!
//! Sample encryption changes the length of units, so that payloads move between the packets of a unit and stuffing
//! with them; a unit that no longer fits has packets more, in sixteens, after which `continuity_counter` is where it was.
//! All else of a packet is as it was.

use std::collections::BTreeMap;

use crate::ts::Packet;

/// Packets after which `continuity_counter` repeats: §2.4.3.3.
const COUNTER_PERIOD: usize = 16;

/// What a packet says besides its payload and stuffing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    starts_unit: bool,
    priority: bool,
    scrambling: u8,
    counter: u8,
    /// The adaptation field without stuffing.
    field: Vec<u8>,
}

impl Head {
    fn of(packet: &Packet<'_>) -> Self {
        // Of a field whose lengths do not add up, stuffing cannot be told from what it says.
        let field = packet.essential_field();
        let said = field.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
        Self {
            starts_unit: packet.payload_unit_start(),
            priority: packet.transport_priority(),
            scrambling: packet.transport_scrambling_control(),
            counter: packet.continuity_counter(),
            field: field.get(..said).unwrap_or_default().to_vec(),
        }
    }

    /// Whether a packet that a unit has more may be so.
    fn is_plain(&self) -> bool {
        !self.starts_unit && !self.priority && self.field.is_empty()
    }
}

/// The packets of one `PID`.
#[derive(Default)]
struct OfPid {
    /// Those with a payload, unit by unit.
    units: Vec<Vec<Head>>,
    /// Those without, which no payload moves through.
    others: Vec<Head>,
}

/// The packets of a segment by `PID`, null packets left out: they may come and go.
#[derive(Default)]
pub(in crate::verify) struct PacketHeads(BTreeMap<u16, OfPid>);

impl PacketHeads {
    /// Takes in the next packet.
    pub(in crate::verify) fn add(&mut self, packet: &Packet<'_>) {
        let of_pid = self.0.entry(packet.pid()).or_default();
        if packet.payload().is_none() {
            of_pid.others.push(Head::of(packet));
            return;
        }
        if packet.payload_unit_start() || of_pid.units.is_empty() {
            of_pid.units.push(Vec::new());
        }
        if let Some(unit) = of_pid.units.last_mut() {
            unit.push(Head::of(packet));
        }
    }

    /// A map of encrypted streams lies in one packet; before it may have gone on in the next, which then begins none.
    pub(in crate::verify) fn join_units(&mut self, pid: u16) {
        let Some(of_pid) = self.0.get_mut(&pid) else { return };
        of_pid.units = vec![of_pid.units.concat()];
        of_pid.units.iter_mut().flatten().for_each(|head| head.starts_unit = false);
    }

    /// Where they are other packets than those of the source, if anywhere.
    pub(in crate::verify) fn fault(&self, source: &Self) -> Option<String> {
        let pids = |heads: &Self| heads.0.keys().copied().collect::<Vec<_>>();
        let (found, expected) = (pids(self), pids(source));
        if found != expected {
            return Some(format!("packets of PIDs {found:x?} instead of {expected:x?}"));
        }
        let faults = self.0.iter().zip(source.0.values());
        faults.into_iter().find_map(|((pid, found), expected)| {
            found.fault(expected).map(|fault| format!("PID {pid:#x}: {fault}"))
        })
    }
}

impl OfPid {
    fn fault(&self, source: &Self) -> Option<String> {
        if self.others != source.others {
            return Some("other packets without a payload".into());
        }
        if self.units.len() != source.units.len() {
            return Some(format!("{} units instead of {}", self.units.len(), source.units.len()));
        }
        let units = self.units.iter().zip(&source.units).enumerate();
        units.into_iter().find_map(|(number, (found, expected))| {
            let differs = found.iter().zip(expected).position(|(left, right)| left != right);
            if let Some(at) = differs {
                return Some(format!("packet {} of unit {} has another header", at + 1, number + 1));
            }
            let common = found.len().min(expected.len());
            let more = found.iter().skip(common).chain(expected.iter().skip(common));
            let holds = found.len().abs_diff(expected.len()).is_multiple_of(COUNTER_PERIOD)
                && more.into_iter().all(Head::is_plain);
            (!holds).then(|| {
                let counts = (found.len(), expected.len());
                format!(
                    "unit {} has {} packets instead of {}, or sixteens more",
                    number + 1,
                    counts.0,
                    counts.1
                )
            })
        })
    }
}
