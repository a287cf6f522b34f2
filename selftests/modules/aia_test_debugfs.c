// SPDX-License-Identifier: GPL-2.0
/*
 * Control is in debugfs, aia_test/; numbers are decimal or 0x. V is a vector,
 * D a device, C a CPU:
 *
 *   alloc    w  "N [stepwise] [deferred] [unlazy]": make a device with N vectors.
 *               stepwise: its message update is not atomic. deferred: nor is that,
 *               and moves happen in interrupt context, as for PCI. unlazy:
 *               disable masks at once
 *   wires    w  "N": make a device with N vectors that are wires of a controller
 *               of the module's own, which sends MSIs for them
 *   multi    w  "N": make a device of QEMU's xHCI controller, with N vectors that it raises
 *               by one message
 *   alloc    r  the last device made, and its first vector
 *   free     w  "D" or "all": quiesce, and free vectors and device
 *   move_free w "D C": move all vectors to C and free the device at once
 *   request  w  "V": request_irq()
 *   release  w  "V": free_irq(); the device may go on firing
 *   mask     w  "V 0|1": enable_irq() or disable_irq()
 *   chain    w  "V": request, with a chained handler
 *   affine   w  "V C": irq_set_affinity(), with its result as it comes
 *   type     w  "V TYPE": irq_set_irq_type(), with its result as it comes
 *   wake     w  "V 0|1": irq_set_irq_wake(), with its result as it comes
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
 *   latency  r  "rounds lost leaked min_ns avg_ns max_ns alone": alone: rounds in
 *               which the handler's CPU took no other interrupt before
 *   hold     w  "C USECS": C runs with interrupts off for so long
 *   linger   w  "V": the next run of V's handler lasts, and keeps its CPU so
 *   let_go   w  "all": those that do so end it
 *   hold     r  how many CPUs do so now
 *   straggle w  "V C D NS": move V to C while its updates take effect NS later;
 *               near the end of that time, move the vectors of D to where V was,
 *               and send one MSI
 *   straggle r  1 if it went out with the old message, and in time
 *   mute     w  "C 0|1": C gets MSIs of other harts, or does not
 *   stray    w  "C ID [N [LAST]]": write the IDs from ID to LAST, or ID only, to
 *               the interrupt file of C, N times
 *   crash    w  "C ADDR FIRST LAST": C stores the numbers from FIRST to LAST in the
 *               register ADDR, with interrupts off, and the kernel dies there,
 *               while a guest interrupt file of C interrupts it, if C has one
 *   crash_moving w  "V C D": the kernel dies in the next handler of V, which has moved
 *               it between C and D before, until a move waits
 *   wired    w  "LINE TYPE [ADDR]": make a device of one vector that is a line of
 *               the first APLIC, or of that one, as IRQ_TYPE_*. The handler of a
 *               level line disables it
 *   line     w  "INDEX": as wired, an interrupt of the device tree's node that is
 *               compatible with aia-test,lines
 *   probe    w  "ADDR... [orphan]": make devices of APLICs, all at once, whose
 *               nodes are disabled. orphan: with an MSI domain that takes none
 *   fail     w  "N": the Nth allocation of the next probe of an APLIC fails; needs a
 *               kernel that can do that
 *   fail     r  1 if it had that many
 *   states   w  "0|1": take all dynamic states of CPU hotplug there are, or give
 *               them back
 *   hvien    w  "BIT": set that bit of hvien of each CPU, before KVM uses it; 0: of
 *               none any more
 *   hvien    r  per CPU, while a bit is set: "C on|off hvien mask hvictl hviprio1
 *               hviprio2"; off: when it went, and KVM had ceased to use it; mask: bits
 *               that the hart has
 *   idle     w  "C": C goes through an idle state that loses KVM's CSRs, but hvien
 *   idle     r  hvien and hvictl in that state, hgeie before and after, and hvictl, hviprio1,
 *               hviprio2 after it
 *   sleep    w  "F W": the system sleeps, whose only CPU loses KVM's CSRs and what
 *               F guest interrupt files with W words of identities hold
 *   doze     w  "C LOSS ROUNDS USECS": C goes so often through an idle state of USECS that loses
 *               nothing (LOSS 0), its registers but for MSIs that come meanwhile (1), or
 *               these too (2); the writing CPU calls it by IPIs all the time
 *   doze     r  how many calls that were
 *   asleep   w  "LOSES [LINE]": from now on the system can be suspended to "mem". It is woken
 *               up at once, or when LINE of the first APLIC is high, and loses
 *               (LOSES 1) the registers of the CPU and of all APLICs
 *   asleep   r  "nights woken": how often it was, and was woken by the line, which was low before;
 *               then the enable bits of the first APLIC's lines in the last of them, in hex
 *   domain   w  "ADDR": the power domain of that APLIC, which is the node compatible with
 *               aia-test,power, comes; the APLIC loses its registers in it
 *   domain   r  "offs ons": how often it was switched off and on
 *   gstage   w  "C ADDR": look that guest-physical address up in the G-stage of C
 *   gstage   r  "level pte" of what was found last
 *   stats    r  per vector: "V irq total cpu0 cpu1 ..."
 *   stats    w  clear the counts
 *   msg      r  per vector: "V D irq address data updates requested"
 *   bad      r  messages with an address that is no hart's interrupt file
 */

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "aia_test.h"

