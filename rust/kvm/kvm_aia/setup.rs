// SPDX-License-Identifier: GPL-2.0

//! Set-up.

mod cpu;
