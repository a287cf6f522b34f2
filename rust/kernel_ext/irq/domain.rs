// SPDX-License-Identifier: GPL-2.0

//! Interrupt domains: who owns which interrupts of a controller.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h)

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    cpumask::Cpumask,
    device::property::FwNode,
    error::{
        from_err_ptr,
        from_result, //
    },
    prelude::*,
    seq_file::SeqFile, //
};

#[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
use super::data::chip_data;
use super::{
    chip::{
        Chip,
        Trigger, //
    },
    data::{
        ChipData,
        IrqData, //
    },
    desc::Descriptor,
    fwspec::Fwspec, //
};
use crate::{
    fwnode,
    msi, //
};

/// How an interrupt flows through the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// `handle_edge_irq()`: acknowledged at the start, may arrive again meanwhile.
    Edge,
    /// `handle_fasteoi_irq()`: one call at the end.
    FastEoi,
}

impl Flow {
    pub(crate) const fn handler(self) -> bindings::irq_flow_handler_t {
        match self {
            Flow::Edge => Some(bindings::handle_edge_irq),
            Flow::FastEoi => Some(bindings::handle_fasteoi_irq),
        }
    }
}

/// The callbacks of a domain. Unless said otherwise they may sleep.
pub trait Ops: Sized + 'static {
    /// The controller.
    type Host: Sync + 'static;

    /// What is stored per interrupt for the chip.
    type Data: ChipData;

    /// Sets new interrupts up. On an error, what was set up so far must be undone.
    fn alloc(host: &'static Self::Host, new: &New<'_, Self::Data>) -> Result;

    /// The interrupt is freed. It has been shut down, and its number is used no more.
    fn free(host: &'static Self::Host, data: &IrqData<Self::Data>);

    /// Decodes a specifier of firmware: number and trigger. Who asks for the interrupt hears only
    /// that there is none, so say why.
    fn translate(_host: &'static Self::Host, _spec: &Fwspec) -> Result<(usize, Trigger)> {
        Err(EINVAL)
    }

    /// Shows the domain, or one of its interrupts, in debugfs, indented by `indent` columns.
    fn debug_show(
        _host: &'static Self::Host,
        _to: &SeqFile,
        _what: Shown<Self::Data>,
        _indent: usize,
    ) {
    }
}

/// What debugfs shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown<D> {
    /// The domain.
    Domain,
    /// An interrupt with this data; with none if it is not set up yet, or not any more: its file is
    /// there before and after.
    Interrupt(Option<D>),
}

/// The interrupts that [`Ops::alloc`] sets up.
pub struct New<'a, D> {
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    arg: *mut c_void,
    _life: PhantomData<(&'a (), D)>,
}

impl<D: ChipData> New<'_, D> {
    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The Linux interrupt number of the first one; the others follow.
    pub fn irq(&self) -> u32 {
        self.virq
    }

    /// The descriptor of number `index`.
    ///
    /// It has to be forgotten when the interrupt is freed, see [`Descriptor`].
    pub fn descriptor(&self, index: u32) -> Option<Descriptor> {
        if index >= self.count {
            return None;
        }
        // SAFETY: The core has allocated the descriptor, and it tells by `Ops::free`.
        unsafe { Descriptor::of(self.virq + index) }
    }

    /// The CPUs that number `index` may go to: the default ones, or those that its device has asked
    /// for. User space may change them at any time.
    pub fn affinity(&self, index: u32) -> Option<&Cpumask> {
        if index >= self.count {
            return None;
        }
        // CAST: Interrupt numbers are small.
        // SAFETY: Looking up any number is fine.
        let mask = unsafe { bindings::irq_get_affinity_mask((self.virq + index) as i32) };

        if mask.is_null() {
            return None;
        }
        // SAFETY: The mask is part of the descriptor, which the core has allocated. C code reads it
        // while it changes, too.
        Some(unsafe { Cpumask::from_raw(mask) })
    }

    /// The specifier, in domains whose interrupts are allocated by one.
    ///
    /// # Safety
    ///
    /// The domain must be such a one: no hierarchy child that passes something else.
    pub unsafe fn fwspec(&self) -> Option<&Fwspec> {
        if self.arg.is_null() {
            return None;
        }
        // SAFETY: By the requirements of this function.
        Some(unsafe { Fwspec::from_raw(self.arg.cast()) })
    }

    /// Sets number `index` up: its number in the domain, its chip, and how it flows.
    pub fn set_info(
        &self,
        index: u32,
        hwirq: usize,
        chip: &'static Chip<D>,
        data: D,
        flow: Flow,
    ) -> Option<&IrqData<D>> {
        if index >= self.count {
            return None;
        }
        let virq = self.virq + index;

        // SAFETY: The core has allocated the interrupt for this domain; the chip lives for ever.
        let raw = unsafe {
            bindings::irq_domain_set_info(
                self.domain,
                virq,
                hwirq,
                &chip.raw,
                data.into_raw().as_ptr(),
                flow.handler(),
                ptr::null_mut(),
                ptr::null(),
            );
            bindings::irq_set_noprobe(virq);
            bindings::irq_domain_get_irq_data(self.domain, virq)
        };

        if raw.is_null() {
            return None;
        }
        // SAFETY: The data is valid, and a `D` was just stored.
        Some(unsafe { IrqData::from_raw(raw) })
    }
}

/// The C callbacks of `T`.
pub struct Vtable<T>(PhantomData<T>);

