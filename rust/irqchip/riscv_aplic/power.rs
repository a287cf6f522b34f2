// SPDX-License-Identifier: GPL-2.0

//! APLICs without power: when the system sleeps, or as long as nobody uses them.

use kernel::{
    device::{
        Core,
        Device, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    pm_domain::{
        self,
        Powered, //
    },
    syscore::{
        self,
        Syscore, //
    }, //
};

use crate::{
    direct,
    msi, //
};

/// All APLICs sleep when the system does. The interrupt files are there again before they are.
struct Sleep;

static SLEEP: Syscore<Sleep> = Syscore::new();

impl syscore::Operations for Sleep {
    fn suspend(_irqs_off: &LocalInterruptDisabled) {
        direct::published::APLICS
            .iter()
            .for_each(Powered::power_off);
        msi::published::APLICS.iter().for_each(Powered::power_off);
    }

    fn resume(_irqs_off: &LocalInterruptDisabled) {
        direct::published::APLICS.iter().for_each(Powered::power_on);
        msi::published::APLICS.iter().for_each(Powered::power_on);
    }
}

/// Lets `aplic`, which is published and delivers from now on, outlive times without power.
pub(crate) fn outlive<T: Powered>(dev: &Device<Core<'_>>, aplic: &'static T) {
    SLEEP.register();

    if let Err(error) = pm_domain::follow(dev, aplic) {
        dev_warn!(dev, "cannot follow its power domain: {:?}\n", error);
    }
}
