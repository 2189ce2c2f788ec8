//! What the first sequence parameter set of a byte stream says — ITU-T H.264 §7.3.2.1.1, ISO/IEC 14496-15 §E.3.

use super::parameter_sets::picture;
use super::{NalUnitHeader, nal_unit_type};
use crate::base::Result;
use crate::base::bytes::Reader;
use crate::codec::StreamInfo;
use crate::codec::byte_stream::nal_units;

/// What the first sequence parameter set of an access unit in byte stream format says.
pub(in crate::codec) fn byte_stream_facts(access_unit: &[u8]) -> Result<Option<StreamInfo>> {
    let units = nal_units(access_unit).filter_map(|range| access_unit.get(range));
    for unit in units {
        let [first, seq_parameter_set @ ..] = unit else { continue };
        if NalUnitHeader::parse(*first)?.nal_unit_type != nal_unit_type::SPS {
            continue;
        }
        let profile_compatibility_level = Reader::new(seq_parameter_set).u24()?;
        let picture = picture(seq_parameter_set).map_err(|e| e.at("seq_parameter_set"))?;
        let rfc6381 = format!("avc1.{profile_compatibility_level:06x}");
        return Ok(Some(StreamInfo {
            rfc6381,
            picture: Some(picture.size),
            color: picture.info.color_info(),
            ..StreamInfo::default()
        }));
    }
    Ok(None)
}
