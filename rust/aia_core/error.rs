// SPDX-License-Identifier: GPL-2.0

//! What is wrong with a number, an address or a firmware property.
//!
//! Every module has an error type of its own, whose variants say exactly what was found. A driver
//! that only wants to print a line and give up turns any of them into a [`Fault`].

/// `-EINVAL` of Linux: the value makes no sense.
pub const EINVAL: i32 = -22;

/// A number was outside the range of the type that it was meant for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutOfRange;

impl OutOfRange {
    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}

/// Why a firmware description is refused: the property, a message, an error number.
///
/// # Examples
///
/// ```
/// use aia_core::{error::Fault, geometry::GeometryError};
///
/// let fault = Fault::from(GeometryError::HartIndexBits);
/// assert_eq!(fault.property, "riscv,hart-index-bits");
/// assert_eq!(fault.errno, -22);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The device-tree property that is wrong.
    pub property: &'static str,
    /// What is wrong with it, to be printed after the property.
    pub message: &'static str,
    /// The error number of Linux, which is negative.
    pub errno: i32,
}
