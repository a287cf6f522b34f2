// SPDX-License-Identifier: GPL-2.0
/*
 * A device that sends MSIs when it is told to: test double for the RISC-V
 * IMSIC driver, which it reaches through public interfaces only.
 *
 * A test device is a platform device with N MSIs. Each MSI is a "vector" with
 * a number that is unique over all test devices. The device side is modelled
 * faithfully: a vector holds the message it was last programmed with, firing it
 * writes the data to the address, and when the callback that programs it
 * returns, no write with the older message is under way (unless the vector was
 * told to be posted).
 *
 * Control is in debugfs, aia_test/; numbers are decimal or 0x. V is a vector,
 * D a device, C a CPU:
 *
 *   alloc    w  "N [deferred] [unlazy]": make a device with N vectors. deferred:
 *               its message update is not atomic, so that moves happen in
 *               interrupt context, as for PCI. unlazy: disable masks at once
 *   alloc    r  the last device made, and its first vector
 *   free     w  "D" or "all": quiesce, and free vectors and device
 *   move_free w "D C": move all vectors to C and free the device at once
 *   request  w  "V": request_irq()
 *   release  w  "V": free_irq(); the device may go on firing
 *   mask     w  "V 0|1": enable_irq() or disable_irq()
 *   affine   w  "V C": irq_set_affinity(), with its result as it comes
 *   fire     w  "V [COUNT]": send without waiting
 *   seq      w  "V COUNT [TIMEOUT_US [SETTLE_US]]": send one after the other
 *               from a thread, each after the handler saw the one before it.
 *               COUNT 0 stops
 *   seq      r  per vector: "V run sent lost dup max_ns sum_ns"
 *   spray    w  "V PERIOD_US": send all the time from a thread; 0 stops
 *   posted   w  "V NS": an update takes effect NS nanoseconds later
 *   inject   w  "V POINT": send one MSI at that point of the next updates:
 *               3 points in each callback: before it, half-way, after it
 *   inject   r  per vector: "V armed|fired|off points"
 *   latency  w  "V ROUNDS [PAUSE_US]": mask, pause, fire, unmask, and time
 *               until the handler ran
 *   latency  r  "rounds lost leaked min_ns avg_ns max_ns"
 *   hold     w  "C USECS": C runs with interrupts off for so long
 *   stray    w  "C ID [N [LAST]]": write the IDs from ID to LAST, or ID only, to
 *               the interrupt file of C, N times
 *   wired    w  "LINE TYPE": make a device of one vector that is a line of the
 *               APLIC, as IRQ_TYPE_*. The handler of a level line disables it
 *   stats    r  per vector: "V irq total cpu0 cpu1 ..."
 *   stats    w  clear the counts
 *   msg      r  per vector: "V D irq address data updates requested"
 *   bad      r  messages with an address that is no hart's interrupt file
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/irqdomain.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/msi.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#define AIA_MAX_VECS		4096
#define AIA_MAX_HOLD_US		500000
#define AIA_MAX_IDS		2048
#define AIA_MAX_LOST		5
#define AIA_POSTED		8
#define AIA_SPINS		2000
/* A busy host may stop a virtual CPU for seconds */
#define AIA_PATIENCE_NS		(15ULL * NSEC_PER_SEC)

struct aia_msg {
	phys_addr_t		addr;
	u32			data;
	u64			due;
};

struct aia_vec {
	struct aia_dev		*adev;
	u32			nr;
	int			irq;
	bool			requested;
	/* A wired level line: nothing but the mask keeps it from firing again */
	bool			level;

	/* Protects the device side: what the device would do atomically */
	raw_spinlock_t		lock;
	struct aia_msg		active;
	struct aia_msg		queue[AIA_POSTED];
	unsigned int		queued;
	u64			delay_ns;
	u64			updates;
	int			inject_at;
	int			inject_point;
	bool			injected;

	/* What the handler saw */
	atomic64_t		total;
	u64 __percpu		*hits;
	wait_queue_head_t	wait;

	/* Sending thread */
	struct task_struct	*task;
	bool			running;
	u64			count;
	u64			timeout_us;
	u64			settle_us;
	u64			period_us;
	u64			sent;
	u64			lost;
	u64			dup;
	u64			max_ns;
	u64			sum_ns;
};

