//! MPEG-2 transport streams — ISO/IEC 13818-1: packets kept as bytes, and typed views of what they carry.
//!
//! Nothing here knows what encryption is for: who edits a stream asks for views, and packets that nobody
//! edits stay the bytes they were.

mod packet;
mod pes;
mod psi;
mod section;

pub use packet::{PACKET_BYTES, Packet, Packets, SYNC_BYTE};
pub use pes::PesHeader;
pub use psi::{Descriptors, PROGRAM_MAP_TABLE, Pat, Pmt, PmtStream, crc_32};
pub use section::{SectionReader, section_payloads, sections};

/// `PID` of the program association table: table 2-3.
pub const PAT_PID: u16 = 0;
/// `PID` of null packets: table 2-3.
pub const NULL_PID: u16 = 0x1fff;
