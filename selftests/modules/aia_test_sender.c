// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that makes a vector send: one MSI after the other, each when the
 * one before it was handled, or all the time.
 */

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/processor.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/timekeeping.h>

#include "aia_test.h"

#define AIA_MAX_LOST		5
#define AIA_SPINS		2000

/* Returns false when the handler did not run in time */
static bool aia_wait(struct aia_vec *vec, u64 before, u64 timeout_us)
{
	int spins;

	for (spins = 0; spins < AIA_SPINS; spins++) {
		if (atomic64_read(&vec->total) != before)
			return true;
		cpu_relax();
	}

	return wait_event_timeout(vec->wait, atomic64_read(&vec->total) != before,
				  usecs_to_jiffies(timeout_us));
}

static void aia_seq(struct aia_vec *vec)
{
	u64 before, expected = atomic64_read(&vec->total), t;

	while (vec->sent < vec->count && vec->lost < AIA_MAX_LOST && !kthread_should_stop()) {
		before = atomic64_read(&vec->total);
		vec->dup += before - expected;

		t = ktime_get_ns();
		aia_fire(vec);
		vec->sent++;

		if (aia_wait(vec, before, vec->timeout_us)) {
			expected = before + 1;
			t = ktime_get_ns() - t;
			vec->max_ns = max(vec->max_ns, t);
			vec->sum_ns += t;
		} else {
			expected = before;
			vec->lost++;
		}
		if (vec->settle_us)
			fsleep(vec->settle_us);
		cond_resched();
	}

	/* Whatever is still on its way is one too many */
	msleep(50);
	vec->dup += atomic64_read(&vec->total) - expected;
}

static int aia_thread(void *data)
{
	struct aia_vec *vec = data;

	if (vec->period_us) {
		while (!kthread_should_stop()) {
			aia_fire(vec);
			vec->sent++;
			fsleep(vec->period_us);
		}
	} else {
		aia_seq(vec);
	}

	/* Pairs with the readers of the counts in debugfs */
	smp_store_release(&vec->running, false);

	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}

	return 0;
}

void aia_stop(struct aia_vec *vec)
{
	if (vec->task)
		kthread_stop(vec->task);
	vec->task = NULL;
	vec->running = false;
}

static int aia_start(struct aia_vec *vec, u64 count, u64 timeout_us, u64 settle_us, u64 period_us)
{
	struct task_struct *task;

	aia_stop(vec);
	if (!count && !period_us)
		return 0;

	vec->count = count;
	vec->timeout_us = timeout_us;
	vec->settle_us = settle_us;
	vec->period_us = period_us;
	vec->sent = 0;
	vec->lost = 0;
	vec->dup = 0;
	vec->max_ns = 0;
	vec->sum_ns = 0;
	vec->running = true;

	task = kthread_run(aia_thread, vec, "aia_test/%u", vec->nr);
	if (IS_ERR(task)) {
		vec->running = false;
		return PTR_ERR(task);
	}
	vec->task = task;

	return 0;
}

int aia_write_seq(char *buf)
{
	u32 nr, count, timeout_us = 1000000, settle_us = 0;
	struct aia_vec *vec;

	if (sscanf(buf, "%i %i %i %i", &nr, &count, &timeout_us, &settle_us) < 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_start(vec, count, timeout_us, settle_us, 0) : -ENODEV;
}

void aia_show_seq(struct seq_file *m)
{
	struct aia_vec *vec;
	unsigned long nr;
	bool running;

	xa_for_each(&aia_vecs, nr, vec) {
		/* A thread that has ended left its counts before it said so */
		running = smp_load_acquire(&vec->running);
		seq_printf(m, "%lu %d %llu %llu %llu %llu %llu\n", nr, running, vec->sent,
			   vec->lost, vec->dup, vec->max_ns, vec->sum_ns);
	}
}

int aia_write_spray(char *buf)
{
	struct aia_vec *vec;
	u32 nr, period_us;

	if (sscanf(buf, "%i %i", &nr, &period_us) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_start(vec, 0, 0, 0, period_us) : -ENODEV;
}
