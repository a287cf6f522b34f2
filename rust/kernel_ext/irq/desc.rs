// SPDX-License-Identifier: GPL-2.0

//! Interrupt descriptors.
//!
//! C header: [`include/linux/irqdesc.h`](srctree/include/linux/irqdesc.h)

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

use super::chained;

/// The descriptor of an interrupt: what a controller hands an interrupt to.
///
/// Descriptors are freed after an RCU grace period. Whoever stores its [address](Self::addr) has to
/// forget that before its domain is asked to free the interrupt; a handler that read it just before
/// then still finishes in time, as it runs with interrupts off.
///
/// # Examples
///
/// A table of those whose interrupts are claimed by number:
///
/// ```
/// use kernel::sync::atomic::{Acquire, Atomic, Release};
/// use kernel_ext::irq::{chained::ChainedContext, Descriptor};
///
/// struct Table([Atomic<usize>; 64]);
///
/// impl Table {
///     /// Called when the domain sets interrupt `id` up.
///     fn set(&self, id: usize, desc: Descriptor<'_>) {
///         self.0[id].store(desc.addr(), Release);
///     }
///
///     /// Called when the domain frees it, before the interrupt core does.
///     fn forget(&self, id: usize) {
///         self.0[id].store(0, Release);
///     }
///
///     fn handle(&self, id: usize, flow: &ChainedContext<'_>) {
///         // SAFETY: `forget` was called if the interrupt was freed. Interrupts are off as long as
///         // there is `flow`.
///         if let Some(desc) = unsafe { Descriptor::from_addr(self.0[id].load(Acquire)) } {
///             desc.handle(flow);
///         }
///     }
/// }
/// ```
///
/// A descriptor is refused for longer than its interrupt is there for sure, which is, in a callback
/// of the domain, as long as that runs:
///
/// ```compile_fail,E0521
/// # use kernel::prelude::*;
/// # use kernel_ext::irq::{fwspec::Fwspec, new::NewIrqs};
/// use kernel_ext::irq::{data::ChipWord, domain_ops::DomainOps, Descriptor, IrqData};
///
/// struct Host;
/// struct Domain;
///
/// fn remember(_: Descriptor<'static>) {}
///
/// impl DomainOps for Domain {
///     type Host = Host;
///     type Data = ChipWord;
///
/// #   fn alloc(_: &'static Host, _: &NewIrqs<'_, ChipWord>, _: Option<&Fwspec>) -> Result {
/// #       Err(EINVAL)
/// #   }
///     fn free(_host: &'static Host, data: &IrqData<ChipWord>) {
///         remember(data.descriptor());
///     }
/// }
/// ```
///
/// An address alone proves nothing, so that making a descriptor of it is left to who keeps
/// addresses as said above:
///
/// ```compile_fail,E0133
/// # use kernel_ext::irq::Descriptor;
/// fn descriptor<'a>(addr: usize) -> Option<Descriptor<'a>> {
///     Descriptor::from_addr(addr)
/// }
/// ```
///
/// Flow handlers run in hardirq context, inside the flow of the interrupt that they arrived by;
/// with interrupts off alone they cannot be called:
///
/// ```compile_fail,E0308
/// # use kernel_ext::irq::Descriptor;
/// use kernel::interrupt::local_interrupt_disable;
///
/// fn raise(desc: Descriptor<'_>) {
///     desc.handle(&local_interrupt_disable());
/// }
/// ```
///
/// # Invariants
///
/// The descriptor exists for `'a`.
#[derive(Clone, Copy)]
pub struct Descriptor<'a>(NonNull<bindings::irq_desc>, PhantomData<&'a ()>);

impl<'a> Descriptor<'a> {
    /// The descriptor that `data` belongs to.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_data(data: *mut bindings::irq_data) -> Self {
        // SAFETY: By the requirements of this function; all data have a descriptor.
        let desc = unsafe { NonNull::new_unchecked(bindings::irq_data_to_desc(data)) };

