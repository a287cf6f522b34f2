// SPDX-License-Identifier: GPL-2.0
/*
 * What the G-stage of a CPU says of a guest-physical address. The CPU's hgatp is
 * that of the vCPU that was loaded there last; its machine must not end
 * meanwhile.
 */

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/seq_file.h>
#include <linux/smp.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

#define AIA_INDEX_BITS		9
/* The root has four times as many entries as the other tables */
#define AIA_ROOT_BITS		(AIA_INDEX_BITS + 2)

struct aia_walk {
	u64			gpa;
	int			rc;
	int			level;
	unsigned long		pte;
};

static struct aia_walk aia_gstage;

static int aia_levels(unsigned long hgatp)
{
	switch (hgatp >> HGATP_MODE_SHIFT) {
	case HGATP_MODE_SV39X4:
		return 3;
	case HGATP_MODE_SV48X4:
		return 4;
	case HGATP_MODE_SV57X4:
		return 5;
	default:
		return 0;
	}
}

/* In an IPI: the page table is that of whoever was interrupted */
static void aia_gstage_walk(void *info)
{
	struct aia_walk *walk = info;
	unsigned long hgatp = csr_read(CSR_HGATP);
	unsigned long pfn = hgatp & HGATP_PPN;
	int levels = aia_levels(hgatp);
	unsigned int bits = AIA_ROOT_BITS;
	unsigned long *table;
	unsigned int shift;

	if (!levels) {
		walk->rc = -EAGAIN;
		return;
	}
	shift = PAGE_SHIFT + AIA_INDEX_BITS * (levels - 1);
	if (walk->gpa >> (shift + bits)) {
		walk->rc = -ERANGE;
		return;
	}

	for (walk->level = levels - 1; ; walk->level--) {
		if (!pfn_valid(pfn)) {
			walk->rc = -EFAULT;
			return;
		}
		table = pfn_to_virt(pfn);
		walk->pte = READ_ONCE(table[(walk->gpa >> shift) & (BIT(bits) - 1)]);
		if (!walk->level || !(walk->pte & _PAGE_PRESENT) || (walk->pte & _PAGE_LEAF))
			return;

		pfn = __page_val_to_pfn(walk->pte);
		bits = AIA_INDEX_BITS;
		shift -= AIA_INDEX_BITS;
	}
}

int aia_write_gstage(char *buf)
{
	struct aia_walk walk = {};
	u32 cpu;
	int rc;

	if (sscanf(buf, "%i %lli", &cpu, &walk.gpa) != 2)
		return -EINVAL;
	if (!riscv_isa_extension_available(NULL, H))
		return -ENODEV;

	rc = smp_call_function_single(cpu, aia_gstage_walk, &walk, true);
	if (!rc)
		rc = walk.rc;
	if (!rc)
		aia_gstage = walk;

	return rc;
}

void aia_show_gstage(struct seq_file *m)
{
	seq_printf(m, "%d %#lx\n", aia_gstage.level, aia_gstage.pte);
}
