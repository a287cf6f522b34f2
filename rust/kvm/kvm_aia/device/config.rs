// SPDX-License-Identifier: GPL-2.0

//! The configuration, which C keeps.

use aia_core::guest::config::{
    raw::RawConfig,
    Config,
    ConfigError, //
};
use kernel::{
    error::Error,
    prelude::*, //
};
use kvm_ext::{
    AiaConfig,
    VmLocked, //
};

use crate::state::{
    host::HostAia,
    limits::limits, //
};

/// The error that user space gets.
pub(crate) fn error(error: ConfigError) -> Error {
    Error::from_errno(error.errno())
}

/// What C keeps, as the pure logic knows it.
fn from_c(config: AiaConfig) -> RawConfig {
    RawConfig {
        mode: config.mode,
        nr_ids: config.nr_ids,
        nr_sources: config.nr_sources,
        nr_group_bits: config.nr_group_bits,
        nr_group_shift: config.nr_group_shift,
        nr_hart_bits: config.nr_hart_bits,
        nr_guest_bits: config.nr_guest_bits,
        aplic_addr: config.aplic_addr,
        extensions: config.extensions,
    }
}

fn to_c(config: Config) -> AiaConfig {
    let raw = RawConfig::from(config);

    AiaConfig {
        mode: raw.mode,
        nr_ids: raw.nr_ids,
        nr_sources: raw.nr_sources,
        nr_group_bits: raw.nr_group_bits,
        nr_group_shift: raw.nr_group_shift,
        nr_hart_bits: raw.nr_hart_bits,
        nr_guest_bits: raw.nr_guest_bits,
        aplic_addr: raw.aplic_addr,
        extensions: raw.extensions,
    }
}

/// The configuration.
pub(crate) fn config(vm: &VmLocked<'_>) -> Result<Config> {
    Config::try_from(from_c(vm.config())).map_err(error)
}

/// Sets what a new virtual machine starts with. Nobody else knows it yet.
pub(crate) fn set_defaults(host: &HostAia, mut vm: VmLocked<'_>) {
    vm.set_config(&to_c(Config::new(&limits(host))));
}

/// Changes the configuration. Fails with `EBUSY` if it is in use already.
pub(crate) fn configure(
    mut vm: VmLocked<'_>,
    change: impl FnOnce(&mut Config) -> Result<(), ConfigError>,
) -> Result {
    if vm.is_aia_initialized() {
        return Err(EBUSY);
    }
    let mut config = config(&vm)?;

    change(&mut config).map_err(error)?;
    vm.set_config(&to_c(config));
    Ok(())
}
