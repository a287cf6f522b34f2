// SPDX-License-Identifier: GPL-2.0

//! What KVM needs to give guests an interrupt controller, as far as it is pure logic.
//!
//! - [`attribute`]: which attributes the KVM device has, and the numbers that name them;
//! - [`config`]: what user space configures before the interrupt controllers are initialised;
//! - [`address_map`]: where in guest-physical memory the interrupt files are;
//! - [`hart_table`]: which vCPU a hart index of the guest means;
//! - [`hart`]: the CSRs of a hart that are the same for all guests;
//! - [`hgei`]: which guest external interrupt lines of a hart are in use;
//! - [`iprio`]: the priorities of a guest's major interrupts;
//! - [`file`]: how the state of an interrupt file gets into a guest file of a hart, and out;
//! - [`power`]: a hart loses its guest files for a while;
//! - [`binding`]: where the state of a vCPU's interrupt file is, and who may move it;
//! - [`imsic`]: a vCPU's interrupt file: MSIs, moves, and what user space does to it;
//! - [`shootdown`]: harts forget how a guest's page was translated;
//! - [`victim`]: whose guest file is taken where there are too few;
//! - [`state`]: the format of the state of all interrupt controllers, for migration.

pub mod address_map;
pub mod attribute;
pub mod binding;
pub mod config;
pub mod file;
pub mod hart;
pub mod hart_table;
pub mod hgei;
pub mod imsic;
pub mod iprio;
pub mod power;
pub mod shootdown;
pub mod state;
pub mod victim;
