// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of the kernel that the AIA drivers use; included
 * at the end of rust/helpers/helpers.c.
 */
#include <linux/acpi.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <linux/irqchip/chained_irq.h>
#include <linux/irqdomain.h>
#include <linux/irq_work.h>
#include <linux/msi.h>
#include <linux/of.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <asm/hwcap.h>
#include <asm/smp.h>

__rust_helper void rust_helper_chained_irq_enter(struct irq_chip *chip,
						 struct irq_desc *desc)
{
	chained_irq_enter(chip, desc);
}

__rust_helper void rust_helper_chained_irq_exit(struct irq_chip *chip,
						struct irq_desc *desc)
{
	chained_irq_exit(chip, desc);
}

__rust_helper struct irq_chip *
rust_helper_irq_desc_get_chip(struct irq_desc *desc)
{
	return irq_desc_get_chip(desc);
}

__rust_helper struct irq_data *
rust_helper_irq_desc_get_irq_data(struct irq_desc *desc)
{
	return irq_desc_get_irq_data(desc);
}

__rust_helper struct irq_desc *
rust_helper_irq_data_to_desc(struct irq_data *data)
{
	return irq_data_to_desc(data);
}

__rust_helper void rust_helper_generic_handle_irq_desc(struct irq_desc *desc)
{
	generic_handle_irq_desc(desc);
}

__rust_helper u32 rust_helper_irqd_get_trigger_type(struct irq_data *d)
{
	return irqd_get_trigger_type(d);
}

__rust_helper bool rust_helper_irqd_affinity_is_managed(struct irq_data *d)
{
	return irqd_affinity_is_managed(d);
}

__rust_helper bool rust_helper_irqd_irq_inprogress(struct irq_data *d)
{
	return irqd_irq_inprogress(d);
}

__rust_helper void rust_helper_irq_move_irq(struct irq_data *d)
{
	irq_move_irq(d);
}

__rust_helper void
rust_helper_irq_data_update_effective_affinity(struct irq_data *d,
					       const struct cpumask *m)
{
	irq_data_update_effective_affinity(d, m);
}

__rust_helper void rust_helper_irq_set_noprobe(unsigned int irq)
{
	irq_set_noprobe(irq);
}

__rust_helper struct irq_domain *
rust_helper_irq_find_matching_fwnode(struct fwnode_handle *fwnode,
				     enum irq_domain_bus_token bus_token)
{
	return irq_find_matching_fwnode(fwnode, bus_token);
}

__rust_helper struct irq_domain *rust_helper_dev_get_msi_domain(struct device *d)
{
	return dev_get_msi_domain(d);
}

__rust_helper void rust_helper_dev_set_msi_domain(struct device *dev,
						  struct irq_domain *d)
{
	dev_set_msi_domain(dev, d);
}

__rust_helper const struct cpumask *rust_helper_cpumask_of(unsigned int cpu)
{
	return cpumask_of(cpu);
}

__rust_helper unsigned int
rust_helper_cpumask_next(int n, const struct cpumask *mask)
{
	return cpumask_next(n, mask);
}

__rust_helper bool rust_helper_cpumask_subset(const struct cpumask *a,
					      const struct cpumask *b)
{
	return cpumask_subset(a, b);
}

__rust_helper const struct cpumask *rust_helper_cpu_online_mask(void)
{
	return cpu_online_mask;
}

__rust_helper const struct cpumask *rust_helper_cpu_possible_mask(void)
{
	return cpu_possible_mask;
}

__rust_helper void __percpu *rust_helper_alloc_percpu(size_t size, size_t align)
{
	return __alloc_percpu(size, align);
}

__rust_helper void *rust_helper_per_cpu_ptr(void __percpu *ptr, unsigned int cpu)
{
	return per_cpu_ptr(ptr, cpu);
}

__rust_helper void *rust_helper_raw_cpu_ptr(void __percpu *ptr)
{
	return raw_cpu_ptr(ptr);
}

__rust_helper int
rust_helper_cpuhp_setup_state(enum cpuhp_state state, const char *name,
			      int (*startup)(unsigned int cpu),
			      int (*teardown)(unsigned int cpu))
{
	return cpuhp_setup_state(state, name, startup, teardown);
}

