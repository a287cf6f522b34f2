// SPDX-License-Identifier: GPL-2.0

//! Power domains of devices.
//!
//! C header: [`include/linux/pm_domain.h`](srctree/include/linux/pm_domain.h)

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
use kernel::{
    bindings,
    error::to_result,
    sync::{
        aref::ARef,
        rcu, //
    }, //
};
use kernel::{
    device::{
        Core,
        Device, //
    },
    prelude::*, //
};

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
use crate::{
    fwnode,
    irqflags::are_interrupts_off, //
};

/// What may lose its registers when its power is switched off.
///
/// Neither may sleep.
pub trait Powered: Sync {
    /// Power is about to go.
    fn power_off(&self);

    /// Power is back.
    fn power_on(&self);
}

/// What is told of a power domain.
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
struct Follower<T: 'static> {
    block: bindings::notifier_block,
    target: &'static T,
}

/// Lets the power domain of `dev`, an interrupt controller with an interrupt domain that is being
/// probed, be off as long as none of its interrupts is requested; `target` is told of it from now on.
/// Interrupt handlers that run when it is told so have ended when power goes. May sleep.
///
/// Returns whether a device tree gives it one.
///
/// # Examples
///
/// ```
/// use kernel::{device::{Core, Device}, prelude::*};
/// use kernel_ext::pm_domain::{self, Powered};
///
/// struct Controller;
///
/// impl Powered for Controller {
///     fn power_off(&self) {
///         // Saves the registers.
///     }
///
///     fn power_on(&self) {
///         // Writes them.
///     }
/// }
///
/// fn probe(dev: &Device<Core<'_>>, controller: &'static Controller) -> Result {
///     if pm_domain::follow(dev, controller)? {
///         dev_info!(dev, "without power as long as it is not used\n");
///     }
///     Ok(())
/// }
/// ```
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
pub fn follow<T: Powered>(dev: &Device<Core<'_>>, target: &'static T) -> Result<bool> {
    let Some(node) = dev.fwnode().filter(|node| node.is_of_node()) else {
        return Ok(false);
    };
    // CAST: `Device` is a transparent wrapper of an opaque `struct device`.
    let raw: *mut bindings::device = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: The device is valid, and nobody changes its domain while it is probed.
    if unsafe { (*raw).pm_domain }.is_null() {
        return Ok(false);
    }
    let follower = KBox::new(
        Follower {
            block: bindings::notifier_block {
                notifier_call: Some(notify::<T>),
                ..Default::default()
            },
            target,
        },
        GFP_KERNEL,
    )?;
    let follower = KBox::into_raw(follower);

    // SAFETY: The block lives for ever, or until it turns out that it is not registered.
    let ret = unsafe { bindings::dev_pm_genpd_add_notifier(raw, &raw mut (*follower).block) };
    if let Err(error) = to_result(ret) {
        // SAFETY: Just made of a box, and nobody has it.
        drop(unsafe { KBox::from_raw(follower) });
        return Err(error);
    }

    // What follows refers to the device for ever, also if it is unbound.
    core::mem::forget(ARef::<Device>::from(dev));

    // SAFETY: The device and its node are valid; the interrupt domain, if there is one, lives for ever.
    // The device has power while it is probed, and nothing has enabled that power before.
    unsafe {
        let domain = bindings::irq_find_matching_fwnode(
            fwnode::as_raw(node),
            bindings::irq_domain_bus_token_DOMAIN_BUS_ANY,
        );

        if !domain.is_null() {
            (*domain).pm_dev = raw;
        }
        // The system sleeps with its interrupts: until then, devices can wake it up.
        #[cfg(CONFIG_PM_SLEEP)]
        (*raw).power.set_syscore(true);
        bindings::__pm_runtime_set_status(raw, bindings::rpm_status_RPM_ACTIVE as c_uint);
        bindings::pm_runtime_enable(raw);
    }
    Ok(true)
}

/// There are no power domains.
#[cfg(not(CONFIG_PM_GENERIC_DOMAINS))]
pub fn follow<T: Powered>(_dev: &Device<Core<'_>>, _target: &'static T) -> Result<bool> {
    Ok(false)
}

/// # Safety
///
/// Only for the core of power domains, and as the first field of a [`Follower`] of that type.
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
unsafe extern "C" fn notify<T: Powered + 'static>(
    block: *mut bindings::notifier_block,
    event: usize,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: By the requirements of this function; it lives for ever.
    let target = unsafe { (*kernel::container_of!(block, Follower<T>, block)).target };

    // CAST: Small numbers.
    match event as bindings::genpd_notication {
        bindings::genpd_notication_GENPD_NOTIFY_PRE_OFF => {
            target.power_off();
            // Interrupt handlers that have not seen it yet. A domain may be switched off with
            // interrupts off, if its provider says so.
            if !are_interrupts_off() {
                rcu::synchronize_rcu();
            }
        }
        bindings::genpd_notication_GENPD_NOTIFY_ON => target.power_on(),
        _ => {}
    }
    // CAST: A small number.
    bindings::NOTIFY_OK as c_int
}