        // INVARIANT: By the requirements of this function.
        Self(desc, PhantomData)
    }

    /// Makes a descriptor of an address from [`Self::addr`].
    ///
    /// # Safety
    ///
    /// The address must have been forgotten before the interrupt is freed, in the sense of the
    /// type's documentation, and interrupts must be off for `'a`.
    #[inline(always)]
    pub unsafe fn from_addr(addr: usize) -> Option<Self> {
        // INVARIANT: By the requirements of this function.
        NonNull::new(addr as *mut bindings::irq_desc).map(|desc| Self(desc, PhantomData))
    }

    /// The address of the descriptor: not zero, and even.
    #[inline]
    pub fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }

    #[inline]
    pub(super) fn as_raw(self) -> *mut bindings::irq_desc {
        self.0.as_ptr()
    }

    /// Whether the interrupt's flow is a chained handler, which the core calls without the descriptor's
    /// lock.
    pub(super) fn is_chained(self) -> bool {
        // What `__irq_do_set_handler()` sets for these, and an interrupt that was requested has not.
        let chained = bindings::IRQ_NOREQUEST | bindings::IRQ_NOTHREAD;

        // SAFETY: The descriptor is valid by the type invariant. The flags change while the handler is
        // set only, which does not run as yet.
        let flags = unsafe { (*self.as_raw()).status_use_accessors };

        flags & chained == chained
    }

    /// Runs the flow handler of the interrupt, in the flow of the interrupt that it arrived by.
    #[inline(always)]
    pub fn handle(self, _flow: &chained::ChainedContext<'_>) {
        // SAFETY: The descriptor is valid by the type invariant, and `ChainedContext` proves
        // hardirq context.
        unsafe { bindings::generic_handle_irq_desc(self.0.as_ptr()) };
    }
}

/// The lock of the descriptor of the interrupt that a callback is about is held, with local
/// interrupts off; or the kernel has panicked, and nobody else runs; or the callback is part of the flow of
/// a chained handler, which the core does not lock
/// ([`IrqData::move_pending`](super::IrqData::move_pending) does).
///
/// # Examples
///
/// It is a token of [`LocalInterruptDisabled`], too:
///
/// ```
/// use kernel::sync::atomic::{Atomic, Relaxed};
/// use kernel_ext::{irq::desc::Locked, percpu::PerCpu};
///
/// fn count(masked: &PerCpu<Atomic<u64>>, locked: &Locked) {
///     let here = masked.here(locked);
///
///     here.store(here.load(Relaxed) + 1, Relaxed);
/// }
/// ```
///
/// But not the other way round. Only the interrupt core's callbacks get one; safe code cannot make
/// it:
///
/// ```compile_fail,E0423
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::irq::desc::Locked;
///
/// let locked = Locked(local_interrupt_disable());
/// ```
///
/// Nor can unsafe code of a driver, which never takes that lock itself:
///
/// ```compile_fail,E0624
/// use kernel_ext::irq::desc::Locked;
///
/// // SAFETY: There is nothing that says that the lock is held.
/// let locked = unsafe { Locked::assume() };
/// ```
#[repr(transparent)]
pub struct Locked(LocalInterruptDisabled);

impl Locked {
    /// Stands for what the caller knows.
    ///
    /// # Safety
    ///
    /// For `'a`, local interrupts must be off and nobody else may run what takes the lock: it is held, or the
    /// kernel has panicked, or the interrupt is in a chained flow, which is one flow at a time.
    #[inline(always)]
    pub(super) unsafe fn assume<'a>() -> &'a Self {
        // SAFETY: By the requirements of this function.
        let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

        // SAFETY: A transparent wrapper.
        unsafe { &*ptr::from_ref(irqs_off).cast() }
    }
}

impl Locked {
    /// Whether the kernel has panicked, so that who holds another lock may never give it back.
    pub fn in_panic(&self) -> bool {
        // SAFETY: Any context.
        unsafe { bindings::panic_in_progress() }
    }
}

impl Deref for Locked {
    type Target = LocalInterruptDisabled;

    #[inline(always)]
    fn deref(&self) -> &LocalInterruptDisabled {
        &self.0
    }
}
