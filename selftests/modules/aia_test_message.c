// SPDX-License-Identifier: GPL-2.0
/*
 * The device side of a vector: the message that it holds, and how that is
 * updated and sent.
 */

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/msi.h>
#include <linux/platform_device.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "aia_test.h"

/* Posted updates take effect when they are due */
static void aia_settle(struct aia_vec *vec)
{
	u64 now = ktime_get_mono_fast_ns();
	unsigned int n = 0;

	lockdep_assert_held(&vec->lock);

	while (n < vec->queued && vec->queue[n].due <= now)
		vec->active = vec->queue[n++];
	if (n) {
		vec->queued -= n;
		memmove(vec->queue, vec->queue + n, vec->queued * sizeof(vec->queue[0]));
	}
}

void aia_fire(struct aia_vec *vec)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vec->lock, flags);
	aia_settle(vec);
	if (vec->adev->pci)
		aia_pci_fire(vec->adev->pci, vec - vec->adev->vecs);
	else
		aia_send(&vec->active);
	raw_spin_unlock_irqrestore(&vec->lock, flags);
}

static void aia_inject(struct aia_vec *vec, const struct aia_msg *msg)
{
	lockdep_assert_held(&vec->lock);

	if (vec->inject_at >= 0 && !vec->injected && vec->inject_point == vec->inject_at) {
		vec->injected = true;
		aia_send(msg);
	}
	vec->inject_point++;
}

/* How a driver would program its device; called with interrupts off */
void aia_update(struct aia_vec *vec, struct msi_msg *msg)
{
	struct aia_msg half, next = {
		.addr = ((u64)msg->address_hi << 32) | msg->address_lo,
		.data = msg->data,
	};
	unsigned long flags;

	raw_spin_lock_irqsave(&vec->lock, flags);
	vec->updates++;
	aia_settle(vec);

	if (vec->delay_ns) {
		next.due = ktime_get_mono_fast_ns() + vec->delay_ns;
		if (vec->queued == AIA_POSTED) {
			vec->active = vec->queue[0];
			vec->queued--;
			memmove(vec->queue, vec->queue + 1,
				vec->queued * sizeof(vec->queue[0]));
		}
		vec->queue[vec->queued++] = next;
	} else {
		vec->queued = 0;
		aia_inject(vec, &vec->active);
		/*
		 * The update of a device without atomic update is seen
		 * half-done: the address is there, the data not yet.
		 */
		half = next;
		if (vec->adev->stepwise)
			half.data = vec->active.data;
		aia_inject(vec, &half);
		vec->active = next;
		aia_inject(vec, &vec->active);
	}
	raw_spin_unlock_irqrestore(&vec->lock, flags);
}

void aia_write_msg(struct msi_desc *desc, struct msi_msg *msg)
{
	struct aia_dev *adev = dev_get_drvdata(desc->dev);

	aia_update(&adev->vecs[desc->msi_index], msg);
}

int aia_write_fire(char *buf)
{
	struct aia_vec *vec;
	u32 nr, count = 1;

	if (sscanf(buf, "%i %i", &nr, &count) < 1)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;

	while (count--)
		aia_fire(vec);

	return 0;
}

int aia_write_posted(char *buf)
{
	struct aia_vec *vec;
	u32 nr, ns;

	if (sscanf(buf, "%i %i", &nr, &ns) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;

	guard(raw_spinlock_irqsave)(&vec->lock);
	vec->delay_ns = ns;

	return 0;
}

int aia_write_inject(char *buf)
{
	struct aia_vec *vec;
	int point;
	u32 nr;

	if (sscanf(buf, "%i %i", &nr, &point) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec)
		return -ENODEV;

	guard(raw_spinlock_irqsave)(&vec->lock);
	vec->inject_at = point;
	vec->inject_point = 0;
	vec->injected = false;

	return 0;
}

void aia_show_inject(struct seq_file *m)
{
	struct aia_vec *vec;
	unsigned long nr;

	xa_for_each(&aia_vecs, nr, vec) {
		guard(raw_spinlock_irqsave)(&vec->lock);
		seq_printf(m, "%lu %s %d\n", nr,
			   vec->inject_at < 0 ? "off" : vec->injected ? "fired" : "armed",
			   vec->inject_point);
	}
}

void aia_show_msg(struct seq_file *m)
{
	struct aia_vec *vec;
	unsigned long nr;

	xa_for_each(&aia_vecs, nr, vec) {
		guard(raw_spinlock_irqsave)(&vec->lock);
		aia_settle(vec);
		seq_printf(m, "%lu %d %d %pa %u %llu %d\n", nr, vec->adev->pdev->id, vec->irq,
			   &vec->active.addr, vec->active.data, vec->updates, vec->requested);
	}
}
