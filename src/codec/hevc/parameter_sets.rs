//! The parameter sets in force, by id — ITU-T H.265 §7.4.2.4.2.

use super::pps::Pps;
use super::sps::Sps;
use super::vps::{self, SecondLayer};
use super::{NalUnitHeader, nal_unit_type};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};
use crate::codec::VideoInfo;
use crate::codec::nal::{absent, lookup, replace};

/// Greatest sps_seq_parameter_set_id: §7.4.3.2.1.
pub(super) const MAX_SPS_ID: u32 = 15;
/// Greatest pps_pic_parameter_set_id: §7.4.3.3.1.
pub(super) const MAX_PPS_ID: u32 = 63;

/// Sequence and picture parameter sets of one layer.
#[derive(Debug)]
struct Layer {
    sps: [Option<Box<Sps>>; MAX_SPS_ID as usize + 1],
    pps: [Option<Pps>; MAX_PPS_ID as usize + 1],
}

impl Default for Layer {
    fn default() -> Self {
        Self { sps: [const { None }; MAX_SPS_ID as usize + 1], pps: [None; MAX_PPS_ID as usize + 1] }
    }
}

/// Parameter sets of the base layer, and of a second view. Slice segment headers of the base layer need nothing of video
/// parameter sets.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    base: Layer,
    second: Option<Box<Layer>>,
    /// What the last video parameter set says of a second layer.
    second_layer: Option<SecondLayer>,
}

impl ParameterSets {
    /// Takes in a NAL unit, given without its header, if it is a parameter set.
    pub(super) fn update(&mut self, header: NalUnitHeader, payload: &[u8]) -> Result<()> {
        let mut reader = BitReader::new(payload);
        let is_base = header.nuh_layer_id == 0;
        match header.nal_unit_type {
            // What cannot be read is missed where a slice of a second layer needs it.
            nal_unit_type::VPS if is_base => self.second_layer = vps::parse(&mut reader).ok().flatten(),
            nal_unit_type::SPS | nal_unit_type::PPS if !is_base && !self.is_second(header) => {}
            nal_unit_type::SPS => {
                let second_layer = self.second_layer.as_ref().filter(|_| !is_base);
                let (id, sps) =
                    Sps::parse(&mut reader, second_layer).map_err(|e| e.at("seq_parameter_set_rbsp"))?;
                replace(&mut self.layer_mut(is_base).sps, id, Box::new(sps));
            }
            nal_unit_type::PPS => {
                let (id, pps) = Pps::parse(&mut reader).map_err(|e| e.at("pic_parameter_set_rbsp"))?;
                replace(&mut self.layer_mut(is_base).pps, id, pps);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_second(&self, header: NalUnitHeader) -> bool {
        self.second_layer.as_ref().is_some_and(|layer| layer.nuh_layer_id == header.nuh_layer_id)
    }

    fn layer_mut(&mut self, is_base: bool) -> &mut Layer {
        if is_base { &mut self.base } else { self.second.get_or_insert_default() }
    }

    /// The layer of a slice beside the base layer.
    ///
    /// # Errors
    /// When it is not the second of two views.
    pub(super) fn second_layer(&self, header: NalUnitHeader) -> Result<Option<&SecondLayer>> {
        if header.nuh_layer_id == 0 {
            return Ok(None);
        }
        let layer = self.second_layer.as_ref().filter(|_| self.is_second(header));
        layer.map(Some).ok_or_else(|| {
            Error::unsupported(format!(
                "a slice of nuh_layer_id {}, which no video parameter set of two layers describes",
                header.nuh_layer_id
            ))
            .clause("ITU-T H.265 §F.7.3.6")
            .hint("two views (MV-HEVC) are known; extract the base layer")
        })
    }

    /// What the first sequence parameter set says of pictures.
    pub(super) fn video(&self) -> Option<VideoInfo> {
        self.base.sps.iter().flatten().next().map(|sps| sps.video.clone())
    }

    /// The parameter sets that a slice with this slice_pic_parameter_set_id uses: those of its layer, or of the base.
    pub(super) fn activate(&self, slice_pic_parameter_set_id: u32, is_base: bool) -> Result<(&Sps, &Pps)> {
        let clause = "ITU-T H.265 §7.4.2.4.2";
        let second = self.second.as_deref().filter(|_| !is_base);
        let layers = || second.into_iter().chain([&self.base]);
        let pps = layers()
            .find_map(|layer| lookup(&layer.pps, slice_pic_parameter_set_id))
            .ok_or_else(|| absent("slice_pic_parameter_set_id", slice_pic_parameter_set_id).clause(clause))?;
        let sps = layers()
            .find_map(|layer| lookup(&layer.sps, pps.seq_parameter_set_id))
            .ok_or_else(|| absent("pps_seq_parameter_set_id", pps.seq_parameter_set_id).clause(clause))?;
        Ok((sps, pps))
    }
}

/// `scaling_list_data()`, passed over: §7.3.4.
pub(super) fn scaling_list_data(reader: &mut BitReader<'_>) -> Result<()> {
    for size_id in 0..4_u32 {
        for _matrix_id in (0..6).step_by(if size_id == 3 { 3 } else { 1 }) {
            let scaling_list_pred_mode_flag = reader.bit()?;
            if !scaling_list_pred_mode_flag {
                reader.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size_id > 1 {
                reader.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1_u32 << (4 + (size_id << 1))) {
                reader.se()?; // scaling_list_delta_coef
            }
        }
    }
    Ok(())
}
