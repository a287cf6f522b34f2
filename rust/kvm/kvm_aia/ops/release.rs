// SPDX-License-Identifier: GPL-2.0

//! A vCPU goes away.

use aia_core::guest::imsic::release;
use kvm_ext::Vcpu;

use crate::state::{
    handle::VcpuImsicRef,
    imsic::VcpuImsic,
    undisturbed::Undisturbed, //
};

impl VcpuImsic {
    /// The vCPU goes away: gives its guest file back, and waits for whoever still uses the vCPU.
    pub(crate) fn destroy(&self, vcpu: &Vcpu) {
        let _undisturbed = Undisturbed::new(self.host);

        release::destroy(VcpuImsicRef::new(vcpu, self));
    }
}
