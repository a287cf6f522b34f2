/* SPDX-License-Identifier: GPL-2.0 */
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
 * Besides, what only the kernel sees of a hart, for tests of KVM: its CSR hvien,
 * idle states, and the page table of the guest that it runs.
 */
#ifndef AIA_TEST_H
#define AIA_TEST_H

#include <linux/atomic.h>
#include <linux/compiler_types.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

struct aia_pci;
struct device_node;
struct imsic_global_config;
struct irq_domain;
struct msi_desc;
struct msi_msg;
struct platform_device;
struct seq_file;
struct task_struct;

#define AIA_POSTED		8

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
	bool			chained;
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
	/* Interrupts that the handler's CPU had taken when it last ran */
	unsigned int		taken;
	wait_queue_head_t	wait;
	/* Its next run lasts until what is held is let go, which it was so often before */
	bool			lingers;
	u32			ended;

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
	bool			stepwise;
	bool			unlazy;
	bool			msis;
	/* Of an APLIC, or of the controller here */
	bool			wired;
	bool			wires;
	/* A real one, which raises all by one message */
	struct aia_pci		*pci;
	struct aia_vec		vecs[] __counted_by(nr_vecs);
};

/* All vectors by their numbers; what looks at them holds the lock of debugfs */
extern struct xarray aia_vecs;

/* aia_test_bus.c */
int aia_map(const struct imsic_global_config *global);
void aia_unmap(void);
void aia_send(const struct aia_msg *msg);
int aia_write_stray(char *buf);
void aia_show_bad(struct seq_file *m);

/* aia_test_message.c */
void aia_fire(struct aia_vec *vec);
void aia_update(struct aia_vec *vec, struct msi_msg *msg);
void aia_write_msg(struct msi_desc *desc, struct msi_msg *msg);
int aia_write_fire(char *buf);
int aia_write_posted(char *buf);
int aia_write_inject(char *buf);
void aia_show_inject(struct seq_file *m);
void aia_show_msg(struct seq_file *m);

/* aia_test_vector.c */
struct aia_vec *aia_find_vec(u32 nr);
void aia_release(struct aia_vec *vec);
int aia_write_request(char *buf);
int aia_write_release(char *buf);
int aia_write_chain(char *buf);
int aia_write_mask(char *buf);
int aia_write_affine(char *buf);
int aia_write_type(char *buf);
int aia_write_wake(char *buf);
int aia_write_stats(char *buf);
void aia_show_stats(struct seq_file *m);

/* aia_test_sender.c */
void aia_stop(struct aia_vec *vec);
int aia_write_seq(char *buf);
void aia_show_seq(struct seq_file *m);
int aia_write_spray(char *buf);

/* aia_test_device.c */
void aia_find_domain(void);
struct irq_domain *aia_msi_domain(void);
struct aia_dev *aia_find_dev(u32 id);
void aia_free_all(void);
int aia_write_alloc(char *buf);
void aia_show_alloc(struct seq_file *m);
int aia_write_free(char *buf);
int aia_write_move_free(char *buf);
int aia_write_wired(char *buf);
int aia_write_line(char *buf);
int aia_write_wires(char *buf);
int aia_write_multi(char *buf);

/* aia_test_wires.c */
struct irq_domain *aia_wires_domain(void);
int aia_wires_map(struct aia_vec *vec);
void aia_wires_unmap(struct aia_vec *vec);
void aia_wires_remove(void);

/* aia_test_aplic.c */
struct device_node *aia_find_aplic(u64 addr);
int aia_write_probe(char *buf);
int aia_write_states(char *buf);
void aia_release_states(void);

/* aia_test_pci.c */
struct aia_pci *aia_pci_alloc(u32 nr);
int aia_pci_irq(struct aia_pci *pci, u32 n);
void aia_pci_fire(struct aia_pci *pci, u32 n);
void aia_pci_free(struct aia_pci *pci);

/* aia_test_faults.c */
int aia_faults_init(void);
void aia_faults_exit(void);
int aia_write_fail(char *buf);
void aia_show_fail(struct seq_file *m);

/* aia_test_latency.c */
int aia_write_latency(char *buf);
void aia_show_latency(struct seq_file *m);

/* aia_test_hold.c */
int aia_hold_init(void);
void aia_hold_exit(void);
int aia_write_hold(char *buf);
int aia_write_linger(char *buf);
void aia_linger(struct aia_vec *vec);
int aia_write_let_go(char *buf);
void aia_show_hold(struct seq_file *m);

/* aia_test_straggler.c */
int aia_write_straggle(char *buf);
void aia_show_straggle(struct seq_file *m);

/* aia_test_mute.c */
int aia_write_mute(char *buf);

/* aia_test_crash.c */
int aia_write_crash(char *buf);
int aia_write_crash_moving(char *buf);
void aia_crash_handler(struct aia_vec *vec);

/* aia_test_hvien.c */
void aia_hvien_remove(void);
int aia_write_hvien(char *buf);
void aia_show_hvien(struct seq_file *m);

/* aia_test_idle.c */
int aia_write_idle(char *buf);
void aia_show_idle(struct seq_file *m);

/* aia_test_sleep.c */
#ifdef CONFIG_PM_SLEEP
int aia_write_sleep(char *buf);
#else
static inline int aia_write_sleep(char *buf)
{
	return -EOPNOTSUPP;
}
#endif

/* aia_test_power.c */
int aia_write_doze(char *buf);
void aia_show_doze(struct seq_file *m);
int aia_write_asleep(char *buf);
void aia_show_asleep(struct seq_file *m);
void aia_asleep_remove(void);
void aia_lose_aplic(void __iomem *regs, u32 sources, u32 idcs);

/* aia_test_domain.c */
int aia_write_domain(char *buf);
void aia_show_domain(struct seq_file *m);

/* aia_test_gstage.c */
int aia_write_gstage(char *buf);
void aia_show_gstage(struct seq_file *m);

/* aia_test_debugfs.c */
void aia_debugfs_init(void);
void aia_debugfs_exit(void);

#endif /* AIA_TEST_H */
