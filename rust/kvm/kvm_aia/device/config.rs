// SPDX-License-Identifier: GPL-2.0

//! The configuration, until the interrupt controllers are initialised.

use aia_core::guest::config::{
    Config,
    ConfigError, //
};
use kernel::{
    error::Error,
    prelude::*,
    sync::Mutex, //
};
use kvm_ext::VmLocked;

/// The error that user space gets.
pub(crate) fn error(error: ConfigError) -> Error {
    Error::from_errno(error.errno())
}

/// Changes the configuration. Fails with `EBUSY` if it is in use already.
pub(crate) fn configure(
    config: &Mutex<Config>,
    vm: &mut VmLocked<'_>,
    change: impl FnOnce(&mut Config) -> Result<(), ConfigError>,
) -> Result {
    if vm.is_aia_initialized() {
        return Err(EBUSY);
    }
    let mut config = config.lock();

    change(&mut config).map_err(error)?;
    vm.set_aia_sources(config.nr_sources().map_or(0, u32::from));
    Ok(())
}
