// SPDX-License-Identifier: GPL-2.0
/*
 * A device that goes on with its old message as long as it may, after its vector
 * has moved away; meanwhile others get what the vector has left.
 *
 * The device keeps its promise by its own clock. The host of an emulator may
 * let it wait in the middle of that: then nothing can be said about the straggler.
 */

#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/processor.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include "aia_test.h"

/* Long enough for the moves of the strangers */
#define AIA_STRANGERS_NS	(400 * NSEC_PER_USEC)

static bool aia_in_time;

static void aia_set_delay(struct aia_vec *vec, u64 ns)
{
	guard(raw_spinlock_irqsave)(&vec->lock);
	vec->delay_ns = ns;
}

/* When the last update takes effect */
static u64 aia_due(struct aia_vec *vec)
{
	guard(raw_spinlock_irqsave)(&vec->lock);
	return vec->queued ? vec->queue[vec->queued - 1].due : 0;
}

int aia_write_straggle(char *buf)
{
	unsigned int from;
	struct aia_dev *adev;
	struct aia_vec *vec;
	u32 nr, cpu, id, ns, i;
	u64 due;
	int rc;

	if (sscanf(buf, "%i %i %i %i", &nr, &cpu, &id, &ns) != 4 || cpu >= nr_cpu_ids)
		return -EINVAL;
	vec = aia_find_vec(nr);
	adev = aia_find_dev(id);
	if (!vec || !adev)
		return -ENODEV;
	from = cpumask_first(irq_data_get_effective_affinity_mask(irq_get_irq_data(vec->irq)));

	aia_in_time = false;
	aia_set_delay(vec, ns);
	rc = irq_set_affinity(vec->irq, cpumask_of(cpu));
	due = aia_due(vec);

	while (ktime_get_mono_fast_ns() + AIA_STRANGERS_NS < due)
		cpu_relax();
	for (i = 0; i < adev->nr_vecs && !rc; i++)
		rc = irq_set_affinity(adev->vecs[i].irq, cpumask_of(from));

	aia_fire(vec);
	if (ktime_get_mono_fast_ns() < due)
		aia_in_time = true;
	aia_set_delay(vec, 0);

	return rc;
}

void aia_show_straggle(struct seq_file *m)
{
	seq_printf(m, "%d\n", aia_in_time);
}
