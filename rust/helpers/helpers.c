// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of the kernel that the AIA drivers use; included
 * at the end of rust/helpers/helpers.c.
 */
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <linux/irqchip/chained_irq.h>
#include <linux/irqdomain.h>
#include <linux/msi.h>
#include <linux/of.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <asm/hwcap.h>

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

__rust_helper bool rust_helper_raw_spin_trylock_irqsave(raw_spinlock_t *lock,
							unsigned long *flags)
{
	return raw_spin_trylock_irqsave(lock, *flags);
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

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

/*
 * Only for objects that are linked with KVM: if it is a module, those of
 * modules, into which the helpers are inlined.
 */
#if IS_BUILTIN(CONFIG_RISCV_AIA_RUST_KVM) || \
	(IS_MODULE(CONFIG_RISCV_AIA_RUST_KVM) && \
	 (defined(MODULE) || defined(__BINDGEN__)))
#include <linux/kvm_host.h>
#include <asm/cpufeature.h>
#include <asm/kvm_isa.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_nacl.h>

__rust_helper struct kvm_vcpu *rust_helper_kvm_get_vcpu(struct kvm *kvm, int i)
{
	return kvm_get_vcpu(kvm, i);
}

__rust_helper struct kvm_vcpu *rust_helper_kvm_get_vcpu_by_id(struct kvm *kvm, int id)
{
	return kvm_get_vcpu_by_id(kvm, id);
}

__rust_helper int rust_helper_kvm_online_vcpus(struct kvm *kvm)
{
	return atomic_read(&kvm->online_vcpus);
}

__rust_helper bool rust_helper_kvm_is_vcpu_creation_in_progress(struct kvm *kvm)
{
	return kvm_is_vcpu_creation_in_progress(kvm);
}

__rust_helper bool rust_helper_kvm_vcpu_is_blocking(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_is_blocking(vcpu);
}

__rust_helper void rust_helper_kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_kick(vcpu);
}

__rust_helper bool rust_helper_kvm_vcpu_has_ssaia(struct kvm_vcpu *vcpu)
{
	return riscv_isa_extension_available(vcpu->arch.isa, SSAIA);
}

__rust_helper int rust_helper_kvm_host_has_ssaia(void)
{
	return kvm_riscv_isa_check_host(SSAIA);
}

__rust_helper bool rust_helper_riscv_has_sscofpmf(void)
{
	return riscv_isa_extension_available(NULL, SSCOFPMF);
}

__rust_helper int rust_helper_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}

/*
 * Maps a device page where there is a page table already. As
 * kvm_riscv_mmu_ioremap(), which allocates a new path of tables in any case.
 */
__rust_helper int rust_helper_kvm_riscv_mmu_remap_page(struct kvm *kvm, gpa_t gpa,
						       phys_addr_t hpa)
{
	struct kvm_gstage_mapping map = {
		.addr = gpa,
		.pte = pte_mkdirty(pfn_pte(PHYS_PFN(hpa), pgprot_noncached(PAGE_WRITE))),
	};
	struct kvm_gstage gstage;
	int ret;

	kvm_riscv_gstage_init(&gstage, kvm);
	write_lock(&kvm->mmu_lock);
	ret = kvm_riscv_gstage_set_pte(&gstage, NULL, &map);
	write_unlock(&kvm->mmu_lock);
	return ret;
}

/*
 * CSRs of the vCPU that is loaded, which an SBI implementation may keep in
 * memory (nested acceleration): a number and a static branch for each.
 */
__rust_helper unsigned long rust_helper_kvm_ncsr_read_vsiselect(void)
{
	return ncsr_read(CSR_VSISELECT);
}

__rust_helper void rust_helper_kvm_ncsr_write_vsiselect(unsigned long val)
{
	ncsr_write(CSR_VSISELECT, val);
}

__rust_helper unsigned long rust_helper_kvm_ncsr_read_hviprio1(void)
{
	return ncsr_read(CSR_HVIPRIO1);
}

__rust_helper void rust_helper_kvm_ncsr_write_hviprio1(unsigned long val)
{
	ncsr_write(CSR_HVIPRIO1, val);
}

__rust_helper unsigned long rust_helper_kvm_ncsr_read_hviprio2(void)
{
	return ncsr_read(CSR_HVIPRIO2);
}

__rust_helper void rust_helper_kvm_ncsr_write_hviprio2(unsigned long val)
{
	ncsr_write(CSR_HVIPRIO2, val);
}

__rust_helper void rust_helper_kvm_ncsr_write_hvictl(unsigned long val)
{
	ncsr_write(CSR_HVICTL, val);
}
#endif
