// SPDX-License-Identifier: GPL-2.0
/*
 * An allocation of the next probe of an APLIC that fails: one of the driver's
 * own, as the count begins when the bus is about to call it.
 */

#include <linux/device.h>
#include <linux/device/bus.h>
#include <linux/errno.h>
#include <linux/kstrtox.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "aia_test.h"

#ifdef CONFIG_FAULT_INJECTION

/* Written before a device is made, and read when its probe is over */
static unsigned int aia_fail_nth;
static bool aia_failed;

static int aia_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (!aia_fail_nth || !dev->of_node ||
	    !of_device_is_compatible(dev->of_node, "riscv,aplic"))
		return NOTIFY_DONE;

	switch (event) {
	case BUS_NOTIFY_BIND_DRIVER:
		current->fail_nth = aia_fail_nth;
		break;
	case BUS_NOTIFY_BOUND_DRIVER:
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		aia_failed = !current->fail_nth;
		current->fail_nth = 0;
		aia_fail_nth = 0;
		break;
	}

	return NOTIFY_DONE;
}

static struct notifier_block aia_bus_events = {
	.notifier_call = aia_bus_event,
};

int aia_write_fail(char *buf)
{
	aia_failed = false;

	return kstrtouint(strim(buf), 0, &aia_fail_nth);
}

void aia_show_fail(struct seq_file *m)
{
	seq_printf(m, "%d\n", aia_failed);
}

int aia_faults_init(void)
{
	return bus_register_notifier(&platform_bus_type, &aia_bus_events);
}

void aia_faults_exit(void)
{
	bus_unregister_notifier(&platform_bus_type, &aia_bus_events);
}

#else

int aia_write_fail(char *buf)
{
	return -EOPNOTSUPP;
}

void aia_show_fail(struct seq_file *m)
{
}

int aia_faults_init(void)
{
	return 0;
}

void aia_faults_exit(void)
{
}

#endif
