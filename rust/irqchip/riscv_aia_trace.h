/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the IMSIC driver.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM riscv_aia

#if !defined(_RISCV_AIA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _RISCV_AIA_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(imsic_vector,
	TP_PROTO(unsigned int irq, unsigned int cpu, unsigned int eiid),
	TP_ARGS(irq, cpu, eiid),
	TP_STRUCT__entry(
		__field(unsigned int, irq)
		__field(unsigned int, cpu)
		__field(unsigned int, eiid)
	),
	TP_fast_assign(
		__entry->irq = irq;
		__entry->cpu = cpu;
		__entry->eiid = eiid;
	),
	TP_printk("irq=%u cpu=%u eiid=%u", __entry->irq, __entry->cpu,
		  __entry->eiid)
);

/* An interrupt has got an identity of a CPU's interrupt file */
DEFINE_EVENT(imsic_vector, imsic_alloc,
	TP_PROTO(unsigned int irq, unsigned int cpu, unsigned int eiid),
	TP_ARGS(irq, cpu, eiid)
);

/* It gives it back */
DEFINE_EVENT(imsic_vector, imsic_free,
	TP_PROTO(unsigned int irq, unsigned int cpu, unsigned int eiid),
	TP_ARGS(irq, cpu, eiid)
);

/* It has moved: what arrives at the old identity is sent on to the new one */
TRACE_EVENT(imsic_move,
	TP_PROTO(unsigned int irq, unsigned int old_cpu, unsigned int old_eiid,
		 unsigned int cpu, unsigned int eiid),
	TP_ARGS(irq, old_cpu, old_eiid, cpu, eiid),
	TP_STRUCT__entry(
		__field(unsigned int, irq)
		__field(unsigned int, old_cpu)
		__field(unsigned int, old_eiid)
		__field(unsigned int, cpu)
		__field(unsigned int, eiid)
	),
	TP_fast_assign(
		__entry->irq = irq;
		__entry->old_cpu = old_cpu;
		__entry->old_eiid = old_eiid;
		__entry->cpu = cpu;
		__entry->eiid = eiid;
	),
	TP_printk("irq=%u cpu=%u eiid=%u old_cpu=%u old_eiid=%u", __entry->irq,
		  __entry->cpu, __entry->eiid, __entry->old_cpu,
		  __entry->old_eiid)
);

/*
 * Nothing can arrive at the old identity any more, and it is free again, on the
 * CPU that traces. How that is known: the device was read, the APLIC answered,
 * or enough time has passed.
 */
TRACE_EVENT(imsic_moved,
	TP_PROTO(unsigned int eiid, unsigned int proof),
	TP_ARGS(eiid, proof),
	TP_STRUCT__entry(
		__field(unsigned int, eiid)
		__field(unsigned int, proof)
	),
	TP_fast_assign(
		__entry->eiid = eiid;
		__entry->proof = proof;
	),
	TP_printk("eiid=%u proof=%s", __entry->eiid,
		  __print_symbolic(__entry->proof, { 0, "read" },
				   { 1, "answer" }, { 2, "time" }))
);

#endif /* _RISCV_AIA_TRACE_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/irqchip/riscv-aia/rust/irqchip
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE riscv_aia_trace

#include <trace/define_trace.h>