struct aia_file {
	const char		*name;
	int			(*write)(char *buf);
	void			(*show)(struct seq_file *m);
};

/* Serialises everything that comes from debugfs */
static DEFINE_MUTEX(aia_lock);
static struct dentry *aia_dir;

static const struct aia_file aia_files[] = {
	{ "alloc", aia_write_alloc, aia_show_alloc },
	{ "free", aia_write_free, NULL },
	{ "move_free", aia_write_move_free, NULL },
	{ "request", aia_write_request, NULL },
	{ "release", aia_write_release, NULL },
	{ "chain", aia_write_chain, NULL },
	{ "mask", aia_write_mask, NULL },
	{ "affine", aia_write_affine, NULL },
	{ "type", aia_write_type, NULL },
	{ "wake", aia_write_wake, NULL },
	{ "fire", aia_write_fire, NULL },
	{ "seq", aia_write_seq, aia_show_seq },
	{ "spray", aia_write_spray, NULL },
	{ "posted", aia_write_posted, NULL },
	{ "inject", aia_write_inject, aia_show_inject },
	{ "latency", aia_write_latency, aia_show_latency },
	{ "hold", aia_write_hold, aia_show_hold },
	{ "linger", aia_write_linger, NULL },
	{ "let_go", aia_write_let_go, NULL },
	{ "straggle", aia_write_straggle, aia_show_straggle },
	{ "mute", aia_write_mute, NULL },
	{ "stray", aia_write_stray, NULL },
	{ "crash", aia_write_crash, NULL },
	{ "crash_moving", aia_write_crash_moving, NULL },
	{ "wired", aia_write_wired, NULL },
	{ "line", aia_write_line, NULL },
	{ "wires", aia_write_wires, NULL },
	{ "multi", aia_write_multi, NULL },
	{ "probe", aia_write_probe, NULL },
	{ "fail", aia_write_fail, aia_show_fail },
	{ "states", aia_write_states, NULL },
	{ "hvien", aia_write_hvien, aia_show_hvien },
	{ "idle", aia_write_idle, aia_show_idle },
	{ "sleep", aia_write_sleep, NULL },
	{ "doze", aia_write_doze, aia_show_doze },
	{ "asleep", aia_write_asleep, aia_show_asleep },
	{ "domain", aia_write_domain, aia_show_domain },
	{ "gstage", aia_write_gstage, aia_show_gstage },
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

void aia_debugfs_init(void)
{
	int i;

	aia_dir = debugfs_create_dir("aia_test", NULL);
	for (i = 0; i < ARRAY_SIZE(aia_files); i++)
		debugfs_create_file(aia_files[i].name, 0600, aia_dir, (void *)&aia_files[i],
				    &aia_file_fops);
}

void aia_debugfs_exit(void)
{
	debugfs_remove_recursive(aia_dir);
}
