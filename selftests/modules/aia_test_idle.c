// SPDX-License-Identifier: GPL-2.0
/*
 * Takes a CPU through an idle state in which the hart loses the CSRs by which it
 * serves guests. All but the state is real: what uses those CSRs is told before
 * and after, and they hold something else in between.
 */

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/cpu.h>
#include <linux/cpu_pm.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/kstrtox.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

static struct {
	/* In the state */
	unsigned long hvien;
	unsigned long injects;
	/* Before it, and after it */
	unsigned long hgeie[2];
	/* After it */
	unsigned long hvictl;
	unsigned long hviprio1;
	unsigned long hviprio2;
} aia_idle_seen;

/* In a thread, as the idle task is one: no vCPU is loaded */
static long aia_idle(void *unused)
{
	unsigned long flags;
	int rc;

	local_irq_save(flags);
	aia_idle_seen.hgeie[0] = csr_read(CSR_HGEIE);
	/* A hart without a guest may have anything there */
	csr_write(CSR_HVICTL, ~0UL);
	rc = cpu_pm_enter();
	if (!rc) {
		aia_idle_seen.hvien = csr_read(CSR_HVIEN);
		aia_idle_seen.injects = csr_read(CSR_HVICTL);
		/* Each bit other than it was */
		csr_write(CSR_HGEIE, ~aia_idle_seen.hgeie[0]);
		csr_clear(CSR_HIE, BIT(IRQ_S_GEXT));
		csr_write(CSR_HVICTL, ~0UL);
		csr_write(CSR_HVIPRIO1, ~0UL);
		csr_write(CSR_HVIPRIO2, ~0UL);
		rc = cpu_pm_exit();
		aia_idle_seen.hgeie[1] = csr_read(CSR_HGEIE);
		aia_idle_seen.hvictl = csr_read(CSR_HVICTL);
		aia_idle_seen.hviprio1 = csr_read(CSR_HVIPRIO1);
		aia_idle_seen.hviprio2 = csr_read(CSR_HVIPRIO2);
	}
	local_irq_restore(flags);

	return rc;
}

int aia_write_idle(char *buf)
{
	u32 cpu;
	int rc;

	rc = kstrtou32(buf, 0, &cpu);
	if (rc)
		return rc;
	if (!riscv_isa_extension_available(NULL, H) ||
	    !riscv_isa_extension_available(NULL, SSAIA))
		return -ENODEV;

	guard(cpus_read_lock)();
	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;

	return work_on_cpu(cpu, aia_idle, NULL);
}

void aia_show_idle(struct seq_file *m)
{
	seq_printf(m, "%#lx %#lx %#lx %#lx %#lx %#lx %#lx\n", aia_idle_seen.hvien,
		   aia_idle_seen.injects, aia_idle_seen.hgeie[0], aia_idle_seen.hgeie[1], aia_idle_seen.hvictl,
		   aia_idle_seen.hviprio1, aia_idle_seen.hviprio2);
}
