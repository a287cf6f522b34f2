// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes from unmasking a pending vector to its handler, and whether
 * its CPU took another interrupt before: that is what an unmask that tells the
 * CPU nothing has to wait for. A busy host can make any time long, but cannot
 * keep all rounds from going undisturbed.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/kernel_stat.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/processor.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "aia_test.h"

/* A busy host may stop a virtual CPU for seconds */
#define AIA_PATIENCE_NS		(15ULL * NSEC_PER_SEC)

static struct {
	u64 rounds, lost, leaked, alone, min, max, sum;
} aia_latency;

int aia_write_latency(char *buf)
{
	u32 nr, rounds, pause_us = 15000;
	struct aia_vec *vec;
	unsigned int cpu, taken;
	u64 before, t, end;

	if (sscanf(buf, "%i %i %i", &nr, &rounds, &pause_us) < 2)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec || !vec->requested)
		return -ENODEV;

	memset(&aia_latency, 0, sizeof(aia_latency));
	aia_latency.min = U64_MAX;

	while (rounds--) {
		disable_irq(vec->irq);
		fsleep(pause_us);
		before = atomic64_read(&vec->total);
		aia_fire(vec);
		/* Long enough to be delivered, should it not be masked after all */
		usleep_range(50, 100);
		if (atomic64_read(&vec->total) != before)
			aia_latency.leaked++;

		cpu = cpumask_first(irq_data_get_effective_affinity_mask(irq_get_irq_data(vec->irq)));
		taken = kstat_cpu_irqs_sum(cpu);
		t = ktime_get_ns();
		end = t + AIA_PATIENCE_NS;
		enable_irq(vec->irq);
		while (atomic64_read(&vec->total) == before && ktime_get_ns() < end)
			cpu_relax();
		t = ktime_get_ns() - t;
		/* Pairs with the barrier of the handler */
		smp_rmb();

		aia_latency.rounds++;
		if (atomic64_read(&vec->total) == before)
			aia_latency.lost++;
		else if (READ_ONCE(vec->taken) == taken + 1)
			aia_latency.alone++;
		aia_latency.min = min(aia_latency.min, t);
		aia_latency.max = max(aia_latency.max, t);
		aia_latency.sum += t;
		if (signal_pending(current))
			return -EINTR;
	}

	return 0;
}

void aia_show_latency(struct seq_file *m)
{
	u64 avg = aia_latency.rounds ? div64_u64(aia_latency.sum, aia_latency.rounds) : 0;

	seq_printf(m, "%llu %llu %llu %llu %llu %llu %llu\n", aia_latency.rounds, aia_latency.lost,
		   aia_latency.leaked, aia_latency.min, avg, aia_latency.max, aia_latency.alone);
}
