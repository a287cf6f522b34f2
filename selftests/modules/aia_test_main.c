// SPDX-License-Identifier: GPL-2.0
/*
 * The module: see aia_test.h for what it is, aia_test_debugfs.c for what it is
 * told to do.
 */

#include <linux/irqchip/riscv-imsic.h>
#include <linux/module.h>

#include "aia_test.h"

static int __init aia_test_init(void)
{
	int rc;

	aia_find_domain();

	rc = aia_hold_init();
	if (rc)
		return rc;

	rc = aia_faults_init();
	if (rc)
		goto err_hold;

	rc = aia_map(imsic_get_global_config());
	if (rc)
		goto err_faults;

	aia_debugfs_init();
	return 0;

err_faults:
	aia_faults_exit();
err_hold:
	aia_hold_exit();
	return rc;
}

static void __exit aia_test_exit(void)
{
	aia_debugfs_exit();
	aia_hvien_remove();
	aia_asleep_remove();
	aia_free_all();
	aia_wires_remove();
	aia_release_states();
	aia_faults_exit();
	aia_hold_exit();
	aia_unmap();
	xa_destroy(&aia_vecs);
}

module_init(aia_test_init);
module_exit(aia_test_exit);

MODULE_DESCRIPTION("Device that sends MSIs on demand, for tests of the RISC-V IMSIC driver");
MODULE_LICENSE("GPL");
