// SPDX-License-Identifier: GPL-2.0

//! Devices that user space creates and configures by attributes (`KVM_CREATE_DEVICE`).
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h), `kvm_device_ops`

use core::ptr::addr_of;

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi,
    prelude::*,
    str::as_char_ptr_in_const_context,
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

use crate::{
    Vm,
    VmLocked, //
};

/// An attribute as user space names it.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kvm_ext::device::Attr;
///
/// /// A register that user space reads and writes, by the number in the group.
/// fn set(registers: &mut [u64; 4], attr: &Attr) -> Result {
///     let number = usize::try_from(attr.attr)?;
///
///     *registers.get_mut(number).ok_or(ENXIO)? = attr.read_u64()?;
///     Ok(())
/// }
/// ```
///
/// The address is the one that user space has given; the value is only had by copying it from
/// there:
///
/// ```compile_fail,E0616
/// # use kvm_ext::device::Attr;
/// fn value(attr: &Attr) -> *const u64 {
///     attr.addr as *const u64
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Attr {
    /// The group.
    pub group: u32,
    /// The number in the group.
    pub attr: u64,
    /// The address of the value in user memory.
    addr: u64,
}

impl Attr {
    fn slice(&self, size: usize) -> Result<UserSlice> {
        Ok(UserSlice::new(
            UserPtr::from_addr(usize::try_from(self.addr)?),
            size,
        ))
    }

    /// Reads a 32-bit value. Fails with `EFAULT` if there is no such memory.
    pub fn read_u32(&self) -> Result<u32> {
        self.slice(size_of::<u32>())?.reader().read()
    }

    /// Reads a 64-bit value. Fails with `EFAULT` if there is no such memory.
    pub fn read_u64(&self) -> Result<u64> {
        self.slice(size_of::<u64>())?.reader().read()
    }

    /// Writes a 32-bit value. Fails with `EFAULT` if there is no such memory.
    pub fn write_u32(&self, value: u32) -> Result {
        self.slice(size_of::<u32>())?.writer().write(&value)
    }

    /// Reads `bytes.len()` bytes. Fails with `EFAULT` if there is no such memory.
    pub fn read_bytes(&self, bytes: &mut [u8]) -> Result {
        self.slice(bytes.len())?.reader().read_slice(bytes)
    }

    /// Writes `bytes`. Fails with `EFAULT` if there is no such memory.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result {
        self.slice(bytes.len())?.writer().write_slice(bytes)
    }

    /// Writes a 64-bit value. Fails with `EFAULT` if there is no such memory.
    pub fn write_u64(&self, value: u64) -> Result {
        self.slice(size_of::<u64>())?.writer().write(&value)
    }
}