__rust_helper void rust_helper_cpuhp_remove_state(enum cpuhp_state state)
{
	cpuhp_remove_state(state);
}

__rust_helper void
rust_helper_timer_setup_pinned(struct timer_list *timer,
			       void (*func)(struct timer_list *))
{
	timer_setup(timer, func, TIMER_PINNED);
}

__rust_helper bool rust_helper_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

__rust_helper void rust_helper_of_node_clear_flag(struct device_node *n,
						  unsigned long flag)
{
	of_node_clear_flag(n, flag);
}

__rust_helper struct device_node *
rust_helper_to_of_node(const struct fwnode_handle *fwnode)
{
	return to_of_node(fwnode);
}

__rust_helper struct fwnode_handle *
rust_helper_of_fwnode_handle(struct device_node *node)
{
	return of_fwnode_handle(node);
}

__rust_helper bool rust_helper_riscv_has_ssaia(void)
{
	return riscv_isa_extension_available(NULL, SxAIA);
}

__rust_helper bool rust_helper_riscv_has_h(void)
{
	return riscv_isa_extension_available(NULL, H);
}

/* These are functions, or not needed */
#ifndef CONFIG_SMP
__rust_helper bool rust_helper_irq_can_move_in_process_context(struct irq_data *d)
{
	return irq_can_move_in_process_context(d);
}

__rust_helper int rust_helper_riscv_hartid_to_cpuid(unsigned long hartid)
{
	return riscv_hartid_to_cpuid(hartid);
}

__rust_helper bool rust_helper_riscv_ipi_have_virq_range(void)
{
	return riscv_ipi_have_virq_range();
}
#endif

#ifdef CONFIG_ACPI
__rust_helper struct acpi_device *rust_helper_ACPI_COMPANION(struct device *dev)
{
	return ACPI_COMPANION(dev);
}
#endif

__rust_helper bool rust_helper_riscv_has_sscofpmf(void)
{
	return riscv_isa_extension_available(NULL, SSCOFPMF);
}

__rust_helper void rust_helper_raw_spin_lock_init_key(raw_spinlock_t *lock,
						      const char *name,
						      struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

__rust_helper void rust_helper_raw_spin_lock_irq_disable(raw_spinlock_t *lock)
{
	raw_spin_lock_irq_disable(lock);
}

__rust_helper void rust_helper_raw_spin_unlock_irq_enable(raw_spinlock_t *lock)
{
	raw_spin_unlock_irq_enable(lock);
}

__rust_helper unsigned long
rust_helper_raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);

	return flags;
}

__rust_helper void
rust_helper_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

__rust_helper bool
rust_helper_raw_spin_trylock_irq_disable(raw_spinlock_t *lock)
{
	return raw_spin_trylock_irq_disable(lock);
}

__rust_helper void rust_helper_raw_spin_assert_held(raw_spinlock_t *lock)
{
	lockdep_assert_held(lock);
}

__rust_helper void rust_helper_irqd_set_single_target(struct irq_data *d)
{
	irqd_set_single_target(d);
}

__rust_helper void rust_helper_irqd_set_resend_when_in_progress(struct irq_data *d)
{
	irqd_set_resend_when_in_progress(d);
}

__rust_helper unsigned long rust_helper_local_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);

	return flags;
}

__rust_helper void rust_helper_local_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

__rust_helper bool rust_helper_irqs_disabled(void)
{
	return irqs_disabled();
}

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

__rust_helper const struct cpumask *
rust_helper_irq_data_get_affinity_mask(struct irq_data *d)
{
	return irq_data_get_affinity_mask(d);
}

__rust_helper void rust_helper_init_irq_work_hard(struct irq_work *work,
						  void (*func)(struct irq_work *))
{
	*work = IRQ_WORK_INIT_HARD(func);
}

/*
 * KVM's only where they are linked with it. If it is a module, that is into its
 * crates, where they are inlined; otherwise kvm.ko has them as an object.
 */
#if IS_BUILTIN(CONFIG_RISCV_AIA_RUST_KVM) || \
	(IS_MODULE(CONFIG_RISCV_AIA_RUST_KVM) && \
	 (defined(MODULE) || defined(__BINDGEN__)))
#include "kvm.c"
#endif
