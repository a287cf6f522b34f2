// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps a CPU from taking interrupts for a while, or until it is let go; or in
 * the handler of one.
 */

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/completion.h>
#include <linux/container_of.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/processor.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "aia_test.h"

/* Soft lockups and RCU stalls are told after 20 seconds and more */
#define AIA_MAX_HOLD_US		10000000

struct aia_hold {
	struct work_struct	work;
	struct completion	started;
	u32			usecs;
	u32			ended;
};

static struct workqueue_struct *aia_wq;
static atomic_t aia_held = ATOMIC_INIT(0);
/* How often all were let go */
static u32 aia_ended;

static void aia_hold_work(struct work_struct *work)
{
	struct aia_hold *hold = container_of(work, struct aia_hold, work);
	u32 usecs = hold->usecs;
	u32 ended = hold->ended;
	unsigned long flags;
	u64 end;

	local_irq_save(flags);
	atomic_inc(&aia_held);
	end = ktime_get_mono_fast_ns() + usecs * (u64)NSEC_PER_USEC;
	/* From here on "hold" belongs to the writer, who may return */
	complete(&hold->started);
	while (ktime_get_mono_fast_ns() < end && READ_ONCE(aia_ended) == ended)
		cpu_relax();
	/* Before interrupts: while the count is there, none was taken */
	atomic_dec(&aia_held);
	local_irq_restore(flags);
}

int aia_write_hold(char *buf)
{
	struct aia_hold *hold;
	u32 cpu, usecs;

	if (sscanf(buf, "%i %i", &cpu, &usecs) != 2 || usecs > AIA_MAX_HOLD_US)
		return -EINVAL;

	hold = kzalloc_obj(*hold);
	if (!hold)
		return -ENOMEM;
	init_completion(&hold->started);
	hold->usecs = usecs;
	hold->ended = aia_ended;
	INIT_WORK(&hold->work, aia_hold_work);

	scoped_guard(cpus_read_lock) {
		if (cpu >= nr_cpu_ids || !cpu_online(cpu)) {
			kfree(hold);
			return -EINVAL;
		}
		queue_work_on(cpu, aia_wq, &hold->work);
		wait_for_completion(&hold->started);
	}
	/* The workqueue does not look at the work again once it runs */
	kfree(hold);

	return 0;
}

int aia_write_linger(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (kstrtou32(strim(buf), 0, &nr))
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;

	vec->ended = aia_ended;
	/* After "ended" is written */
	smp_store_release(&vec->lingers, true);

	return 0;
}

/* Of the handler, once */
void aia_linger(struct aia_vec *vec)
{
	u64 end;

	/* Before "ended" is read */
	if (!smp_load_acquire(&vec->lingers))
		return;

	WRITE_ONCE(vec->lingers, false);
	end = ktime_get_mono_fast_ns() + AIA_MAX_HOLD_US * (u64)NSEC_PER_USEC;
	atomic_inc(&aia_held);
	while (ktime_get_mono_fast_ns() < end && READ_ONCE(aia_ended) == vec->ended)
		cpu_relax();
	atomic_dec(&aia_held);
}

int aia_write_let_go(char *buf)
{
	WRITE_ONCE(aia_ended, aia_ended + 1);

	return 0;
}

void aia_show_hold(struct seq_file *m)
{
	seq_printf(m, "%d\n", atomic_read(&aia_held));
}

int aia_hold_init(void)
{
	aia_wq = alloc_workqueue("aia_test", WQ_HIGHPRI | WQ_PERCPU, 0);

	return aia_wq ? 0 : -ENOMEM;
}

void aia_hold_exit(void)
{
	destroy_workqueue(aia_wq);
}
