// SPDX-License-Identifier: GPL-2.0

//! How interrupts flow through the core.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `irq_flow_handler_t`

use kernel::bindings;

/// How an interrupt flows through the core; see [`NewIrqs`](super::new::NewIrqs) for an example.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowHandler {
    /// `handle_edge_irq()`: acknowledged at the start, may arrive again meanwhile.
    Edge,
    /// `handle_fasteoi_irq()`: one call at the end.
    FastEoi,
}

impl FlowHandler {
    /// The handler of C.
    pub(crate) const fn as_raw(self) -> bindings::irq_flow_handler_t {
        match self {
            Self::Edge => Some(bindings::handle_edge_irq),
            Self::FastEoi => Some(bindings::handle_fasteoi_irq),
        }
    }
}
