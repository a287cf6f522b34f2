// SPDX-License-Identifier: GPL-2.0

//! Who code belongs to that is part of the kernel's image.

use core::ptr;

use kernel::{
    prelude::*,
    ModuleMetadata,
    ThisModule, //
};

/// No module: what `#[vtable]` takes for one, as `crate::LocalModule`, in a crate that is built in
/// and so has no `module!`.
///
/// # Examples
///
/// At the root of such a crate:
///
/// ```
/// use kernel_ext::module::BuiltIn as LocalModule;
/// ```
pub struct BuiltIn;

impl ModuleMetadata for BuiltIn {
    const NAME: &'static CStr = c"riscv_aia";

    const THIS_MODULE: ThisModule = {
        // SAFETY: A null pointer is what code has that is built in.
        unsafe { ThisModule::from_ptr(ptr::null_mut()) }
    };
}
