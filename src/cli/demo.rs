//! placeholder
use super::args::DemoArgs;
pub(super) fn run(_: &DemoArgs) -> crate::base::Result<()> {
    Ok(())
}
