// SPDX-License-Identifier: GPL-2.0
/*
 * States in which harts and APLICs lose their registers. All but the loss is
 * real: who has something to lose is told before and after, and all registers
 * hold something else in between.
 */

#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpu_pm.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irqchip/riscv-aplic.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

#define AIA_EIDELIVERY		0x70
#define AIA_EITHRESHOLD		0x72
#define AIA_EIP0		0x80
#define AIA_EIE0		0xc0
#define AIA_MAX_WORDS		32
#define AIA_MAX_APLICS		4
#define AIA_MAX_ENABLED		32
/* A level that is still low after so many milliseconds stays so */
#define AIA_PATIENCE		20000

/* What a state loses */
enum aia_loss {
	AIA_KEEPS,
	/* All, but what is made pending in the state */
	AIA_LOSES,
	/* That, too */
	AIA_LOSES_ALL,
	AIA_LOSSES
};

struct aia_doze {
	struct work_struct	work;
	struct completion	done;
	u32			loss;
	u32			rounds;
	u32			us;
	int			rc;
	unsigned int		words;
	unsigned long		pending[AIA_MAX_WORDS];
};

static unsigned long aia_doze_calls;

static unsigned int aia_words(u32 ids)
{
	return ids / 64 + 1;
}

static bool aia_has_files(void)
{
	const struct imsic_global_config *global = imsic_get_global_config();

	return global && global->nr_guest_ids && riscv_isa_extension_available(NULL, H);
}

static unsigned long aia_file_read(unsigned long select)
{
	csr_write(CSR_SISELECT, select);

	return csr_read(CSR_SIREG);
}

static void aia_file_write(unsigned long select, unsigned long value)
{
	csr_write(CSR_SISELECT, select);
	csr_write(CSR_SIREG, value);
}

/* The interrupt file of the hart, of what is pending the bits in LOST or all */
static void aia_lose_file(unsigned int words, const unsigned long *lost)
{
	unsigned int word;

	aia_file_write(AIA_EIDELIVERY, 0);
	aia_file_write(AIA_EITHRESHOLD, 1);
	for (word = 0; word < words; word++) {
		csr_write(CSR_SISELECT, AIA_EIP0 + 2 * word);
		csr_clear(CSR_SIREG, lost ? lost[word] : ~0UL);
		aia_file_write(AIA_EIE0 + 2 * word, 0x5a5a5a5a5a5a5a5a);
	}
}

static void aia_guest_write(unsigned long select, unsigned long value)
{
	csr_write(CSR_VSISELECT, select);
	csr_write(CSR_VSIREG, value);
}

/* The hart has a bit in hgeie for each: there may be fewer than pages for them */
static unsigned int aia_guest_files(void)
{
	unsigned long enabled, all;

	if (!aia_has_files() || !riscv_isa_extension_available(NULL, SSAIA))
		return 0;

	enabled = csr_swap(CSR_HGEIE, ~0UL);
	all = csr_swap(CSR_HGEIE, enabled);

	return all ? __fls(all) : 0;
}

/* What a hart has for guests, none of which is loaded */
static void aia_lose_guests(void)
{
	const struct imsic_global_config *global = imsic_get_global_config();
	unsigned int file, files, word;
	unsigned long hstatus;

	if (!riscv_isa_extension_available(NULL, H))
		return;

	hstatus = csr_read(CSR_HSTATUS);
	files = aia_guest_files();
	for (file = 1; file <= files; file++) {
		csr_write(CSR_HSTATUS, (hstatus & ~HSTATUS_VGEIN) |
			  (unsigned long)file << HSTATUS_VGEIN_SHIFT);
		aia_guest_write(AIA_EIDELIVERY, 0);
		aia_guest_write(AIA_EITHRESHOLD, 1);
		for (word = 0; word < aia_words(global->nr_guest_ids); word++) {
			aia_guest_write(AIA_EIP0 + 2 * word, 0);
			aia_guest_write(AIA_EIE0 + 2 * word, 0x5a5a5a5a5a5a5a5a);
		}
	}
	csr_write(CSR_HSTATUS, hstatus & ~HSTATUS_VGEIN);

	csr_write(CSR_VSSTATUS, 0);
	csr_write(CSR_VSIE, 0);
	csr_write(CSR_VSTVEC, 0x1000);
	csr_write(CSR_VSSCRATCH, ~0UL);
	csr_write(CSR_VSEPC, 0);
	csr_write(CSR_VSCAUSE, 0);
	csr_write(CSR_VSTVAL, 0);
	csr_write(CSR_VSATP, 0);
	csr_write(CSR_HVIP, 0);
	csr_write(CSR_HGATP, 0);
	if (!riscv_isa_extension_available(NULL, SSAIA))
		return;
	csr_write(CSR_VSISELECT, 0);
	csr_write(CSR_HGEIE, 0);
	csr_clear(CSR_HIE, BIT(IRQ_S_GEXT));
	csr_write(CSR_HVICTL, ~0UL);
	csr_write(CSR_HVIPRIO1, ~0UL);
	csr_write(CSR_HVIPRIO2, ~0UL);
}

