// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody else's bit of hvien, of which KVM has one: it is there before KVM
 * starts to use a CPU, and until KVM has ceased to.
 */

#include <linux/bits.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/kstrtox.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/string.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

/* The last one before CPUHP_AP_KVM_ONLINE, and unused on RISC-V */
#define AIA_BEFORE_KVM		CPUHP_AP_HYPERV_ONLINE
/* AIA 6.3.2: the bits below are read-only zeros */
#define AIA_HVIEN_FIRST		13
/* hvien, hvictl, hviprio1, hviprio2 */
#define AIA_HVIEN_CSRS		4

static unsigned int aia_hvien_bit;

static DEFINE_PER_CPU(struct {
	/* What there was when the CPU went, and KVM had ceased to use it */
	unsigned long went[AIA_HVIEN_CSRS];
	/* The bits that the hart has */
	unsigned long writable;
}, aia_hvien);

static int aia_hvien_comes(unsigned int cpu)
{
	unsigned long flags, value;

	local_irq_save(flags);
	value = csr_swap(CSR_HVIEN, ~0UL);
	__this_cpu_write(aia_hvien.writable, csr_read(CSR_HVIEN));
	csr_write(CSR_HVIEN, value | BIT(aia_hvien_bit));
	/* A hart that comes may have anything there */
	csr_write(CSR_HVICTL, ~0UL);
	csr_write(CSR_HVIPRIO1, ~0UL);
	csr_write(CSR_HVIPRIO2, ~0UL);
	local_irq_restore(flags);

	return 0;
}

static void aia_hvien_read(void *values)
{
	unsigned long *value = values;

	value[0] = csr_read(CSR_HVIEN);
	value[1] = csr_read(CSR_HVICTL);
	value[2] = csr_read(CSR_HVIPRIO1);
	value[3] = csr_read(CSR_HVIPRIO2);
}

static int aia_hvien_goes(unsigned int cpu)
{
	aia_hvien_read(this_cpu_ptr(&aia_hvien)->went);
	csr_clear(CSR_HVIEN, BIT(aia_hvien_bit));

	return 0;
}

void aia_hvien_remove(void)
{
	if (!aia_hvien_bit)
		return;
	cpuhp_remove_state(AIA_BEFORE_KVM);
	aia_hvien_bit = 0;
}

int aia_write_hvien(char *buf)
{
	u32 bit;
	int rc;

	rc = kstrtou32(buf, 0, &bit);
	if (rc)
		return rc;
	if (bit && (bit < AIA_HVIEN_FIRST || bit >= BITS_PER_LONG || bit == IRQ_PMU_OVF))
		return -EINVAL;
	if (!riscv_isa_extension_available(NULL, H) ||
	    !riscv_isa_extension_available(NULL, SSAIA))
		return -ENODEV;

	aia_hvien_remove();
	if (!bit)
		return 0;

	aia_hvien_bit = bit;
	rc = cpuhp_setup_state(AIA_BEFORE_KVM, "aia_test:online", aia_hvien_comes,
			       aia_hvien_goes);
	if (rc < 0) {
		aia_hvien_bit = 0;
		return rc;
	}

	return 0;
}

void aia_show_hvien(struct seq_file *m)
{
	unsigned long value[AIA_HVIEN_CSRS];
	unsigned int cpu;
	bool off;

	if (!aia_hvien_bit)
		return;

	for_each_possible_cpu(cpu) {
		off = smp_call_function_single(cpu, aia_hvien_read, value, true);
		if (off)
			memcpy(value, per_cpu(aia_hvien.went, cpu), sizeof(value));
		seq_printf(m, "%u %s %#lx %#lx %#lx %#lx %#lx\n", cpu, off ? "off" : "on", value[0],
			   per_cpu(aia_hvien.writable, cpu), value[1], value[2], value[3]);
	}
}
