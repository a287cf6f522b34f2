// SPDX-License-Identifier: GPL-2.0

//! Devices on the memory-mapped I/O bus of a virtual machine.
//!
//! C header: [`include/kvm/iodev.h`](srctree/include/kvm/iodev.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

use crate::{
    Vcpu,
    Vm, //
};

/// What a device does when a vCPU accesses it.
///
/// An error passes the access on to the next device, and to user space in the end.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kvm_ext::{io_bus::{IoDevice, Mmio}, Vcpu, Vm, IMSIC_SIZE};
///
/// /// A page of registers that read as zero.
/// struct Page;
///
/// impl Mmio for Page {
///     fn read(_vcpu: &Vcpu, addr: u64, len: usize) -> Result<u32> {
///         if addr % 4 != 0 || len != 4 {
///             return Err(EOPNOTSUPP);
///         }
///         Ok(0)
///     }
///
///     fn write(_vcpu: &Vcpu, _addr: u64, data: &[u8]) -> Result {
///         let number = u32::from_le_bytes(data.try_into().map_err(|_| EOPNOTSUPP)?);
///
///         pr_debug!("MSI {}\n", number);
///         Ok(())
///     }
/// }
///
/// /// # Safety
/// ///
/// /// The value must be dropped before the virtual machine is freed.
/// unsafe fn add(vm: &Vm, addr: u64) -> Result<IoDevice> {
///     // SAFETY: By the requirements of this function.
///     unsafe { IoDevice::register::<Page>(vm, addr, IMSIC_SIZE) }
/// }
/// ```
pub trait Mmio {
    /// What a load of `len` bytes from guest-physical address `addr` returns, which is 0 beyond the first four
    /// bytes. A shorter one gets the first ones of the word.
    fn read(vcpu: &Vcpu, addr: u64, len: usize) -> Result<u32>;

    /// Stores `data` at guest-physical address `addr`.
    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result;
}

/// A device on the bus, removed when it is dropped.
///
/// # Examples
///
/// See [`Mmio`] for a device.
///
/// It goes back to its virtual machine when it is dropped, and safe code cannot promise that this
/// is still there then:
///
/// ```compile_fail,E0133
/// # use kernel::prelude::*;
/// # use kvm_ext::{io_bus::{IoDevice, Mmio}, Vm};
/// fn add<T: Mmio + 'static>(vm: &Vm) -> Result<IoDevice> {
///     IoDevice::register::<T>(vm, 0x2800_0000, 0x1000)
/// }
/// ```
///
/// # Invariants
///
/// `device` is registered on the bus of `vm`, which outlives it.
pub struct IoDevice {
    addr: u64,
    size: u64,
    device: Pin<KBox<Opaque<bindings::kvm_io_device>>>,
    vm: NonNull<bindings::kvm>,
}

// SAFETY: Any task may drop it, which takes the lock under which the bus changes.
unsafe impl Send for IoDevice {}
// SAFETY: A shared reference to it is good for nothing.
unsafe impl Sync for IoDevice {}

/// The C callbacks of `T`.
struct Vtable<T>(PhantomData<T>);

impl<T: Mmio> Vtable<T> {
    const OPS: bindings::kvm_io_device_ops = bindings::kvm_io_device_ops {
        read: Some(read::<T>),
        write: Some(write::<T>),
        destructor: None,
    };

    const OPS_REF: &'static bindings::kvm_io_device_ops = &Self::OPS;
}

impl IoDevice {
    /// Registers `T` at `size` bytes from guest-physical address `addr`. May sleep.
    ///
    /// # Safety
    ///
    /// The value must be dropped before the virtual machine is freed.
    pub unsafe fn register<T: Mmio + 'static>(vm: &Vm, addr: u64, size: u64) -> Result<Self> {
        let len = i32::try_from(size)?;
        let device = KBox::pin(
            Opaque::new(bindings::kvm_io_device {
                ops: Vtable::<T>::OPS_REF,
            }),
            GFP_KERNEL_ACCOUNT,
        )?;

        vm.with_slots_lock(|| {
            // SAFETY: The virtual machine is valid, the lock held, and the device stays where it is
            // until it is unregistered.
            to_result(unsafe {
                bindings::kvm_io_bus_register_dev(
                    vm.as_raw(),
                    bindings::kvm_bus_KVM_MMIO_BUS,
                    addr,
                    len,
                    device.get(),
                )
            })
        })?;
        // INVARIANT: Just registered; the caller promises the rest.
        Ok(Self {
            addr,
            size,
            device,
            // SAFETY: Made of a reference.
            vm: unsafe { NonNull::new_unchecked(vm.as_raw()) },
        })
    }

    /// Whether accesses of guest-physical address `addr` are its.
    ///
    /// KVM does not find all devices whose ranges are within others.
    pub fn covers(&self, addr: u64) -> bool {
        addr.checked_sub(self.addr)
            .is_some_and(|offset| offset < self.size)
    }
}

impl Drop for IoDevice {
    fn drop(&mut self) {
        // SAFETY: The virtual machine outlives the device.
        let vm = unsafe { Vm::from_raw(self.vm.as_ptr()) };

        vm.with_slots_lock(|| {
            // SAFETY: Registered by the type invariant; the lock is held. If there is no memory for
            // a bus without the device, the whole bus is given up, so that it is gone in any case.
            let _ = unsafe {
                bindings::kvm_io_bus_unregister_dev(
                    vm.as_raw(),
                    bindings::kvm_bus_KVM_MMIO_BUS,
                    self.device.get(),
                )
            };
        });
    }
}

/// # Safety
///
/// Only for KVM, which passes valid pointers and a length, 1 to 8, that is that of `data`, which need not
/// be initialized.
unsafe extern "C" fn read<T: Mmio>(
    vcpu: *mut bindings::kvm_vcpu,
    _device: *mut bindings::kvm_io_device,
    addr: u64,
    len: c_int,
    data: *mut c_void,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let vcpu = unsafe { Vcpu::from_raw(vcpu) };
        let len = usize::try_from(len)?;
        let word = T::read(vcpu, addr, len)?.to_le_bytes();
        let data = data.cast::<u8>();

        // SAFETY: As above.
        unsafe { data.write_bytes(0, len) };
        // SAFETY: As above; `word` is none of KVM's.
        unsafe {
            word.as_ptr()
                .copy_to_nonoverlapping(data, len.min(word.len()))
        };
        Ok(0)
    })
}

/// # Safety
///
/// Only for KVM, which passes valid pointers and a length, 1 to 8, that is that of `data`, and its
/// alignment. User space may write to `data` meanwhile.
unsafe extern "C" fn write<T: Mmio>(
    vcpu: *mut bindings::kvm_vcpu,
    _device: *mut bindings::kvm_io_device,
    addr: u64,
    len: c_int,
    data: *const c_void,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let vcpu = unsafe { Vcpu::from_raw(vcpu) };
        if len == 4 {
            // SAFETY: As above.
            let word = unsafe { data.cast::<u32>().read_volatile() };

            T::write(vcpu, addr, &word.to_ne_bytes())?;
            return Ok(0);
        }

        let mut copy = [0; 8];
        let copy = copy.get_mut(..usize::try_from(len)?).ok_or(EINVAL)?;

        for (n, byte) in copy.iter_mut().enumerate() {
            // SAFETY: As above.
            *byte = unsafe { data.cast::<u8>().add(n).read_volatile() };
        }
        T::write(vcpu, addr, copy)?;
        Ok(0)
    })
}
