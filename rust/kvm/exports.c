// SPDX-License-Identifier: GPL-2.0
/*
 * What kvm.ko uses of the crates in the kernel, see rust/exports.c of the
 * kernel.
 */
#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
