// SPDX-License-Identifier: GPL-2.0

//! The callbacks of interrupt domains.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h),
//! `struct irq_domain_ops`

use core::marker::PhantomData;
#[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    seq_file::SeqFile, //
};

#[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
use super::data::chip_data;
use super::{
    data::{
        ChipData,
        IrqData, //
    },
    fwspec::Fwspec,
    new::NewIrqs,
    trigger::Trigger, //
};

/// The callbacks of a domain. Unless said otherwise they may sleep.
///
/// # Examples
///
/// See [`create_linear`](super::domain::create_linear) for a domain.
///
/// Callbacks run on several CPUs at once, so that a controller is refused that only one thread may
/// use:
///
/// ```compile_fail,E0277
/// # use kernel::prelude::*;
/// # use kernel_ext::irq::{domain_ops::DomainOps, fwspec::Fwspec, new::NewIrqs, IrqData};
/// use core::cell::Cell;
///
/// struct Bank {
///     enabled: Cell<u32>,
/// }
/// struct BankDomain;
///
/// impl DomainOps for BankDomain {
///     type Host = Bank;
///     type Data = &'static u32;
/// #
/// #   fn alloc(_: &'static Bank, _: &NewIrqs<'_, &'static u32>, _: Option<&Fwspec>) -> Result {
/// #       Err(EINVAL)
/// #   }
/// #   fn free(_: &'static Bank, _: &IrqData<&'static u32>) {}
/// }
/// ```
pub trait DomainOps: Sized + 'static {
    /// The controller.
    type Host: Sync + 'static;

    /// What is stored per interrupt for the chip.
    type Data: ChipData;

    /// Sets all new interrupts up, by [`NewIrqs::set_info`]. On an error, what was set up so far
    /// must be undone. `spec` is what firmware says, in a domain that is no parent of others.
    fn alloc(
        host: &'static Self::Host,
        new: &NewIrqs<'_, Self::Data>,
        spec: Option<&Fwspec>,
    ) -> Result;

    /// The interrupt is freed. It has been shut down, and its number is used no more.
    fn free(host: &'static Self::Host, data: &IrqData<Self::Data>);

    /// Decodes a specifier of firmware: number and trigger. Who asks for the interrupt hears only
    /// that there is none, so say why.
    fn translate(_host: &'static Self::Host, _spec: &Fwspec) -> Result<(usize, Trigger)> {
        Err(EINVAL)
    }

    /// Shows the domain, or one of its interrupts, in debugfs, indented by `indent` columns. Must
    /// not sleep: the lock of the interrupt's descriptor is held.
    fn debug_show(
        _host: &'static Self::Host,
        _to: &SeqFile,
        _what: Shown<Self::Data>,
        _indent: usize,
    ) {
    }
}

/// What debugfs shows.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, seq_file::SeqFile, seq_print};
/// use kernel_ext::irq::{data::ChipWord, domain_ops::Shown};
///
/// /// As `DomainOps::debug_show()`.
/// fn debug_show(to: &SeqFile, what: Shown<ChipWord>, indent: usize) {
///     if let Shown::Interrupt(_, Some(ChipWord(word))) = what {
///         seq_print!(to, "{:indent$}word: {:#x}\n", "", word.get());
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown<D> {
    /// The domain.
    Domain,
    /// The interrupt of this Linux number with this data; with none if it is not set up yet, or not any
    /// more: its file is there before and after.
    Interrupt(u32, Option<D>),
}

/// The C callbacks of `T`.
pub(crate) struct Vtable<T>(PhantomData<T>);

impl<T: DomainOps> Vtable<T> {
    /// The callbacks of a domain whose interrupts are set up by its own number and a specifier.
    const OPS: bindings::irq_domain_ops = {
        let mut ops = Self::PARENT_OPS;

        ops.select = None;
        ops.alloc = Some(alloc_specified::<T>);
        ops.translate = Some(translate::<T>);
        ops
    };

    /// The callbacks of a domain that is only a parent of others.
    const PARENT_OPS: bindings::irq_domain_ops = {
        // SAFETY: All fields may be zero: absent callbacks.
        let mut ops: bindings::irq_domain_ops = unsafe { core::mem::zeroed() };

        ops.alloc = Some(alloc::<T>);
        ops.free = Some(free::<T>);
        ops.select = Some(bindings::msi_lib_irq_domain_select);
        #[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
        {
            ops.debug_show = Some(debug_show::<T>);
        }
        ops
    };

