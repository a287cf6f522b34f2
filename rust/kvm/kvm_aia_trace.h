/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of KVM's AIA.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(_KVM_AIA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KVM_AIA_TRACE_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

/*
 * The state of a vCPU's interrupt file goes elsewhere, or its guest file. hgei
 * is the guest file's line, on the CPU that traces; 0 for "missed".
 */
TRACE_EVENT(kvm_aia_file,
	TP_PROTO(struct kvm_vcpu *vcpu, unsigned int event, unsigned int hgei),
	TP_ARGS(vcpu, event, hgei),
	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(int, vcpu)
		__field(unsigned int, event)
		__field(unsigned int, hgei)
	),
	TP_fast_assign(
		__entry->vm = vcpu->kvm->userspace_pid;
		__entry->vcpu = vcpu->vcpu_id;
		__entry->event = event;
		__entry->hgei = hgei;
	),
	TP_printk("vm=%d vcpu=%d event=%s hgei=%u", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->event, { 0, "moved" },
				   { 1, "missed" }, { 2, "evicted" },
				   { 3, "stole" }, { 4, "robbed" }),
		  __entry->hgei)
);

/* An MSI of the host for a vCPU, to its guest file or to memory */
TRACE_EVENT(kvm_aia_msi,
	TP_PROTO(struct kvm_vcpu *vcpu, unsigned int eiid, bool file),
	TP_ARGS(vcpu, eiid, file),
	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(int, vcpu)
		__field(unsigned int, eiid)
		__field(bool, file)
	),
	TP_fast_assign(
		__entry->vm = vcpu->kvm->userspace_pid;
		__entry->vcpu = vcpu->vcpu_id;
		__entry->eiid = eiid;
		__entry->file = file;
	),
	TP_printk("vm=%d vcpu=%d eiid=%u to=%s", __entry->vm, __entry->vcpu,
		  __entry->eiid, __entry->file ? "file" : "memory")
);

#endif /* _KVM_AIA_TRACE_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/irqchip/riscv-aia/rust/kvm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kvm_aia_trace

#include <trace/define_trace.h>