/// A kind of device of which a virtual machine has one.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::atomic::{Atomic, Relaxed}};
/// use kvm_ext::{device::{Attr, Device}, Vm, VmLocked};
///
/// /// A device with one attribute, a number.
/// struct Number(Atomic<u32>);
///
/// impl Device for Number {
///     const NAME: &'static CStr = c"kvm-example";
///
///     fn create(mut vm: VmLocked<'_>) -> Result<Pin<KBox<Self>>> {
///         let device = KBox::pin(Self(Atomic::new(0)), GFP_KERNEL)?;
///
///         vm.set_aia_in_kernel(true);
///         Ok(device)
///     }
///
///     fn destroy(&self, mut vm: VmLocked<'_>) {
///         vm.set_aia_in_kernel(false);
///     }
///
///     fn set(&self, vm: &Vm, attr: &Attr) -> Result {
///         self.has(vm, attr)?;
///         self.0.store(attr.read_u32()?, Relaxed);
///         Ok(())
///     }
///
///     fn get(&self, vm: &Vm, attr: &Attr) -> Result {
///         self.has(vm, attr)?;
///         attr.write_u32(self.0.load(Relaxed))
///     }
///
///     fn has(&self, _vm: &Vm, attr: &Attr) -> Result {
///         match (attr.group, attr.attr) {
///             (0, 0) => Ok(()),
///             _ => Err(ENXIO),
///         }
///     }
/// }
/// ```
///
/// No lock is held when user space sets attributes, from several threads at once, so that a device
/// is refused that only one may use:
///
/// ```compile_fail,E0277
/// # use kernel::prelude::*;
/// # use kvm_ext::{device::{Attr, Device}, Vm, VmLocked};
/// use core::cell::Cell;
///
/// struct Number(Cell<u32>);
///
/// impl Device for Number {
///     const NAME: &'static CStr = c"kvm-example";
///
/// #   fn create(_: VmLocked<'_>) -> Result<Pin<KBox<Self>>> {
/// #       Err(EINVAL)
/// #   }
/// #   fn destroy(&self, _: VmLocked<'_>) {}
/// #   fn set(&self, _: &Vm, _: &Attr) -> Result {
/// #       Err(ENXIO)
/// #   }
/// #   fn get(&self, _: &Vm, _: &Attr) -> Result {
/// #       Err(ENXIO)
/// #   }
/// #   fn has(&self, _: &Vm, _: &Attr) -> Result {
/// #       Err(ENXIO)
/// #   }
///     // ...
/// }
/// ```
pub trait Device: Send + Sync + Sized + 'static {
    /// The name of the kind.
    const NAME: &'static CStr;

    /// Creates the device. May sleep.
    fn create(vm: VmLocked<'_>) -> Result<Pin<KBox<Self>>>;

    /// Undoes [`Self::create`] before the device is dropped: the virtual machine ends, or user
    /// space did not get the device. May sleep.
    fn destroy(&self, vm: VmLocked<'_>);

    /// Sets an attribute. May sleep, no lock is held.
    fn set(&self, vm: &Vm, attr: &Attr) -> Result;

    /// Writes an attribute to user memory. May sleep, no lock is held.
    fn get(&self, vm: &Vm, attr: &Attr) -> Result;

    /// Succeeds if there is such an attribute. May sleep, no lock is held.
    fn has(&self, vm: &Vm, attr: &Attr) -> Result;
}

/// The C functions of a kind of device.
#[repr(transparent)]
pub struct Ops(bindings::kvm_device_ops);

// SAFETY: Functions and a name, which nobody writes to.
unsafe impl Sync for Ops {}

/// The C functions of `D`.
pub const fn ops<D: Device>() -> Ops {
    Ops(bindings::kvm_device_ops {
        name: as_char_ptr_in_const_context(D::NAME),
        create: Some(create::<D>),
        init: None,
        destroy: Some(destroy::<D>),
        release: None,
        set_attr: Some(set::<D>),
        get_attr: Some(get::<D>),
        has_attr: Some(has::<D>),
        ioctl: None,
        mmap: None,
    })
}

/// Lets user space create devices of number `kind`. Fails with `EEXIST` if the number is taken.
///
/// # Examples
///
/// ```
/// use kernel::{bindings, prelude::*};
/// use kvm_ext::device;
///
/// /// Called with what [`ops`](device::ops) has returned, in a static variable.
/// fn init(ops: &'static device::Ops) -> Result {
///     device::register(ops, bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA)
/// }
/// ```
pub fn register(ops: &'static Ops, kind: u32) -> Result {
    // SAFETY: The functions live for ever, and there are all that C calls unasked.
    to_result(unsafe { bindings::kvm_register_device_ops(&ops.0, kind) })
}

/// Undoes [`register`].
pub fn unregister(kind: u32) {
    if kind < bindings::kvm_device_type_KVM_DEV_TYPE_MAX {
        // SAFETY: C has a place for the number.
        unsafe { bindings::kvm_unregister_device_ops(kind) };
    }
}

/// # Safety
///
/// `device` must be valid, as KVM's devices are.
unsafe fn vm<'a>(device: *mut bindings::kvm_device) -> &'a Vm {
    // SAFETY: By the requirements of this function; a device holds its virtual machine.
    unsafe { Vm::from_raw(addr_of!((*device).kvm).read()) }
}

/// # Safety
///
/// `device` must be valid and one of `D` that [`create`] has succeeded for.
unsafe fn data<'a, D: Device>(device: *mut bindings::kvm_device) -> &'a D {
    // SAFETY: By the requirements of this function; the value is dropped with the device.
    unsafe { &*addr_of!((*device).private).read().cast() }
}

/// # Safety
///
/// `attr` must be valid.
unsafe fn attr(attr: *mut bindings::kvm_device_attr) -> Attr {
    // SAFETY: By the requirements of this function.
    let attr = unsafe { attr.read() };

    Attr {
        group: attr.group,
        attr: attr.attr,
        addr: attr.addr,
    }
}

/// # Safety
///
/// Only for KVM, which holds `kvm->lock`.
unsafe extern "C" fn create<D: Device>(device: *mut bindings::kvm_device, _kind: u32) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let data = D::create(unsafe { vm(device).assume_locked() })?;

        // SAFETY: The device is being made, and is ours.
        unsafe { (*device).private = data.into_foreign() };
        Ok(0)
    })
}

/// # Safety
///
/// Only for KVM, which gives the device up.
unsafe extern "C" fn destroy<D: Device>(device: *mut bindings::kvm_device) {
    // SAFETY: By the requirements of this function. The virtual machine is still there.
    unsafe { data::<D>(device).destroy(vm(device).lock()) };
    // SAFETY: Made by `create`, and nobody uses the device any more.
    drop(unsafe { Pin::<KBox<D>>::from_foreign((*device).private) });
    // SAFETY: KVM has allocated it by `kzalloc()`, and leaves it to us to free it.
    unsafe { bindings::kfree(device.cast::<ffi::c_void>()) };
}

/// # Safety
///
/// Only for KVM.
unsafe extern "C" fn set<D: Device>(
    device: *mut bindings::kvm_device,
    what: *mut bindings::kvm_device_attr,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        unsafe { data::<D>(device).set(vm(device), &attr(what)) }?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for KVM.
unsafe extern "C" fn get<D: Device>(
    device: *mut bindings::kvm_device,
    what: *mut bindings::kvm_device_attr,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        unsafe { data::<D>(device).get(vm(device), &attr(what)) }?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for KVM.
unsafe extern "C" fn has<D: Device>(
    device: *mut bindings::kvm_device,
    what: *mut bindings::kvm_device_attr,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        unsafe { data::<D>(device).has(vm(device), &attr(what)) }?;
        Ok(0)
    })
}