    pub(super) const OPS_REF: &'static bindings::irq_domain_ops = &Self::OPS;
    pub(crate) const PARENT_OPS_REF: &'static bindings::irq_domain_ops = &Self::PARENT_OPS;
}

/// The controller of a domain of `T`.
///
/// # Safety
///
/// `domain` must have been created with a `&'static T::Host` as its host data.
unsafe fn host<T: DomainOps>(domain: *mut bindings::irq_domain) -> &'static T::Host {
    // SAFETY: By the requirements of this function.
    unsafe { &*(*domain).host_data.cast::<T::Host>() }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
unsafe extern "C" fn alloc<T: DomainOps>(
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: By the requirements of this function.
    unsafe { set_up::<T>(domain, virq, count, None) }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T` without children:
/// `arg` is a specifier.
unsafe extern "C" fn alloc_specified<T: DomainOps>(
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let spec = (!arg.is_null()).then(|| unsafe { Fwspec::from_raw(arg.cast()) });

    // SAFETY: As above.
    unsafe { set_up::<T>(domain, virq, count, spec) }
}

/// # Safety
///
/// `domain` must be one of `T`, which is asked to set up these interrupts now.
unsafe fn set_up<T: DomainOps>(
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    spec: Option<&Fwspec>,
) -> c_int {
    // SAFETY: By the requirements of this function; chips of this domain have a `T::Data`.
    let new = unsafe { NewIrqs::from_raw(domain, virq, count) };

    from_result(|| {
        // SAFETY: All domains with this callback are created here.
        T::alloc(unsafe { host::<T>(domain) }, &new, spec)?;
        // Chips rely on it.
        if !new.are_set_up() {
            pr_err!("irq {}: was not set up\n", virq);
            return Err(EINVAL);
        }
        Ok(0)
    })
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
unsafe extern "C" fn free<T: DomainOps>(domain: *mut bindings::irq_domain, virq: u32, count: u32) {
    for virq in virq..virq.saturating_add(count) {
        // SAFETY: Looking up any interrupt is fine.
        let raw = unsafe { bindings::irq_domain_get_irq_data(domain, virq) };

        if raw.is_null() {
            continue;
        }
        // SAFETY: All domains with this callback are created here, and all of their interrupts
        // are set up by `NewIrqs::set_info`, which stores a `T::Data`.
        T::free(unsafe { host::<T>(domain) }, unsafe {
            IrqData::from_raw(raw)
        });
        // SAFETY: The data is valid; its chip is no longer called.
        unsafe { bindings::irq_domain_reset_irq_data(raw) };
    }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
unsafe extern "C" fn translate<T: DomainOps>(
    domain: *mut bindings::irq_domain,
    spec: *mut bindings::irq_fwspec,
    hwirq: *mut usize,
    kind: *mut u32,
) -> c_int {
    // SAFETY: All domains with this callback are created here.
    let host = unsafe { host::<T>(domain) };

    // SAFETY: The core passes a valid specifier, and places for number and trigger.
    unsafe { Fwspec::translate(spec, hwirq, kind, |spec| T::translate(host, spec)) }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
#[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
unsafe extern "C" fn debug_show<T: DomainOps>(
    to: *mut bindings::seq_file,
    domain: *mut bindings::irq_domain,
    data: *mut bindings::irq_data,
    indent: c_int,
) {
    // The core passes a domain or an interrupt, not both.
    let (domain, what) = if data.is_null() {
        (domain, Shown::Domain)
    } else {
        // SAFETY: The core holds the descriptor's lock, and the data is one of the descriptor's.
        let (domain, irq, raw) = unsafe {
            (
                ptr::addr_of!((*data).domain).read_volatile(),
                (*data).irq,
                chip_data(data),
            )
        };

        // SAFETY: What is not null was stored by `NewIrqs::set_info`, as a `T::Data`.
        let data = NonNull::new(raw).map(|raw| unsafe { T::Data::from_raw(raw) });

        (domain, Shown::Interrupt(irq, data))
    };
    if domain.is_null() {
        return;
    }
    // SAFETY: All domains with this callback are created here, and the file is valid.
    let (host, to) = unsafe { (host::<T>(domain), SeqFile::from_raw(to)) };

    T::debug_show(host, to, what, usize::try_from(indent).unwrap_or(0));
}
