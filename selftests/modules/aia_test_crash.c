// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that dies while interrupts are pending that it did not take.
 */

#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/panic.h>
#include <linux/smp.h>

#include "aia_test.h"

struct aia_crash {
	void __iomem		*reg;
	u32			first;
	u32			last;
};

/* On the CPU that is to die, in an interrupt */
static void aia_crash(void *info)
{
	struct aia_crash *crash = info;
	u32 i;

	for (i = 0; i <= crash->last - crash->first; i++)
		writel(crash->first + i, crash->reg);
	/* They are there: reads push them ahead */
	readl(crash->reg);
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

	return rc;
}