struct aia_dev {
	struct platform_device	*pdev;
	struct list_head	node;
	u32			nr_vecs;
	bool			deferred;
	bool			unlazy;
	bool			msis;
	bool			wired;
	struct aia_vec		vecs[] __counted_by(nr_vecs);
};

struct aia_file {
	const char		*name;
	int			(*write)(char *buf);
	void			(*show)(struct seq_file *m);
};

/* Serialises everything that comes from debugfs */
static DEFINE_MUTEX(aia_lock);
static LIST_HEAD(aia_devs);
static DEFINE_XARRAY_ALLOC(aia_vecs);
static struct aia_dev *aia_last;
static struct dentry *aia_dir;
static struct irq_domain *aia_domain;
static void __iomem **aia_pages;
static phys_addr_t *aia_pages_pa;
static atomic_t aia_bad_addr = ATOMIC_INIT(0);

static struct {
	u64 rounds, lost, leaked, min, max, sum;
} aia_latency;

static void aia_send(const struct aia_msg *msg)
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

static void aia_fire(struct aia_vec *vec)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vec->lock, flags);
	aia_settle(vec);
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
static void aia_write_msg(struct msi_desc *desc, struct msi_msg *msg)
{
	struct aia_dev *adev = dev_get_drvdata(desc->dev);
	struct aia_vec *vec = &adev->vecs[desc->msi_index];
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
		if (adev->deferred)
			half.data = vec->active.data;
		aia_inject(vec, &half);
		vec->active = next;
		aia_inject(vec, &vec->active);
	}
	raw_spin_unlock_irqrestore(&vec->lock, flags);
}

static irqreturn_t aia_handler(int irq, void *data)
{
	struct aia_vec *vec = data;

	this_cpu_inc(*vec->hits);
	atomic64_inc(&vec->total);
	if (vec->level)
		disable_irq_nosync(irq);
	if (wq_has_sleeper(&vec->wait))
		wake_up(&vec->wait);

	return IRQ_HANDLED;
}

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

static void aia_stop(struct aia_vec *vec)
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

static void aia_release(struct aia_vec *vec)
{
	if (vec->requested)
		free_irq(vec->irq, vec);
	vec->requested = false;
}

static void aia_free(struct aia_dev *adev)
{
	u32 i;

	if (aia_last == adev)
		aia_last = NULL;

	for (i = 0; i < adev->nr_vecs; i++) {
		aia_stop(&adev->vecs[i]);
		aia_release(&adev->vecs[i]);
	}

	if (adev->msis)
		platform_device_msi_free_irqs_all(&adev->pdev->dev);
	if (adev->wired)
		irq_dispose_mapping(adev->vecs[0].irq);

	for (i = 0; i < adev->nr_vecs; i++) {
		if (adev->vecs[i].hits)
			xa_erase(&aia_vecs, adev->vecs[i].nr);
		free_percpu(adev->vecs[i].hits);
	}

	list_del(&adev->node);
	platform_device_unregister(adev->pdev);
	kfree(adev);
}

static int aia_alloc_vecs(struct aia_dev *adev)
{
	struct aia_vec *vec;
	u32 i;
	int rc;

	for (i = 0; i < adev->nr_vecs; i++) {
		vec = &adev->vecs[i];
		vec->adev = adev;
		vec->inject_at = -1;
		raw_spin_lock_init(&vec->lock);
		init_waitqueue_head(&vec->wait);

		vec->hits = alloc_percpu(u64);
		if (!vec->hits)
			return -ENOMEM;

		rc = xa_alloc(&aia_vecs, &vec->nr, vec, XA_LIMIT(0, AIA_MAX_VECS - 1),
			      GFP_KERNEL);
		if (rc) {
			free_percpu(vec->hits);
			vec->hits = NULL;
			return rc;
		}
	}

	return 0;
}

static struct aia_dev *aia_new(u32 nr_vecs)
{
	struct platform_device *pdev;
	struct aia_dev *adev;
	int rc;

	adev = kzalloc_flex(*adev, vecs, nr_vecs);
	if (!adev)
		return ERR_PTR(-ENOMEM);
	adev->nr_vecs = nr_vecs;

	pdev = platform_device_register_simple("aia-test", PLATFORM_DEVID_AUTO, NULL, 0);
	if (IS_ERR(pdev)) {
		kfree(adev);
		return ERR_CAST(pdev);
	}
	adev->pdev = pdev;
	platform_set_drvdata(pdev, adev);
	list_add_tail(&adev->node, &aia_devs);

