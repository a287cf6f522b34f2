// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros that only KVM's crates use: part of helpers.c, or,
 * if KVM is a module and helpers are not inlined, an object of kvm.ko.
 */
#include <linux/kvm_host.h>
#include <asm/cpufeature.h>
#include <asm/kvm_isa.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_nacl.h>

#ifndef __rust_helper
#define __rust_helper
#endif

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

__rust_helper int rust_helper_kvm_host_has_ssaia(void)
{
	return kvm_riscv_isa_check_host(SSAIA);
}

__rust_helper int rust_helper_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
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
