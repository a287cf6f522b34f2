// SPDX-License-Identifier: GPL-2.0

//! What the fuzz targets of `aia_core` do: each module turns bytes into a program, and runs it on the
//! crate and on a model that is made of plain flags and numbers, after the specification.
//!
//! "AIA 3.8" is a section of revision 20250312 of "The RISC-V Advanced Interrupt Architecture".

#![deny(unsafe_code)]

pub mod aplic;
pub mod domain;
pub mod geometry;
pub mod guest;
pub mod input;
pub mod snapshot;
pub mod swfile;
pub mod vector;
