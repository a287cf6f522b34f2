// SPDX-License-Identifier: GPL-2.0

//! Interrupt entry: the chained handler of the hart's external interrupt.
//!
//! What it does is in [`aia_core::vector::entry`].

use aia_core::{
    eix,
    ids::Eiid,
    vector::{
        entry,
        slot::SlotOwner, //
    },
};
use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use kernel_ext::{
    ipi_mux,
    irq::chained::{
        ChainedContext,
        ChainedHandler, //
    },
};

use crate::{
    descriptor::descriptor,
    hart::ThisHart,
    published, //
};

/// The handler, and one run of it.
pub(crate) struct ExternalInterrupt<'a> {
    hart: ThisHart<'a>,
    flow: &'a ChainedContext<'a>,
}

impl ChainedHandler for ExternalInterrupt<'_> {
    fn handle(flow: &ChainedContext<'_>) {
        if let Some(imsic) = published::imsic() {
            entry::handle(&ExternalInterrupt {
                hart: ThisHart::new(imsic, flow.irqs_off()),
                flow,
            });
        }
    }
}

impl<'a> entry::Entry for ExternalInterrupt<'a> {
    type Machine = ThisHart<'a>;

    #[inline(always)]
    fn machine(&self) -> &ThisHart<'a> {
        &self.hart
    }

    #[inline(always)]
    fn claim(&self) -> Option<Eiid> {
        let top = self.hart.imsic().aia.claim_topei(self.flow.irqs_off());

        // CAST: As wide as the hart.
        eix::topei_id(top as u64)
    }

    #[inline(always)]
    fn ipis(&self) {
        ipi_mux::process(self.flow);
    }

    #[inline(always)]
    fn deliver(&self, owner: SlotOwner) {
        if let Some(descriptor) = descriptor(owner, self.flow.irqs_off()) {
            descriptor.handle(self.flow);
        }
    }

    fn stray(&self, eiid: Eiid) -> bool {
        self.hart.local().strays.count(eiid, second())
    }

    fn switched_off(&self, eiid: Eiid) {
        pr_warn!(
            "CPU {}: too many stray MSIs, ID {} is off\n",
            CpuId::current().as_u32(),
            eiid.get()
        );
    }
}

/// The current second, of any clock.
fn second() -> u32 {
    let jiffies = kernel_ext::time::jiffies();

    // CAST: May wrap.
    (jiffies / kernel_ext::time::HZ) as u32
}