	rc = aia_alloc_vecs(adev);
	if (rc) {
		aia_free(adev);
		return ERR_PTR(rc);
	}

	return adev;
}

static int aia_alloc(u32 nr_vecs, bool deferred, bool unlazy)
{
	struct aia_dev *adev;
	u32 i;
	int rc;

	if (!aia_domain)
		return -ENODEV;
	if (!nr_vecs || nr_vecs > AIA_MAX_VECS)
		return -EINVAL;

	adev = aia_new(nr_vecs);
	if (IS_ERR(adev))
		return PTR_ERR(adev);
	adev->deferred = deferred;
	adev->unlazy = unlazy;

	/* The domain of the device is there even if its interrupts are not */
	adev->msis = true;
	dev_set_msi_domain(&adev->pdev->dev, aia_domain);
	rc = platform_device_msi_init_and_alloc_irqs(&adev->pdev->dev, nr_vecs, aia_write_msg);
	if (rc) {
		aia_free(adev);
		return rc;
	}

	for (i = 0; i < nr_vecs; i++) {
		struct aia_vec *vec = &adev->vecs[i];

		vec->irq = msi_get_virq(&adev->pdev->dev, i);
		if (deferred)
			irq_get_chip(vec->irq)->flags |= IRQCHIP_MOVE_DEFERRED;
		if (unlazy)
			irq_set_status_flags(vec->irq, IRQ_DISABLE_UNLAZY);
	}

	aia_last = adev;
	return 0;
}

/* A line of the first APLIC that has a domain */
static int aia_wired(u32 line, u32 type)
{
	struct irq_fwspec fwspec = {
		.param_count = 2,
		.param = { line, type },
	};
	struct device_node *np;
	struct aia_dev *adev;
	int irq = 0;

	adev = aia_new(1);
	if (IS_ERR(adev))
		return PTR_ERR(adev);

	for_each_compatible_node(np, NULL, "riscv,aplic") {
		/* An APLIC of the machine level has no domain here */
		fwspec.fwnode = of_fwnode_handle(np);
		if (!irq_find_matching_fwnode(fwspec.fwnode, DOMAIN_BUS_ANY))
			continue;
		irq = irq_create_fwspec_mapping(&fwspec);
		of_node_put(np);
		break;
	}
	if (!irq) {
		aia_free(adev);
		return -ENODEV;
	}

	adev->wired = true;
	adev->vecs[0].irq = irq;
	adev->vecs[0].level = type & IRQ_TYPE_LEVEL_MASK;

	aia_last = adev;
	return 0;
}

static struct aia_dev *aia_find_dev(u32 id)
{
	struct aia_dev *adev;

	list_for_each_entry(adev, &aia_devs, node) {
		if (adev->pdev->id == id)
			return adev;
	}

	return NULL;
}

static struct aia_vec *aia_find_vec(u32 nr)
{
	return xa_load(&aia_vecs, nr);
}

static int aia_write_alloc(char *buf)
{
	bool deferred = strstr(buf, "deferred"), unlazy = strstr(buf, "unlazy");
	u32 n;

	buf[strcspn(buf, " ")] = '\0';
	if (kstrtou32(strim(buf), 0, &n))
		return -EINVAL;

	return aia_alloc(n, deferred, unlazy);
}

static void aia_show_alloc(struct seq_file *m)
{
	if (aia_last)
		seq_printf(m, "%d %u\n", aia_last->pdev->id, aia_last->vecs[0].nr);
}

static int aia_write_free(char *buf)
{
	struct aia_dev *adev, *tmp;
	u32 id;

	if (strstr(buf, "all")) {
		list_for_each_entry_safe(adev, tmp, &aia_devs, node)
			aia_free(adev);
		return 0;
	}

	if (kstrtou32(strim(buf), 0, &id))
		return -EINVAL;
	adev = aia_find_dev(id);
	if (!adev)
		return -ENODEV;

	aia_free(adev);
	return 0;
}

static int aia_write_move_free(char *buf)
{
	struct aia_dev *adev;
	u32 id, cpu, i;
	int rc = 0;

	if (sscanf(buf, "%i %i", &id, &cpu) != 2 || cpu >= nr_cpu_ids)
		return -EINVAL;
	adev = aia_find_dev(id);
	if (!adev)
		return -ENODEV;

	for (i = 0; i < adev->nr_vecs && !rc; i++)
		rc = irq_set_affinity(adev->vecs[i].irq, cpumask_of(cpu));
	aia_free(adev);

	return rc;
}

