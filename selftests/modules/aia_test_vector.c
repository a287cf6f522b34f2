// SPDX-License-Identifier: GPL-2.0
/*
 * The driver side of a vector: its handler, and what the interrupt core can do
 * with it.
 */

#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqchip/chained_irq.h>
#include <linux/irqdesc.h>
#include <linux/kernel.h>
#include <linux/kernel_stat.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "aia_test.h"

struct aia_vec *aia_find_vec(u32 nr)
{
	return xa_load(&aia_vecs, nr);
}

static irqreturn_t aia_handler(int irq, void *data)
{
	struct aia_vec *vec = data;

	aia_crash_handler(vec);
	this_cpu_inc(*vec->hits);
	WRITE_ONCE(vec->taken, kstat_cpu_irqs_sum(raw_smp_processor_id()));
	/* Before the total: pairs with the barrier of who has seen that change */
	smp_wmb();
	atomic64_inc(&vec->total);
	if (vec->level)
		disable_irq_nosync(irq);
	if (wq_has_sleeper(&vec->wait))
		wake_up(&vec->wait);
	aia_linger(vec);

	return IRQ_HANDLED;
}

static int aia_request(struct aia_vec *vec)
{
	int rc;

	if (vec->requested)
		return -EBUSY;

	rc = request_irq(vec->irq, aia_handler, 0, "aia_test", vec);
	if (!rc)
		vec->requested = true;

	return rc;
}

void aia_release(struct aia_vec *vec)
{
	if (vec->chained)
		irq_set_chained_handler_and_data(vec->irq, NULL, NULL);
	else if (vec->requested)
		free_irq(vec->irq, vec);
	vec->requested = false;
	vec->chained = false;
}

/* As that of a driver whose interrupts share this one */
static void aia_chained(struct irq_desc *desc)
{
	struct irq_chip *chip = irq_desc_get_chip(desc);

	chained_irq_enter(chip, desc);
	aia_handler(irq_desc_get_irq(desc), irq_desc_get_handler_data(desc));
	chained_irq_exit(chip, desc);
}

int aia_write_chain(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (kstrtou32(strim(buf), 0, &nr))
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;
	if (vec->requested || vec->level)
		return -EBUSY;

	irq_set_chained_handler_and_data(vec->irq, aia_chained, vec);
	vec->requested = true;
	vec->chained = true;

	return 0;
}

int aia_write_request(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (kstrtou32(strim(buf), 0, &nr))
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_request(vec) : -ENODEV;
}

int aia_write_release(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (kstrtou32(strim(buf), 0, &nr))
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;

	aia_release(vec);
	return 0;
}

int aia_write_mask(char *buf)
{
	struct aia_vec *vec;
	u32 nr, mask;

	if (sscanf(buf, "%i %i", &nr, &mask) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec || !vec->requested || vec->chained)
		return -ENODEV;

	if (mask)
		disable_irq(vec->irq);
	else
		enable_irq(vec->irq);

	return 0;
}

int aia_write_affine(char *buf)
{
	struct aia_vec *vec;
	u32 nr, cpu;

	if (sscanf(buf, "%i %i", &nr, &cpu) != 2 || cpu >= nr_cpu_ids)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? irq_set_affinity(vec->irq, cpumask_of(cpu)) : -ENODEV;
}

int aia_write_type(char *buf)
{
	struct aia_vec *vec;
	u32 nr, type;

	if (sscanf(buf, "%i %i", &nr, &type) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? irq_set_irq_type(vec->irq, type) : -ENODEV;
}

int aia_write_wake(char *buf)
{
	struct aia_vec *vec;
	u32 nr, on;

	if (sscanf(buf, "%i %i", &nr, &on) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? irq_set_irq_wake(vec->irq, on) : -ENODEV;
}

int aia_write_stats(char *buf)
{
	struct aia_vec *vec;
	unsigned long nr;
	int cpu;

	xa_for_each(&aia_vecs, nr, vec) {
		if (vec->running)
			return -EBUSY;
	}
	xa_for_each(&aia_vecs, nr, vec) {
		atomic64_set(&vec->total, 0);
		for_each_possible_cpu(cpu)
			WRITE_ONCE(*per_cpu_ptr(vec->hits, cpu), 0);
	}

	return 0;
}

void aia_show_stats(struct seq_file *m)
{
	struct aia_vec *vec;
	unsigned long nr;
	int cpu;

	xa_for_each(&aia_vecs, nr, vec) {
		seq_printf(m, "%lu %d %lld", nr, vec->irq, atomic64_read(&vec->total));
		for_each_possible_cpu(cpu)
			seq_printf(m, " %llu", READ_ONCE(*per_cpu_ptr(vec->hits, cpu)));
		seq_putc(m, '\n');
	}
}
