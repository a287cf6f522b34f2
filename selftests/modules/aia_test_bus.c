// SPDX-License-Identifier: GPL-2.0
/*
 * What a device reaches over the bus: the interrupt files of the harts.
 */

#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "aia_test.h"

#define AIA_MAX_IDS		2048

static void __iomem **aia_pages;
static phys_addr_t *aia_pages_pa;
static atomic_t aia_bad_addr = ATOMIC_INIT(0);

void aia_unmap(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (aia_pages && aia_pages[cpu])
			iounmap(aia_pages[cpu]);
	}
	kfree(aia_pages);
	kfree(aia_pages_pa);
}

int aia_map(const struct imsic_global_config *global)
{
	struct imsic_local_config *local;
	unsigned int cpu;

	aia_pages = kcalloc(nr_cpu_ids, sizeof(*aia_pages), GFP_KERNEL);
	aia_pages_pa = kcalloc(nr_cpu_ids, sizeof(*aia_pages_pa), GFP_KERNEL);
	if (!aia_pages || !aia_pages_pa)
		goto err_unmap;

	/* A machine without an IMSIC may still have wired lines */
	if (!global)
		return 0;

	for_each_possible_cpu(cpu) {
		local = per_cpu_ptr(global->local, cpu);
		if (!local->msi_va)
			continue;
		aia_pages_pa[cpu] = local->msi_pa;
		aia_pages[cpu] = ioremap(local->msi_pa, IMSIC_MMIO_PAGE_SZ);
		if (!aia_pages[cpu])
			goto err_unmap;
	}

	return 0;

err_unmap:
	aia_unmap();
	return -ENOMEM;
}

void aia_send(const struct aia_msg *msg)
{
	unsigned int cpu;

	/* A device whose MSIs are switched off */
	if (!msg->addr && !msg->data)
		return;

	for_each_possible_cpu(cpu) {
		if (!aia_pages[cpu] || aia_pages_pa[cpu] != msg->addr)
			continue;
		writel(msg->data, aia_pages[cpu]);
		return;
	}

	atomic_inc(&aia_bad_addr);
}

int aia_write_stray(char *buf)
{
	u32 cpu, id, i, count = 1, last;
	int n;

	n = sscanf(buf, "%i %i %i %i", &cpu, &id, &count, &last);
	if (n < 2)
		return -EINVAL;
	if (n < 4)
		last = id;
	if (last < id || last - id >= AIA_MAX_IDS)
		return -EINVAL;
	if (cpu >= nr_cpu_ids || !cpu_possible(cpu) || !aia_pages[cpu])
		return -EINVAL;

	while (count--) {
		for (i = 0; i <= last - id; i++)
			writel(id + i, aia_pages[cpu]);
	}
	return 0;
}

void aia_show_bad(struct seq_file *m)
{
	seq_printf(m, "%d\n", atomic_read(&aia_bad_addr));
}
