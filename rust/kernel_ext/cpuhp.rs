// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug states.
//!
//! C header: [`include/linux/cpuhotplug.h`](srctree/include/linux/cpuhotplug.h)

use kernel::{
    bindings,
    cpu::CpuId,
    error::from_result,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*, //
};

/// What to do when a CPU comes and goes, in the STARTING section: on that CPU, interrupts off.
pub trait Starting {
    /// `cpu`, the running one, comes up. It cannot be stopped any more, see [`Prepare`].
    fn starting(cpu: CpuId, irqs_off: &LocalInterruptDisabled);

    /// `cpu`, the running one, goes down. Its interrupts have been moved away.
    fn dying(cpu: CpuId, irqs_off: &LocalInterruptDisabled);
}

/// Whether a CPU may come up, in the PREPARE section: on another CPU, before it starts.
pub trait Prepare {
    /// `cpu` shall come up. An error keeps it down. May sleep.
    fn prepare(cpu: CpuId) -> Result;
}

/// What to do when a CPU comes and goes, in the ONLINE section: on that CPU, by a thread.
pub trait Online {
    /// `cpu`, the running one, has come up.
    fn online(cpu: CpuId, irqs_off: &LocalInterruptDisabled);

    /// `cpu`, the running one, is about to go down. Its interrupts have not been moved away yet.
    fn offline(cpu: CpuId, irqs_off: &LocalInterruptDisabled);
}

/// A state of the STARTING section that is made for one controller.
#[derive(Clone, Copy)]
pub struct State(bindings::cpuhp_state);

impl State {
    /// That of the IMSIC.
    pub const RISCV_IMSIC_STARTING: Self =
        Self(bindings::cpuhp_state_CPUHP_AP_IRQ_RISCV_IMSIC_STARTING);
}

/// A registered state; its callbacks are removed when it is dropped, after [`Starting::dying`] ran
/// on each online CPU.
///
/// # Invariants
///
/// The callbacks are set up for `state`.
pub struct Registration {
    state: bindings::cpuhp_state,
}

impl Registration {
    /// Sets up `state` with the callbacks of `T`, and runs [`Starting::starting`] on all CPUs that are
    /// online. May sleep.
    ///
    /// Fails with `EBUSY` if it is set up already.
    pub fn new<T: Starting>(State(state): State, name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives for ever, and both callbacks have the signature that the state
        // asks for.
        let ret = unsafe {
            bindings::cpuhp_setup_state(
                state,
                name.as_char_ptr(),
                Some(starting::<T>),
                Some(dying::<T>),
            )
        };

        kernel::error::to_result(ret)?;
        // INVARIANT: Just set up.
        Ok(Self { state })
    }

    /// Sets up a state of its own in the PREPARE section with the callback of `T`, and runs it for
    /// all CPUs that are online; if it fails for one, nothing is set up. May sleep.
    pub fn new_prepare<T: Prepare>(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives for ever, and the callback has the signature that the state asks
        // for.
        let state = unsafe {
            bindings::cpuhp_setup_state(
                bindings::cpuhp_state_CPUHP_BP_PREPARE_DYN,
                name.as_char_ptr(),
                Some(prepare::<T>),
                None,
            )
        };

        kernel::error::to_result(state)?;
        // CAST: Not negative, as just checked.
        // INVARIANT: Just set up.
        Ok(Self {
            state: state as bindings::cpuhp_state,
        })
    }

    /// Sets up a state of its own in the ONLINE section with the callbacks of `T`, and runs
    /// [`Online::online`] on all CPUs that are online. May sleep.
    pub fn new_online<T: Online>(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives for ever, and both callbacks have the signature that the state
        // asks for.
        let state = unsafe {
            bindings::cpuhp_setup_state(
                bindings::cpuhp_state_CPUHP_AP_ONLINE_DYN,
                name.as_char_ptr(),
                Some(online::<T>),
                Some(offline::<T>),
            )
        };

        kernel::error::to_result(state)?;
        // CAST: Not negative, as just checked.
        // INVARIANT: Just set up.
        Ok(Self {
            state: state as bindings::cpuhp_state,
        })
    }

    /// Keeps the callbacks for ever.
    pub fn leak(self) {
        core::mem::forget(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Set up, by the type invariant.
        unsafe { bindings::cpuhp_remove_state(self.state) };
    }
}

/// # Safety
///
/// Only for the hotplug core, which calls it on the CPU itself.
unsafe extern "C" fn starting<T: Starting>(cpu: u32) -> c_int {
    // SAFETY: Callbacks of the STARTING section run with interrupts off.
    let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::starting(cpu, irqs_off);
    }
    0
}

/// # Safety
///
/// Only for the hotplug core, which calls it on the CPU itself.
unsafe extern "C" fn dying<T: Starting>(cpu: u32) -> c_int {
    // SAFETY: Callbacks of the STARTING section run with interrupts off.
    let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::dying(cpu, irqs_off);
    }
    0
}

/// # Safety
///
/// Only for the hotplug core, which calls it on the CPU itself.
unsafe extern "C" fn online<T: Online>(cpu: u32) -> c_int {
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::online(cpu, &local_interrupt_disable());
    }
    0
}

/// # Safety
///
/// Only for the hotplug core, which calls it on the CPU itself.
unsafe extern "C" fn offline<T: Online>(cpu: u32) -> c_int {
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::offline(cpu, &local_interrupt_disable());
    }
    0
}

/// # Safety
///
/// Only for the hotplug core.
unsafe extern "C" fn prepare<T: Prepare>(cpu: u32) -> c_int {
    from_result(|| {
        T::prepare(CpuId::from_u32(cpu).ok_or(EINVAL)?)?;
        Ok(0)
    })
}
