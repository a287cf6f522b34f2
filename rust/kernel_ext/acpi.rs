// SPDX-License-Identifier: GPL-2.0

//! What ACPI says of interrupt controllers: structures of the MADT (ACPI 6.6, 5.2.12), and the global
//! system interrupts (GSIs) that they give numbers to.
//!
//! C headers: [`include/linux/acpi.h`](srctree/include/linux/acpi.h),
//! [`arch/riscv/include/asm/irq.h`](srctree/arch/riscv/include/asm/irq.h)

use core::mem::size_of;

use kernel::{
    bindings,
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    error::to_result,
    prelude::*, //
};

use crate::{
    fwnode,
    ioport::Range, //
};

/// What C has where there is no hart.
const INVALID_HARTID: usize = usize::MAX;

/// Reads the structure of the MADT behind `header`.
///
/// Fails with `EINVAL` if the structure, or the table, which ends at `end`, is too short for it.
///
/// # Safety
///
/// `header` must be the address of a structure in the MADT, and `end` that of the table's end; a `T`
/// must be plain data.
unsafe fn structure<T: Copy>(
    header: *const bindings::acpi_subtable_headers,
    end: usize,
) -> Result<T> {
    // SAFETY: All structures begin with the common header.
    let length = unsafe { (*header).common.length };

    if usize::from(length) < size_of::<T>() || header as usize + size_of::<T>() > end {
        return Err(EINVAL);
    }
    // SAFETY: As long as was just checked.
    Ok(unsafe { header.cast::<T>().read_unaligned() })
}

/// The IMSIC structure: what all harts' interrupt files have in common.
///
/// # Examples
///
/// What C calls for each such structure (`IRQCHIP_ACPI_DECLARE()`):
///
/// ```
/// use kernel::{bindings, error::from_result, ffi::c_int, prelude::*};
/// use kernel_ext::acpi::Imsic;
///
/// /// # Safety
/// ///
/// /// `header` must be the address of an IMSIC structure in the MADT, which ends at `end`.
/// unsafe extern "C" fn init(header: *mut bindings::acpi_subtable_headers, end: usize) -> c_int {
///     from_result(|| {
///         // SAFETY: By the requirements of this function.
///         let imsic = unsafe { Imsic::from_raw(header, end) }?;
///
///         pr_info!("{} identities\n", imsic.num_ids);
///         Ok(0)
///     })
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Imsic {
    /// Identities of a supervisor interrupt file.
    pub num_ids: u16,
    /// Identities of a guest interrupt file.
    pub num_guest_ids: u16,
    /// Width of the guest index.
    pub guest_index_bits: u8,
    /// Width of the hart index.
    pub hart_index_bits: u8,
    /// Width of the group index.
    pub group_index_bits: u8,
    /// Position of the group index.
    pub group_index_shift: u8,
}

impl Imsic {
    /// Reads the structure. Fails with `EINVAL` if it is too short.
    ///
    /// # Safety
    ///
    /// `header` must be the address of an IMSIC structure in the MADT, which ends at `end`.
    pub unsafe fn from_raw(
        header: *const bindings::acpi_subtable_headers,
        end: usize,
    ) -> Result<Self> {
        // SAFETY: By the requirements of this function.
        let raw = unsafe { structure::<bindings::acpi_madt_imsic>(header, end) }?;

        Ok(Self {
            num_ids: raw.num_ids,
            num_guest_ids: raw.num_guest_ids,
            guest_index_bits: raw.guest_index_bits,
            hart_index_bits: raw.hart_index_bits,
            group_index_bits: raw.group_index_bits,
            group_index_shift: raw.group_index_shift,
        })
    }
}

/// An APLIC structure: what C does not keep of it, or changes, and what tells it from others.
#[derive(Clone, Copy)]
pub struct Aplic {
    /// The controller's ID.
    pub id: u32,
    /// How many sources it has.
    pub nr_sources: u16,
    /// The first of its global system interrupts.
    pub gsi_base: u32,
    /// Where its registers are.
    pub registers: Range,
}

impl Aplic {
    /// Reads the structure. Fails with `EINVAL` if it is too short.
    ///
    /// # Safety
    ///
    /// `header` must be the address of an APLIC structure in the MADT, which ends at `end`.
    pub unsafe fn from_raw(
        header: *const bindings::acpi_subtable_headers,
        end: usize,
    ) -> Result<Self> {
        // SAFETY: By the requirements of this function.
        let raw = unsafe { structure::<bindings::acpi_madt_aplic>(header, end) }?;

        Ok(Self {
            id: raw.id.into(),
            nr_sources: raw.num_sources,
            gsi_base: raw.gsi_base,
            registers: Range::new(raw.base_addr, raw.size.into()),
        })
    }
}