impl<T: Ops> Vtable<T> {
    /// The callbacks of a domain whose interrupts are set up by its own number and a specifier.
    pub const OPS: bindings::irq_domain_ops = {
        let mut ops = Self::PARENT_OPS;

        ops.select = None;
        ops.translate = Some(translate::<T>);
        ops
    };

    /// The callbacks of a domain that is only a parent of others.
    pub(crate) const PARENT_OPS: bindings::irq_domain_ops = {
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

    const OPS_REF: &'static bindings::irq_domain_ops = &Self::OPS;
    const PARENT_OPS_REF: &'static bindings::irq_domain_ops = &Self::PARENT_OPS;
}

/// The controller of a domain of `T`.
///
/// # Safety
///
/// `domain` must have been created with a `&'static T::Host` as its host data.
unsafe fn host<T: Ops>(domain: *mut bindings::irq_domain) -> &'static T::Host {
    // SAFETY: By the requirements of this function.
    unsafe { &*(*domain).host_data.cast::<T::Host>() }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
unsafe extern "C" fn alloc<T: Ops>(
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    arg: *mut c_void,
) -> c_int {
    let new = New {
        domain,
        virq,
        count,
        arg,
        _life: PhantomData,
    };

    from_result(|| {
        // SAFETY: All domains with this callback are created here.
        T::alloc(unsafe { host::<T>(domain) }, &new)?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of a domain of `T`.
unsafe extern "C" fn free<T: Ops>(domain: *mut bindings::irq_domain, virq: u32, count: u32) {
    for virq in virq..virq.saturating_add(count) {
        // SAFETY: Looking up any interrupt is fine.
        let raw = unsafe { bindings::irq_domain_get_irq_data(domain, virq) };

        if raw.is_null() {
            continue;
        }
        // SAFETY: All domains with this callback are created here, and all of their interrupts
        // are set up by `New::set_info`, which stores a `T::Data`.
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
unsafe extern "C" fn translate<T: Ops>(
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
unsafe extern "C" fn debug_show<T: Ops>(
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
        let (domain, raw) = unsafe {
            (
                ptr::addr_of!((*data).domain).read_volatile(),
                chip_data(data),
            )
        };

        // SAFETY: What is not null was stored by `New::set_info`, as a `T::Data`.
        let data = NonNull::new(raw).map(|raw| unsafe { T::Data::from_raw(raw) });

        (domain, Shown::Interrupt(data))
    };
    if domain.is_null() {
        return;
    }
    // SAFETY: All domains with this callback are created here, and the file is valid.
    let (host, to) = unsafe { (host::<T>(domain), SeqFile::from_raw(to)) };

    T::debug_show(host, to, what, usize::try_from(indent).unwrap_or(0));
}

/// An interrupt domain; removed when dropped.
///
/// # Invariants
///
/// The domain exists, with the callbacks of `T`.
pub struct Domain<T> {
    raw: NonNull<bindings::irq_domain>,
    _ops: PhantomData<T>,
}

// SAFETY: Domains are not bound to a CPU or task, and all that can be done with one is locked.
unsafe impl<T> Send for Domain<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Domain<T> {}

impl<T: Ops> Domain<T> {
    /// Creates a domain of `size` interrupts, the numbers 0..size, for `fwnode`. May sleep.
    ///
    /// The domain and its controller live for ever; if it cannot be created, `host` is dropped.
    pub fn linear(
        fwnode: &FwNode,
        size: u32,
        host: Pin<KBox<T::Host>>,
    ) -> Result<&'static T::Host> {
        // SAFETY: The value is not moved out of its box.
        let host = KBox::into_raw(unsafe { Pin::into_inner_unchecked(host) });
        // SAFETY: Just made of a box, which is only made again if nothing got the reference.
        let kept: &'static T::Host = unsafe { &*host };
        let mut info = Self::info(fwnode, kept);

        info.size = size;
        info.hwirq_max = size as usize;
        info.ops = Vtable::<T>::OPS_REF;
        // SAFETY: Everything that the structure refers to lives for ever, but for the node, which
        // the core takes a reference on.
        match from_err_ptr(unsafe { bindings::irq_domain_instantiate(&info) }) {
            Ok(_) => Ok(kept),
            Err(error) => {
                // SAFETY: There is no domain, so that no callback has seen the host.
                drop(unsafe { KBox::from_raw(host) });
                Err(error)
            }
        }
    }

    /// Creates the domain of an MSI controller for `fwnode`: the parent of the domains of all
    /// devices that send MSIs to it. May sleep.
    pub fn msi_parent<P: msi::Parent>(fwnode: &FwNode, host: &'static T::Host) -> Result<Self> {
        let mut info = Self::info(fwnode, host);

        info.ops = Vtable::<T>::PARENT_OPS_REF;
        // SAFETY: As in `linear`.
        let raw = unsafe {
            bindings::msi_create_parent_irq_domain(&mut info, msi::ParentVtable::<P>::OPS_REF)
        };

        // INVARIANT: Just created.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            _ops: PhantomData,
        })
    }

    fn info(fwnode: &FwNode, host: &'static T::Host) -> bindings::irq_domain_info {
        bindings::irq_domain_info {
            fwnode: fwnode::as_raw(fwnode),
            host_data: ptr::from_ref(host).cast_mut().cast(),
            ..Default::default()
        }
    }

    /// Keeps the domain for ever.
    pub fn leak(self) {
        core::mem::forget(self);
    }
}

impl<T> Drop for Domain<T> {
    fn drop(&mut self) {
        // SAFETY: The domain exists by the type invariant.
        unsafe { bindings::irq_domain_remove(self.raw.as_ptr()) };
    }
}
