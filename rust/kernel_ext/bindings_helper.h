/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Headers that the kernel's own bindings gain for the AIA drivers; included at
 * the end of rust/bindings/bindings_helper.h.
 */
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/cpu_pm.h>
#include <linux/irq.h>
#include <linux/irqchip.h>
#include <linux/irqchip/chained_irq.h>
#include <linux/irqchip/irq-msi-lib.h>
#include <linux/irqchip/riscv-aplic.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/irqdomain.h>
#include <linux/irq_work.h>
#include <linux/msi.h>
#include <linux/of_address.h>
#include <linux/of_irq.h>
#include <linux/percpu.h>
#include <linux/pm_domain.h>
#include <linux/pm_runtime.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <linux/timer.h>
#include <asm/smp.h>
#include <asm/irq.h>

#include "../irqchip/riscv_aia_exports.h"
#include "../irqchip/riscv_aia_trace.h"

/* Macros that bindgen cannot evaluate. */
/* Under a name of its own: without PCI, bindgen has understood MATCH_PCI_MSI already. */
const u32 RUST_CONST_HELPER_MATCH_ALL_MSI = MATCH_PCI_MSI | MATCH_PLATFORM_MSI;

#if IS_ENABLED(CONFIG_RISCV_AIA_RUST_KVM)
#include <kvm/iodev.h>
#include <linux/kvm_host.h>
#include <asm/kvm_aia.h>
#include <asm/kvm_mmu.h>

#include "../kvm/kvm_aia_trace.h"

const u64 RUST_CONST_HELPER_KVM_DEV_RISCV_AIA_EXT_IMSIC_STATE =
	KVM_DEV_RISCV_AIA_EXT_IMSIC_STATE(0);
#endif
