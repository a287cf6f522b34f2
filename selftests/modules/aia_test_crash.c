// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that dies while interrupts are pending that it did not take, or in
 * the handler of one.
 */

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/panic.h>
#include <linux/printk.h>
#include <linux/smp.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

#define AIA_EIDELIVERY		0x70
#define AIA_EITHRESHOLD		0x72
#define AIA_EIP0		0x80
#define AIA_EIE0		0xc0

/* Guest interrupt file 1, and an identity of it */
#define AIA_CRASH_FILE		1
#define AIA_CRASH_ID		1

/* How often an interrupt moves at most until a move waits */
#define AIA_CRASH_MOVES		10000

struct aia_crash {
	void __iomem		*reg;
	u32			first;
	u32			last;
	int			rc;
};

/* In whose handler the kernel dies, and where that moves before */
static struct aia_vec *aia_crash_vec;
static u32 aia_crash_cpus[2];

static void aia_crash_write(unsigned long select, unsigned long value)
{
	csr_write(CSR_VSISELECT, select);
	csr_write(CSR_VSIREG, value);
}

/*
 * The file of a vCPU that the CPU has run interrupts it, where it has any. Who
 * comes next has no vCPU, and nobody who would take that interrupt.
 */
static int aia_crash_guest_file(void)
{
	unsigned long hstatus;

	if (!riscv_isa_extension_available(NULL, H) ||
	    !riscv_isa_extension_available(NULL, SSAIA))
		return 0;
	csr_write(CSR_HGEIE, ~0UL);
	if (!csr_read(CSR_HGEIE))
		return 0;

	hstatus = csr_read(CSR_HSTATUS) & ~HSTATUS_VGEIN;
	csr_write(CSR_HSTATUS, hstatus | (unsigned long)AIA_CRASH_FILE << HSTATUS_VGEIN_SHIFT);
	aia_crash_write(AIA_EITHRESHOLD, 0);
	aia_crash_write(AIA_EIE0, BIT(AIA_CRASH_ID));
	aia_crash_write(AIA_EIP0, BIT(AIA_CRASH_ID));
	aia_crash_write(AIA_EIDELIVERY, 1);
	csr_set(CSR_HIE, BIT(IRQ_S_GEXT));

	return csr_read(CSR_HGEIP) & BIT(AIA_CRASH_FILE) ? 0 : -EIO;
}

/* On the CPU that is to die, in an interrupt */
static void aia_crash(void *info)
{
	struct aia_crash *crash = info;
	u32 i;

	for (i = 0; i <= crash->last - crash->first; i++)
		writel(crash->first + i, crash->reg);
	/* They are there: reads push them ahead */
	readl(crash->reg);
	crash->rc = aia_crash_guest_file();
	if (!crash->rc)
		panic("aia_test: told to crash");
}

int aia_write_crash(char *buf)
{
	struct aia_crash crash;
	u64 addr;
	u32 cpu;
	int rc;

	if (sscanf(buf, "%i %lli %i %i", &cpu, &addr, &crash.first, &crash.last) != 4 ||
	    crash.last < crash.first || cpu >= nr_cpu_ids)
		return -EINVAL;
	crash.reg = ioremap(addr, sizeof(u32));
	if (!crash.reg)
		return -ENOMEM;

	rc = smp_call_function_single(cpu, aia_crash, &crash, true);
	iounmap(crash.reg);

	return rc ?: crash.rc;
}

/* In the handler of an interrupt */
void aia_crash_handler(struct aia_vec *vec)
{
	u32 i;

	if (READ_ONCE(aia_crash_vec) != vec)
		return;
	/* A move waits where the CPU that was left has not answered yet, which it may at once */
	for (i = 0; i < AIA_CRASH_MOVES; i++) {
		irq_set_affinity(vec->irq, cpumask_of(aia_crash_cpus[i % 2]));
		if (irqd_is_setaffinity_pending(irq_get_irq_data(vec->irq)))
			panic("aia_test: told to crash in a handler");
	}
	pr_warn("aia_test: no move waits\n");
}

int aia_write_crash_moving(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (sscanf(buf, "%i %i %i", &nr, &aia_crash_cpus[0], &aia_crash_cpus[1]) != 3 ||
	    aia_crash_cpus[0] >= nr_cpu_ids || aia_crash_cpus[1] >= nr_cpu_ids)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;
	WRITE_ONCE(aia_crash_vec, vec);

	return 0;
}