static int aia_write_request(char *buf)
{
	struct aia_vec *vec;
	u32 nr;

	if (kstrtou32(strim(buf), 0, &nr))
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_request(vec) : -ENODEV;
}

static int aia_write_release(char *buf)
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

static int aia_write_mask(char *buf)
{
	struct aia_vec *vec;
	u32 nr, mask;

	if (sscanf(buf, "%i %i", &nr, &mask) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);
	if (!vec || !vec->requested)
		return -ENODEV;

	if (mask)
		disable_irq(vec->irq);
	else
		enable_irq(vec->irq);

	return 0;
}

static int aia_write_affine(char *buf)
{
	struct aia_vec *vec;
	u32 nr, cpu;

	if (sscanf(buf, "%i %i", &nr, &cpu) != 2 || cpu >= nr_cpu_ids)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? irq_set_affinity(vec->irq, cpumask_of(cpu)) : -ENODEV;
}

static int aia_write_fire(char *buf)
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

static int aia_write_seq(char *buf)
{
	u32 nr, count, timeout_us = 1000000, settle_us = 0;
	struct aia_vec *vec;

	if (sscanf(buf, "%i %i %i %i", &nr, &count, &timeout_us, &settle_us) < 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_start(vec, count, timeout_us, settle_us, 0) : -ENODEV;
}

static void aia_show_seq(struct seq_file *m)
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

static int aia_write_spray(char *buf)
{
	struct aia_vec *vec;
	u32 nr, period_us;

	if (sscanf(buf, "%i %i", &nr, &period_us) != 2)
		return -EINVAL;
	vec = aia_find_vec(nr);

	return vec ? aia_start(vec, 0, 0, 0, period_us) : -ENODEV;
}

static int aia_write_posted(char *buf)
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

static int aia_write_inject(char *buf)
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

static void aia_show_inject(struct seq_file *m)
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

static int aia_write_latency(char *buf)
{
	u32 nr, rounds, pause_us = 15000;
	struct aia_vec *vec;
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

		t = ktime_get_ns();
		end = t + AIA_PATIENCE_NS;
		enable_irq(vec->irq);
		while (atomic64_read(&vec->total) == before && ktime_get_ns() < end)
			cpu_relax();
		t = ktime_get_ns() - t;

		aia_latency.rounds++;
		if (atomic64_read(&vec->total) == before)
			aia_latency.lost++;
		aia_latency.min = min(aia_latency.min, t);
		aia_latency.max = max(aia_latency.max, t);
		aia_latency.sum += t;
		if (signal_pending(current))
			return -EINTR;
	}

	return 0;
}

static void aia_show_latency(struct seq_file *m)
{
	u64 avg = aia_latency.rounds ? div64_u64(aia_latency.sum, aia_latency.rounds) : 0;

	seq_printf(m, "%llu %llu %llu %llu %llu %llu\n", aia_latency.rounds, aia_latency.lost,
		   aia_latency.leaked, aia_latency.min, avg, aia_latency.max);
}

struct aia_hold {
	struct work_struct	work;
	struct completion	started;
	u32			usecs;
};

static void aia_hold_work(struct work_struct *work)
{
	struct aia_hold *hold = container_of(work, struct aia_hold, work);
	u32 usecs = hold->usecs;
	unsigned long flags;
	u64 end;

	local_irq_save(flags);
	end = ktime_get_mono_fast_ns() + usecs * (u64)NSEC_PER_USEC;
	/* From here on "hold" belongs to the writer, who may return */
	complete(&hold->started);
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
	local_irq_restore(flags);
}

static struct workqueue_struct *aia_wq;

static int aia_write_hold(char *buf)
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

static int aia_write_stray(char *buf)
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

static int aia_write_wired(char *buf)
{
	u32 line, type;

	if (sscanf(buf, "%i %i", &line, &type) != 2)
		return -EINVAL;

	return aia_wired(line, type);
}

static int aia_write_stats(char *buf)
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

static void aia_show_stats(struct seq_file *m)
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

static void aia_show_msg(struct seq_file *m)
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

