//! placeholder
use super::args::KeyServerArgs;
pub(super) fn run(_: &KeyServerArgs) -> crate::base::Result<()> {
    Ok(())
}
