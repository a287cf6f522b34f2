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
///
/// See [`Registration`] for an example.
pub trait Starting {
    /// `cpu`, the running one, comes up. It cannot be stopped any more, see [`Prepare`].
    fn starting(cpu: CpuId, irqs_off: &LocalInterruptDisabled);

    /// `cpu`, the running one, goes down. Its interrupts have been moved away.
    fn dying(cpu: CpuId, irqs_off: &LocalInterruptDisabled);
}

/// Whether a CPU may come up, in the PREPARE section: on another CPU, before it starts.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, prelude::*};
/// use kernel_ext::cpuhp::{Prepare, Registration};
///
/// /// Whether the controller has something for `cpu`.
/// fn has_target(_cpu: CpuId) -> bool {
///     true
/// }
///
/// struct Hotplug;
///
/// impl Prepare for Hotplug {
///     fn prepare(cpu: CpuId) -> Result {
///         if !has_target(cpu) {
///             return Err(ENXIO);
///         }
///         Ok(())
///     }
/// }
///
/// # fn example() -> Result {
/// let hotplug = Registration::new_prepare::<Hotplug>(c"irqchip/example:prepare")?;
/// # Ok(())
/// # }
/// ```
pub trait Prepare {
    /// `cpu` shall come up. An error keeps it down. May sleep.
    fn prepare(cpu: CpuId) -> Result;
}

/// What to do when a CPU comes and goes, in the ONLINE section: on that CPU, by a thread.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::cpuhp::{Online, Registration};
///
/// struct Hotplug;
///
/// impl Online for Hotplug {
///     fn online(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {
///         // Lets guest external interrupts interrupt this CPU.
///     }
///
///     fn offline(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {
///         // Keeps them from doing so.
///     }
/// }
///
/// # fn example() -> Result {
/// let hotplug = Registration::new_online::<Hotplug>(c"example:online")?;
/// # Ok(())
/// # }
/// ```
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
/// # Examples
///
/// The interrupt of a controller that is per CPU, in its own state:
///
/// ```
/// use kernel::{cpu::CpuId, interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::cpuhp::{Registration, Starting, State};
///
/// struct Hotplug;
///
/// impl Starting for Hotplug {
///     fn starting(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {
///         // Lets the interrupt file deliver.
///     }
///
///     fn dying(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {
///         // Keeps it from doing so.
///     }
/// }
///
/// # fn example() -> Result {
/// let hotplug =
///     Registration::new::<Hotplug>(State::RISCV_IMSIC_STARTING, c"irqchip/example:starting")?;
///
/// // Nothing can fail any more, and the controller stays for ever.
/// hotplug.leak();
/// # Ok(())
/// # }
/// ```
///
/// Only the states of the STARTING section have callbacks that run on the CPU itself with
/// interrupts off, so the number of another one cannot be passed:
///
/// ```compile_fail,E0423
/// use kernel::bindings;
/// use kernel_ext::cpuhp::State;
///
/// let state = State(bindings::cpuhp_state_CPUHP_AP_ONLINE);
/// ```
///
/// # Invariants
///
/// The callbacks are set up for `state`.
pub struct Registration {
    state: bindings::cpuhp_state,
}

impl Registration {
    /// Sets up `state` with the callbacks of `T`, and runs [`Starting::starting`] on all CPUs that
    /// are online. May sleep.
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
    // Before there are threads for hotplug, it runs with interrupts as they are.
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::starting(cpu, &local_interrupt_disable());
    }
    0
}

/// # Safety
///
/// Only for the hotplug core, which calls it on the CPU itself.
unsafe extern "C" fn dying<T: Starting>(cpu: u32) -> c_int {
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::dying(cpu, &local_interrupt_disable());
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