static void aia_show_bad(struct seq_file *m)
{
	seq_printf(m, "%d\n", atomic_read(&aia_bad_addr));
}

static const struct aia_file aia_files[] = {
	{ "alloc", aia_write_alloc, aia_show_alloc },
	{ "free", aia_write_free, NULL },
	{ "move_free", aia_write_move_free, NULL },
	{ "request", aia_write_request, NULL },
	{ "release", aia_write_release, NULL },
	{ "mask", aia_write_mask, NULL },
	{ "affine", aia_write_affine, NULL },
	{ "fire", aia_write_fire, NULL },
	{ "seq", aia_write_seq, aia_show_seq },
	{ "spray", aia_write_spray, NULL },
	{ "posted", aia_write_posted, NULL },
	{ "inject", aia_write_inject, aia_show_inject },
	{ "latency", aia_write_latency, aia_show_latency },
	{ "hold", aia_write_hold, NULL },
	{ "stray", aia_write_stray, NULL },
	{ "wired", aia_write_wired, NULL },
	{ "stats", aia_write_stats, aia_show_stats },
	{ "msg", NULL, aia_show_msg },
	{ "bad", NULL, aia_show_bad },
};

static int aia_file_show(struct seq_file *m, void *unused)
{
	const struct aia_file *file = m->private;

	guard(mutex)(&aia_lock);
	if (file->show)
		file->show(m);

	return 0;
}

static int aia_file_open(struct inode *inode, struct file *file)
{
	return single_open(file, aia_file_show, inode->i_private);
}

static ssize_t aia_file_write(struct file *filp, const char __user *ubuf, size_t count,
			      loff_t *pos)
{
	const struct aia_file *file = file_inode(filp)->i_private;
	char buf[64] = {};
	int rc;

	if (count >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, count))
		return -EFAULT;

	guard(mutex)(&aia_lock);
	rc = file->write ? file->write(buf) : -EINVAL;

	return rc ? rc : count;
}

static const struct file_operations aia_file_fops = {
	.owner		= THIS_MODULE,
	.open		= aia_file_open,
	.read		= seq_read,
	.write		= aia_file_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static void aia_unmap(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (aia_pages && aia_pages[cpu])
			iounmap(aia_pages[cpu]);
	}
	kfree(aia_pages);
	kfree(aia_pages_pa);
}

/* What a device reaches over the bus: the interrupt file of each hart */
static int aia_map(const struct imsic_global_config *global)
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

static int __init aia_test_init(void)
{
	const struct imsic_global_config *global = imsic_get_global_config();
	struct device_node *np;
	int i, rc;

	/* The node of the supervisor level is the one that has an MSI domain */
	for_each_compatible_node(np, NULL, "riscv,imsics") {
		aia_domain = irq_find_matching_fwnode(of_fwnode_handle(np),
						      DOMAIN_BUS_PLATFORM_MSI);
		if (aia_domain) {
			of_node_put(np);
			break;
		}
	}
	if (!aia_domain && imsic_acpi_get_fwnode(NULL))
		aia_domain = irq_find_matching_fwnode(imsic_acpi_get_fwnode(NULL),
						      DOMAIN_BUS_PLATFORM_MSI);

	aia_wq = alloc_workqueue("aia_test", WQ_HIGHPRI | WQ_PERCPU, 0);
	if (!aia_wq)
		return -ENOMEM;

	rc = aia_map(global);
	if (rc) {
		destroy_workqueue(aia_wq);
		return rc;
	}

	aia_dir = debugfs_create_dir("aia_test", NULL);
	for (i = 0; i < ARRAY_SIZE(aia_files); i++)
		debugfs_create_file(aia_files[i].name, 0600, aia_dir, (void *)&aia_files[i],
				    &aia_file_fops);

	return 0;
}

static void __exit aia_test_exit(void)
{
	struct aia_dev *adev, *tmp;

	debugfs_remove_recursive(aia_dir);
	list_for_each_entry_safe(adev, tmp, &aia_devs, node)
		aia_free(adev);
	destroy_workqueue(aia_wq);
	aia_unmap();
	xa_destroy(&aia_vecs);
}

module_init(aia_test_init);
module_exit(aia_test_exit);

MODULE_DESCRIPTION("Device that sends MSIs on demand, for tests of the RISC-V IMSIC driver");
MODULE_LICENSE("GPL");
