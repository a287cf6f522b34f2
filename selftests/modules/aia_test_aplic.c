// SPDX-License-Identifier: GPL-2.0
/*
 * APLICs that are probed late: their nodes are there, but disabled, so that
 * nothing makes devices of them before this does.
 */

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/platform_device.h>
#include <linux/processor.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "aia_test.h"

#define AIA_MAX_PROBES		4
#define AIA_MAX_STATES		64

struct aia_probe {
	struct work_struct	work;
	struct platform_device	*pdev;
	atomic_t		*missing;
	int			rc;
};

static int aia_states[AIA_MAX_STATES];
static unsigned int aia_nr_states;

struct device_node *aia_find_aplic(u64 addr)
{
	struct device_node *np;
	struct resource res;

	for_each_compatible_node(np, NULL, "riscv,aplic") {
		if (!of_address_to_resource(np, 0, &res) && res.start == addr)
			return np;
	}

	return NULL;
}

static struct platform_device *aia_aplic_device(u64 addr, bool orphan)
{
	struct platform_device *pdev;
	struct device_node *np;
	char name[48];

	np = aia_find_aplic(addr);
	if (!np)
		return NULL;

	snprintf(name, sizeof(name), "%llx.interrupt-controller", addr);
	pdev = platform_device_alloc(name, PLATFORM_DEVID_NONE);
	if (pdev) {
		platform_device_set_of_node(pdev, np);
		/* The driver finds the MSI controller itself, if there is nothing yet */
		if (orphan)
			dev_set_msi_domain(&pdev->dev, aia_wires_domain());
	}
	of_node_put(np);

	return pdev;
}

/* All at once, if there are several */
static void aia_probe(struct work_struct *work)
{
	struct aia_probe *probe = container_of(work, struct aia_probe, work);

	atomic_dec(probe->missing);
	while (atomic_read(probe->missing))
		cpu_relax();

	probe->rc = platform_device_add(probe->pdev);
	if (probe->rc) {
		platform_device_put(probe->pdev);
	} else if (!device_is_bound(&probe->pdev->dev)) {
		platform_device_unregister(probe->pdev);
		probe->rc = -ENXIO;
	}
}

int aia_write_probe(char *buf)
{
	struct aia_probe probes[AIA_MAX_PROBES];
	bool orphan = strstr(buf, "orphan");
	unsigned int n = 0, i, cpu = -1;
	atomic_t missing;
	char *word;
	int rc = 0;
	u64 addr;

	while ((word = strsep(&buf, "\n "))) {
		if (!*word || !strcmp(word, "orphan"))
			continue;
		if (n == AIA_MAX_PROBES || kstrtou64(word, 0, &addr)) {
			rc = -EINVAL;
			break;
		}
		probes[n].pdev = aia_aplic_device(addr, orphan);
		if (!probes[n].pdev) {
			rc = -ENODEV;
			break;
		}
		n++;
	}
	if (rc || n > num_online_cpus()) {
		while (n--)
			platform_device_put(probes[n].pdev);
		return rc ?: -EINVAL;
	}

	atomic_set(&missing, n);
	for (i = 0; i < n; i++) {
		cpu = cpumask_next(cpu, cpu_online_mask);
		probes[i].missing = &missing;
		INIT_WORK_ONSTACK(&probes[i].work, aia_probe);
		schedule_work_on(cpu, &probes[i].work);
	}
	for (i = 0; i < n; i++) {
		flush_work(&probes[i].work);
		destroy_work_on_stack(&probes[i].work);
		rc = rc ?: probes[i].rc;
	}

	return rc;
}

static int aia_nothing(unsigned int cpu)
{
	return 0;
}

void aia_release_states(void)
{
	while (aia_nr_states)
		cpuhp_remove_state_nocalls(aia_states[--aia_nr_states]);
}

/* As many states as there are: who sets one up next fails */
int aia_write_states(char *buf)
{
	int state;
	bool take;

	if (kstrtobool(strim(buf), &take))
		return -EINVAL;
	if (!take) {
		aia_release_states();
		return 0;
	}

	while (aia_nr_states < AIA_MAX_STATES) {
		state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "aia_test:full",
						  aia_nothing, NULL);
		if (state < 0)
			return state == -ENOSPC ? 0 : state;
		aia_states[aia_nr_states++] = state;
	}

	return -E2BIG;
}