/// What an RINTC structure says of a hart.
pub struct RintcFile {
    /// The hart.
    pub hartid: usize,
    /// Where its interrupt files are; empty if it has none.
    pub range: Range,
}

/// The C function that finds the interrupt files of an RINTC structure. There is only a pointer to it
/// during boot.
pub type RintcFileFn = unsafe extern "C" fn(u32, *mut bindings::resource) -> c_int;

/// What the RINTC structures say, in their order.
///
/// # Examples
///
/// ```
/// use kernel_ext::acpi::{rintc_files, RintcFileFn};
///
/// /// How many bytes of interrupt files there are.
/// ///
/// /// # Safety
/// ///
/// /// As for [`rintc_files`].
/// unsafe fn size(find: RintcFileFn) -> u64 {
///     // SAFETY: By the requirements of this function.
///     unsafe { rintc_files(find) }.map(|file| file.range.size()).sum()
/// }
/// ```
///
/// # Safety
///
/// `find` must be `acpi_rintc_get_imsic_mmio_info()`, which is there during boot only.
pub unsafe fn rintc_files(find: RintcFileFn) -> impl Iterator<Item = RintcFile> {
    (0..).map_while(move |index| {
        let mut resource = bindings::resource::default();

        // SAFETY: Looks any number up.
        let hartid = unsafe { bindings::acpi_rintc_index_to_hartid(index) };
        // SAFETY: By the requirements of `rintc_files`; the resource is filled.
        let found = unsafe { find(index, &mut resource) };

        (hartid != INVALID_HARTID && found == 0).then(|| RintcFile {
            hartid,
            range: Range::from_resource(&resource),
        })
    })
}

/// The global system interrupts of a controller.
///
/// # Examples
///
/// ```
/// use kernel::{device::{Core, Device}, prelude::*};
/// use kernel_ext::acpi;
///
/// /// Called when the device of a controller in the namespace is probed.
/// fn probe(dev: &Device<Core<'_>>) -> Result {
///     let node = dev.fwnode().ok_or(ENODEV)?;
///     let gsis = acpi::gsis(node).ok_or(ENODEV)?;
///
///     for (hartid, number) in acpi::wired_harts(gsis.id) {
///         // Interrupts go to the hart by this number.
///         pr_info!("hart {} is {}\n", hartid, number);
///     }
///     // ...
///     acpi::clear_dependencies(dev);
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gsis {
    /// The first of them, which is its source number 0.
    pub base: u32,
    /// The controller's ID.
    pub id: u32,
    /// How many harts the controller interrupts by wires.
    pub nr_idcs: u32,
}

/// The global system interrupts of the controller whose device has node `fwnode`, if the MADT and the
/// namespace name it.
pub fn gsis(fwnode: &FwNode) -> Option<Gsis> {
    let (mut base, mut id, mut count, mut nr_idcs) = (0, 0, 0, 0);

    // SAFETY: The node is valid, and so are the numbers that are filled.
    to_result(unsafe {
        bindings::riscv_acpi_get_gsi_info(
            fwnode::as_raw(fwnode),
            &mut base,
            &mut id,
            &mut count,
            &mut nr_idcs,
        )
    })
    .ok()?;
    Some(Gsis { base, id, nr_idcs })
}

/// The harts that controller `id` interrupts by wires, each with the controller's number of it.
pub fn wired_harts(id: u32) -> impl Iterator<Item = (usize, u32)> {
    (0..).map_while(move |index| {
        // SAFETY: Looks any number up.
        let (hartid, context) = unsafe {
            (
                bindings::acpi_rintc_ext_parent_to_hartid(id, index),
                bindings::acpi_rintc_get_plic_context(id, index),
            )
        };

        (hartid != INVALID_HARTID).then_some((hartid, context))
    })
}

/// Lets the devices be made that wait for `dev`, an interrupt controller that is being probed and works
/// from now on. May sleep.
pub fn clear_dependencies(dev: &Device<Core<'_>>) {
    // CAST: `Device` is a transparent wrapper of an opaque `struct device`.
    let raw = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: The device is valid.
    let companion = unsafe { bindings::ACPI_COMPANION(raw) };

    if !companion.is_null() {
        // SAFETY: The companion is valid as long as the device.
        unsafe { bindings::acpi_dev_clear_dependencies(companion) };
    }
}