static int aia_doze_once(struct aia_doze *doze)
{
	unsigned long flags;
	unsigned int word;
	int rc;

	local_irq_save(flags);
	/* For something to become pending before it, and in it */
	udelay(doze->us);
	for (word = 0; word < doze->words; word++)
		doze->pending[word] = aia_file_read(AIA_EIP0 + 2 * word);
	rc = cpu_pm_enter();
	if (!rc) {
		udelay(doze->us);
		if (doze->loss != AIA_KEEPS) {
			aia_lose_file(doze->words,
				      doze->loss == AIA_LOSES ? doze->pending : NULL);
			aia_lose_guests();
		}
		rc = cpu_pm_exit();
	}
	local_irq_restore(flags);

	return rc;
}

/* In a thread, as the idle task is one: no vCPU is loaded */
static void aia_doze(struct work_struct *work)
{
	struct aia_doze *doze = container_of(work, struct aia_doze, work);
	u32 round;

	for (round = 0; round < doze->rounds && !doze->rc; round++) {
		doze->rc = aia_doze_once(doze);
		cond_resched();
	}
	complete(&doze->done);
}

static void aia_called(void *unused)
{
}

int aia_write_doze(char *buf)
{
	const struct imsic_global_config *global = imsic_get_global_config();
	struct aia_doze doze = {};
	u32 cpu;

	if (sscanf(buf, "%u %u %u %u", &cpu, &doze.loss, &doze.rounds, &doze.us) != 4 ||
	    doze.loss >= AIA_LOSSES || doze.us > 1000)
		return -EINVAL;
	if (global)
		doze.words = aia_words(global->nr_ids);

	guard(cpus_read_lock)();
	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;

	init_completion(&doze.done);
	INIT_WORK_ONSTACK(&doze.work, aia_doze);
	aia_doze_calls = 0;
	schedule_work_on(cpu, &doze.work);
	/* Each of them arrives, or this never ends */
	while (!completion_done(&doze.done)) {
		smp_call_function_single(cpu, aia_called, NULL, 1);
		aia_doze_calls++;
		cond_resched();
	}
	flush_work(&doze.work);
	destroy_work_on_stack(&doze.work);

	return doze.rc;
}

void aia_show_doze(struct seq_file *m)
{
	seq_printf(m, "%lu\n", aia_doze_calls);
}

static struct aia_asleep {
	bool			on;
	bool			loses;
	/* Of the first APLIC; 0: wakes up at once */
	u32			line;
	unsigned long		nights;
	/* In which the line was low first, and then high */
	unsigned long		woken;
	/* What of the first APLIC was enabled then, before that was lost */
	u32			enabled[AIA_MAX_ENABLED];
	unsigned int		nr_aplics;
	struct {
		void __iomem	*regs;
		u32		sources;
		u32		idcs;
	} aplics[AIA_MAX_APLICS];
} aia_asleep;

static unsigned int aia_words32(u32 sources)
{
	return min(sources / 32 + 1, AIA_MAX_ENABLED);
}

