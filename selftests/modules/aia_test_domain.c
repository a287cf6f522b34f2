// SPDX-License-Identifier: GPL-2.0
/*
 * A power domain with an APLIC in it, which loses its registers when the domain
 * is switched off.
 */

#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/pm_domain.h>
#include <linux/seq_file.h>

#include "aia_test.h"

#ifdef CONFIG_PM_GENERIC_DOMAINS

static void __iomem *aia_pd_regs;
static u32 aia_pd_sources;
static u32 aia_pd_idcs;
static unsigned int aia_pd_offs;
static unsigned int aia_pd_ons;

static int aia_pd_off(struct generic_pm_domain *domain)
{
	aia_lose_aplic(aia_pd_regs, aia_pd_sources, aia_pd_idcs);
	aia_pd_offs++;

	return 0;
}

static int aia_pd_on(struct generic_pm_domain *domain)
{
	aia_pd_ons++;

	return 0;
}

static struct generic_pm_domain aia_pd = {
	.name		= "aia-test",
	.power_off	= aia_pd_off,
	.power_on	= aia_pd_on,
};

int aia_write_domain(char *buf)
{
	struct device_node *np;
	int rc;
	u64 addr;

	if (aia_pd_regs || kstrtou64(strim(buf), 0, &addr))
		return -EINVAL;

	np = aia_find_aplic(addr);
	if (!np)
		return -ENODEV;
	aia_pd_regs = of_iomap(np, 0);
	rc = of_property_read_u32(np, "riscv,num-sources", &aia_pd_sources);
	if (!of_property_present(np, "msi-parent"))
		aia_pd_idcs = of_property_count_u32_elems(np, "interrupts-extended") / 2;
	of_node_put(np);
	if (rc || !aia_pd_regs)
		return -EIO;

	rc = pm_genpd_init(&aia_pd, NULL, true);
	if (rc)
		return rc;
	np = of_find_compatible_node(NULL, NULL, "aia-test,power");
	rc = of_genpd_add_provider_simple(np, &aia_pd);
	of_node_put(np);
	/* The APLIC cannot leave it */
	if (!rc)
		__module_get(THIS_MODULE);

	return rc;
}

void aia_show_domain(struct seq_file *m)
{
	seq_printf(m, "%u %u\n", aia_pd_offs, aia_pd_ons);
}

#else

int aia_write_domain(char *buf)
{
	return -EOPNOTSUPP;
}

void aia_show_domain(struct seq_file *m)
{
}

#endif
