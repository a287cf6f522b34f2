// SPDX-License-Identifier: GPL-2.0
/*
 * A hart that gets no MSIs from other harts: the identity that the driver uses
 * for them is disabled behind its back.
 */

#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/smp.h>
#include <asm/csr.h>

#include "aia_test.h"

/* Of the first word of enable bits (AIA 3.8.4) */
#define AIA_EIE0		0xc0
#define AIA_IPI_ID		1

static void aia_mute(void *info)
{
	bool *mute = info;

	/* Interrupts are off: nobody else selects a register in between */
	csr_write(CSR_SISELECT, AIA_EIE0);
	if (*mute)
		csr_clear(CSR_SIREG, BIT(AIA_IPI_ID));
	else
		csr_set(CSR_SIREG, BIT(AIA_IPI_ID));
}

int aia_write_mute(char *buf)
{
	u32 cpu, flag;
	bool mute;

	if (sscanf(buf, "%i %i", &cpu, &flag) != 2 || cpu >= nr_cpu_ids)
		return -EINVAL;
	mute = flag;

	return smp_call_function_single(cpu, aia_mute, &mute, true);
}