/* All that it is told; it delivers nothing */
void aia_lose_aplic(void __iomem *regs, u32 sources, u32 idcs)
{
	u32 i;

	writel(0, regs + APLIC_DOMAINCFG);
	for (i = 1; i <= sources; i++) {
		void __iomem *target = regs + APLIC_TARGET_BASE + (i - 1) * 4;
		static const u32 modes[] = { 0, 1, 4, 7 };

		writel(modes[i % ARRAY_SIZE(modes)],
		       regs + APLIC_SOURCECFG_BASE + (i - 1) * 4);
		writel(0x7f, target);
		writel(i, regs + APLIC_SETIPNUM_LE);
		writel(i, regs + (i & 8 ? APLIC_SETIENUM : APLIC_CLRIENUM));
	}
	for (i = 0; i < idcs; i++) {
		void __iomem *idc = regs + APLIC_IDC_BASE + i * APLIC_IDC_SIZE;

		writel(0, idc + APLIC_IDC_IDELIVERY);
		writel(1, idc + APLIC_IDC_IFORCE);
		writel(1, idc + APLIC_IDC_ITHRESHOLD);
	}
}

static int aia_asleep_enter(suspend_state_t state)
{
	const struct imsic_global_config *global = imsic_get_global_config();
	void __iomem *input = NULL;
	u32 mask = BIT(aia_asleep.line % 32);
	unsigned int i;

	if (aia_asleep.line && aia_asleep.nr_aplics)
		input = aia_asleep.aplics[0].regs + APLIC_CLRIP_BASE +
			aia_asleep.line / 32 * 4;
	/* It reads as the rectified inputs */
	for (i = 0; input && i < AIA_PATIENCE && !(readl(input) & mask); i++)
		mdelay(1);
	if (input && i && readl(input) & mask)
		aia_asleep.woken++;

	for (i = 0; aia_asleep.nr_aplics && i < aia_words32(aia_asleep.aplics[0].sources); i++)
		aia_asleep.enabled[i] = readl(aia_asleep.aplics[0].regs + APLIC_SETIE_BASE + i * 4);

	aia_asleep.nights++;
	if (!aia_asleep.loses)
		return 0;
	for (i = 0; i < aia_asleep.nr_aplics; i++)
		aia_lose_aplic(aia_asleep.aplics[i].regs, aia_asleep.aplics[i].sources,
			       aia_asleep.aplics[i].idcs);
	if (global)
		aia_lose_file(aia_words(global->nr_ids), NULL);
	aia_lose_guests();

	return 0;
}

static const struct platform_suspend_ops aia_asleep_ops = {
	.valid	= suspend_valid_only_mem,
	.enter	= aia_asleep_enter,
};

static void aia_asleep_unmap(void)
{
	while (aia_asleep.nr_aplics)
		iounmap(aia_asleep.aplics[--aia_asleep.nr_aplics].regs);
}

static int aia_asleep_map(void)
{
	struct device_node *np;

	for_each_compatible_node(np, NULL, "riscv,aplic") {
		unsigned int n = aia_asleep.nr_aplics;
		int idcs;

		if (!of_device_is_available(np) || n == AIA_MAX_APLICS)
			continue;
		idcs = of_property_present(np, "msi-parent") ? 0 :
		       of_property_count_u32_elems(np, "interrupts-extended") / 2;
		aia_asleep.aplics[n].regs = of_iomap(np, 0);
		if (!aia_asleep.aplics[n].regs ||
		    of_property_read_u32(np, "riscv,num-sources",
					 &aia_asleep.aplics[n].sources)) {
			of_node_put(np);
			return -EIO;
		}
		aia_asleep.aplics[n].idcs = idcs > 0 ? idcs : 0;
		aia_asleep.nr_aplics++;
	}

	return 0;
}

void aia_asleep_remove(void)
{
	if (aia_asleep.on)
		suspend_set_ops(NULL);
	aia_asleep.on = false;
	aia_asleep_unmap();
}

int aia_write_asleep(char *buf)
{
	u32 loses, line = 0;
	int rc;

	if (sscanf(buf, "%u %u", &loses, &line) < 1 || loses > 1)
		return -EINVAL;
	if (!aia_asleep.on) {
		rc = aia_asleep_map();
		if (rc) {
			aia_asleep_unmap();
			return rc;
		}
		suspend_set_ops(&aia_asleep_ops);
		aia_asleep.on = true;
	}
	aia_asleep.loses = loses;
	aia_asleep.line = line;

	return 0;
}

void aia_show_asleep(struct seq_file *m)
{
	unsigned int i;

	seq_printf(m, "%lu %lu\n", aia_asleep.nights, aia_asleep.woken);
	for (i = 0; i < AIA_MAX_ENABLED; i++)
		seq_printf(m, "%08x ", aia_asleep.enabled[i]);
	seq_putc(m, '\n');
}
