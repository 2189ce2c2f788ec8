//! The parameter sets in force, by id — ITU-T H.265 §7.4.2.4.2.

use super::pps::Pps;
use super::sps::{Color, Sps};
use super::{NalUnitHeader, nal_unit_type};
use crate::base::Result;
use crate::base::bits::BitReader;
use crate::codec::nal::{absent, lookup, replace};

/// Greatest sps_seq_parameter_set_id: §7.4.3.2.1.
pub(super) const MAX_SPS_ID: u32 = 15;
/// Greatest pps_pic_parameter_set_id: §7.4.3.3.1.
pub(super) const MAX_PPS_ID: u32 = 63;

/// Sequence and picture parameter sets of the base layer. Slice segment headers of that layer need
/// nothing of video parameter sets.
#[derive(Debug)]
pub(super) struct ParameterSets {
    sps: [Option<Box<Sps>>; MAX_SPS_ID as usize + 1],
    pps: [Option<Pps>; MAX_PPS_ID as usize + 1],
}

impl Default for ParameterSets {
    fn default() -> Self {
        Self { sps: [const { None }; MAX_SPS_ID as usize + 1], pps: [None; MAX_PPS_ID as usize + 1] }
    }
}

impl ParameterSets {
    /// Takes in a NAL unit, given without its header, if it is a parameter set of the base layer.
    pub(super) fn update(&mut self, header: NalUnitHeader, payload: &[u8]) -> Result<()> {
        let mut reader = BitReader::new(payload);
        match header.nal_unit_type {
            _ if header.nuh_layer_id != 0 => {}
            nal_unit_type::SPS => {
                let (id, sps) = Sps::parse(&mut reader).map_err(|e| e.at("seq_parameter_set_rbsp"))?;
                replace(&mut self.sps, id, Box::new(sps));
            }
            nal_unit_type::PPS => {
                let (id, pps) = Pps::parse(&mut reader).map_err(|e| e.at("pic_parameter_set_rbsp"))?;
                replace(&mut self.pps, id, pps);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the first sequence parameter set says of color.
    pub(super) fn color(&self) -> Option<Color> {
        self.sps.iter().flatten().next().map(|sps| sps.color)
    }

    /// The parameter sets that a slice with this slice_pic_parameter_set_id uses.
    pub(super) fn activate(&self, slice_pic_parameter_set_id: u32) -> Result<(&Sps, &Pps)> {
        let clause = "ITU-T H.265 §7.4.2.4.2";
        let pps = lookup(&self.pps, slice_pic_parameter_set_id)
            .ok_or_else(|| absent("slice_pic_parameter_set_id", slice_pic_parameter_set_id).clause(clause))?;
        let sps = lookup(&self.sps, pps.seq_parameter_set_id)
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
