// SPDX-License-Identifier: GPL-2.0

//! Vectors of what can neither be copied nor said to be all zeroes.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use kernel::alloc::{
    AllocError,
    Allocator,
    Flags,
    Vec, //
};

/// Allocates `count` elements, all made by `make`.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::atomic::Atomic};
/// use kernel_ext::alloc;
///
/// # fn example() -> Result {
/// let counters: KVec<Atomic<u64>> = alloc::filled(8, GFP_KERNEL, || Atomic::new(0))?;
///
/// assert_eq!(counters.len(), 8);
/// # Ok(())
/// # }
/// ```
pub fn filled<T, A: Allocator>(
    count: usize,
    flags: Flags,
    make: impl Fn() -> T,
) -> Result<Vec<T, A>, AllocError> {
    let mut elements = Vec::with_capacity(count, flags)?;

    for _ in 0..count {
        elements.push(make(), flags)?;
    }
    Ok(elements)
}
