// SPDX-License-Identifier: GPL-2.0

//! Interrupt domains: who owns which interrupts of a controller.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h)
//!
//! Domains live for ever: nothing tells when the last interrupt of one is gone.

use core::ptr;

use kernel::{
    bindings,
    device::property::FwNode,
    error::from_err_ptr,
    prelude::*, //
};

use super::domain_ops::{
    DomainOps,
    Vtable, //
};
use crate::fwnode;

/// Creates a domain of `size` interrupts, the numbers 0..size, for `fwnode`. May sleep.
///
/// If it cannot be created, `host` is dropped.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::io::Mapping;
/// use kernel_ext::irq::{
///     chip, desc::Locked, domain, domain_ops::DomainOps, flow::FlowHandler, fwspec::Fwspec,
///     new::NewIrqs, trigger::Trigger, Chip, IrqData,
/// };
///
/// const SETIENUM: usize = 0x1edc;
/// const CLRIENUM: usize = 0x1fdc;
///
/// /// A controller of 32 wires.
/// struct Bank {
///     registers: Mapping,
/// }
///
/// #[vtable]
/// impl chip::Operations for Bank {
///     type Data = &'static Bank;
///
///     fn mask(data: &IrqData<&'static Bank>, _locked: &Locked) {
///         data.chip_data().registers.write(CLRIENUM, data.hwirq() as u32);
///     }
///
///     fn unmask(data: &IrqData<&'static Bank>, _locked: &Locked) {
///         data.chip_data().registers.write(SETIENUM, data.hwirq() as u32);
///     }
///
///     fn eoi(_data: &IrqData<&'static Bank>, _locked: &Locked) {}
/// }
///
/// static CHIP: Chip<&'static Bank> = Chip::new::<Bank>(c"bank", chip::flags::SKIP_SET_WAKE);
///
/// struct BankDomain;
///
/// impl DomainOps for BankDomain {
///     type Host = Bank;
///     type Data = &'static Bank;
///
///     fn alloc(
///         bank: &'static Bank,
///         new: &NewIrqs<'_, &'static Bank>,
///         spec: Option<&Fwspec>,
///     ) -> Result {
///         let (hwirq, _) = Self::translate(bank, spec.ok_or(EINVAL)?)?;
///
///         if new.count() != 1 {
///             return Err(EINVAL);
///         }
///         new.set_info(0, hwirq, &CHIP, bank, FlowHandler::FastEoi)
///             .map(|_| ())
///             .ok_or(EINVAL)
///     }
///
///     fn free(_bank: &'static Bank, _data: &IrqData<&'static Bank>) {}
///
///     fn translate(_bank: &'static Bank, spec: &Fwspec) -> Result<(usize, Trigger)> {
///         match spec.cells() {
///             [number @ 0..32] => Ok((*number as usize, Trigger::LevelHigh)),
///             _ => Err(EINVAL),
///         }
///     }
/// }
///
/// fn probe(node: &FwNode, registers: Mapping) -> Result<&'static Bank> {
///     if domain::exists_for(node) {
///         return Err(EBUSY);
///     }
///     domain::create_linear::<BankDomain>(node, 32, KBox::pin(Bank { registers }, GFP_KERNEL)?)
/// }
/// ```
pub fn create_linear<T: DomainOps>(
    fwnode: &FwNode,
    size: u32,
    host: Pin<KBox<T::Host>>,
) -> Result<&'static T::Host> {
    // SAFETY: The value is not moved out of its box.
    let host = KBox::into_raw(unsafe { Pin::into_inner_unchecked(host) });
    // SAFETY: Just made of a box, which is only made again if nothing got the reference.
    let kept: &'static T::Host = unsafe { &*host };
    let mut info = info::<T>(fwnode, kept);

    info.size = size;
    info.hwirq_max = size as usize;
    info.ops = Vtable::<T>::OPS_REF;
    // SAFETY: Everything that the structure refers to lives for ever, but for the node, which the
    // core takes a reference on.
    match from_err_ptr(unsafe { bindings::irq_domain_instantiate(&info) }) {
        Ok(_) => Ok(kept),
        Err(error) => {
            // SAFETY: There is no domain, so that no callback has seen the host.
            drop(unsafe { KBox::from_raw(host) });
            Err(error)
        }
    }
}

/// What the core is told of a domain for `fwnode`.
pub(crate) fn info<T: DomainOps>(
    fwnode: &FwNode,
    host: &'static T::Host,
) -> bindings::irq_domain_info {
    bindings::irq_domain_info {
        fwnode: fwnode::as_raw(fwnode),
        host_data: ptr::from_ref(host).cast_mut().cast(),
        ..Default::default()
    }
}

/// Whether `fwnode` already has a domain; see [`create_linear`] for an example.
pub fn exists_for(fwnode: &FwNode) -> bool {
    // SAFETY: The node is valid.
    let domain = unsafe {
        bindings::irq_find_matching_fwnode(
            fwnode::as_raw(fwnode),
            bindings::irq_domain_bus_token_DOMAIN_BUS_ANY,
        )
    };

    !domain.is_null()
}
