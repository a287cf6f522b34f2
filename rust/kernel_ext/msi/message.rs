// SPDX-License-Identifier: GPL-2.0

//! Messages.
//!
//! C header: [`include/linux/msi.h`](srctree/include/linux/msi.h), `struct msi_msg`

use kernel::bindings;

/// What a device writes to raise an interrupt: `data`, 32 bits, to physical address `address`.
///
/// # Examples
///
/// That of an identity in the interrupt file at `page`:
///
/// ```
/// use kernel_ext::msi::Message;
///
/// fn message(page: u64, id: u32) -> Message {
///     Message { address: page, data: id }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// The physical address.
    pub address: u64,
    /// The value.
    pub data: u32,
}

impl Message {
    pub(crate) fn to_raw(self) -> bindings::msi_msg {
        let mut raw = bindings::msi_msg::default();

        // CAST: The two halves.
        raw.__bindgen_anon_1.address_lo = self.address as u32;
        raw.__bindgen_anon_2.address_hi = (self.address >> 32) as u32;
        raw.__bindgen_anon_3.data = self.data;
        raw
    }

    pub(crate) fn from_raw(raw: &bindings::msi_msg) -> Self {
        // SAFETY: On RISC-V, both members of each union are 32 bits without padding.
        let (low, high, data) = unsafe {
            (
                raw.__bindgen_anon_1.address_lo,
                raw.__bindgen_anon_2.address_hi,
                raw.__bindgen_anon_3.data,
            )
        };

        Self {
            address: (u64::from(high) << 32) | u64::from(low),
            data,
        }
    }
}
