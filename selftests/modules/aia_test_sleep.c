// SPDX-License-Identifier: GPL-2.0
/*
 * Puts the system to sleep, as far as the core's callbacks go that are called
 * last, on the last CPU. All but the sleep is real: who is told saves what the
 * hart would lose, and it holds something else in between.
 */

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/syscore_ops.h>
#include <linux/workqueue.h>

#include <asm/cpufeature.h>
#include <asm/csr.h>

#include "aia_test.h"

#define AIA_EIDELIVERY		0x70
#define AIA_EIP0		0x80
#define AIA_EIE0		0xc0

static void aia_sleep_write(unsigned long select, unsigned long value)
{
	csr_write(CSR_VSISELECT, select);
	csr_write(CSR_VSIREG, value);
}

/* All guest interrupt files of the hart hold something else */
static void aia_sleep_lose(unsigned int files, unsigned int words)
{
	unsigned long hstatus = csr_read(CSR_HSTATUS);
	unsigned long vsiselect = csr_read(CSR_VSISELECT);
	unsigned int file, word;

	for (file = 1; file <= files; file++) {
		csr_write(CSR_HSTATUS, (hstatus & ~HSTATUS_VGEIN) |
			  (unsigned long)file << HSTATUS_VGEIN_SHIFT);
		aia_sleep_write(AIA_EIDELIVERY, 0);
		for (word = 0; word < words; word++) {
			aia_sleep_write(AIA_EIP0 + 2 * word, 0x5555555555555555);
			aia_sleep_write(AIA_EIE0 + 2 * word, 0x3333333333333333);
		}
	}
	csr_write(CSR_HSTATUS, hstatus);
	csr_write(CSR_VSISELECT, vsiselect);
	csr_write(CSR_HGEIE, 0);
	csr_write(CSR_HVICTL, ~0UL);
}

struct aia_sleep {
	u32 files;
	u32 words;
};

static long aia_sleep(void *arg)
{
	struct aia_sleep *sleep = arg;
	unsigned long flags;
	int rc;

	local_irq_save(flags);
	rc = syscore_suspend();
	if (!rc) {
		aia_sleep_lose(sleep->files, sleep->words);
		syscore_resume();
	}
	local_irq_restore(flags);

	return rc;
}

int aia_write_sleep(char *buf)
{
	struct aia_sleep sleep;

	if (sscanf(buf, "%u %u", &sleep.files, &sleep.words) != 2 ||
	    sleep.files > 63 || sleep.words > 32)
		return -EINVAL;
	if (!riscv_isa_extension_available(NULL, H) ||
	    !riscv_isa_extension_available(NULL, SSAIA))
		return -ENODEV;

	guard(cpus_read_lock)();
	if (num_online_cpus() != 1)
		return -EBUSY;

	/* In a thread, so that no vCPU is loaded */
	return work_on_cpu(cpumask_first(cpu_online_mask), aia_sleep, &sleep);
}
