// SPDX-License-Identifier: GPL-2.0
/*
 * A TCG plugin that counts what each call of some functions of the guest's kernel
 * costs, callees and interrupts in between included.
 *
 *   -plugin bench.so,map=System.map,fn=NAME[@WITH][:NAME[@WITH]...],out=FILE
 *
 * With @WITH, only those calls of NAME count that call WITH, directly or not: of
 * all interrupts those that are handled by it.
 *
 * A call begins at the function's first instruction, and ends where the return
 * address is executed with the stack pointer that it began with. The guest says
 * which path it goes by the HINT "slti zero, zero, N": counts are kept for each N,
 * and what is counted before the first one, or with N = 1, is for nobody.
 *
 * FILE gets a line per N and function: N, NAME[@WITH], calls, and for the cheapest
 * call and for the one in the middle, by instructions: instructions, loads, stores,
 * accesses of devices, CSR instructions, LR and SC, AMOs, fences, PAUSEs.
 *
 * It also gets a line for all that the kernel does for guests of its KVM while it goes a
 * path, by what for: "for", N, the kind (see below), how often, and the same columns.
 * What a guest executes itself counts for nobody, though it may be the same kernel, nor
 * do the rounds of a loop with a PAUSE, but for the first one.
 *
 * QEMU must run a thread per vCPU: else it tells wrong vCPUs.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

EXPORT int qemu_plugin_version = 4;

#define MAX_FUNCTIONS	64
#define MAX_DEPTH	16
#define MAX_PATHS	256
#define MAX_NESTED	4
/* A thread that has left its CPU in the middle of a call never returns here */
#define LOST		30000000

enum column {
	INSN, LOAD, STORE, MMIO, CSR, LRSC, AMO, FENCE, PAUSE, COLUMNS
};

struct cost {
	uint64_t of[COLUMNS];
};

/*
 * What the kernel does for a guest, besides handling the exits that it has by exceptions, which
 * are the kinds below these
 */
enum {
	/* Nothing */
	NOTHING = -1,
	/* Host's interrupts, also those by which the guest exits */
	INTERRUPT = 64,
	/* From when a thread gets the CPU until the guest runs */
	LOADED,
	/* Until another thread gets it */
	PUT,
	/* Interrupts that come from elsewhere */
	INJECTED,
	KINDS
};

/* What the functions at which a kind begins are called, and whether it ends with them */
static struct {
	const char *name;
	int kind;
	bool ends;
	uint64_t addr;
} beginnings[] = {
	{ "do_irq", INTERRUPT, true, 0 },
	{ "kvm_arch_vcpu_load", LOADED, false, 0 },
	{ "kvm_arch_vcpu_put", PUT, true, 0 },
	{ "kvm_riscv_aia_inject_msi", INJECTED, true, 0 },
	{ "kvm_riscv_aia_inject_irq", INJECTED, true, 0 },
	{ NULL, NOTHING, false, 0 }
};

/* Where guests are entered: somewhere below, by an SRET, after which is where they exit to */
static const char entry_name[] = "__kvm_riscv_switch_to";
static uint64_t entry, exit_to;
#define SRET		0x10200073
#define WAIT		0x0100000f
#define MAX_ENTRY	0x400
/* From one PAUSE of a loop to the next one */
#define SPIN		32

/* A call that has not ended */
struct call {
	int function;
	uint64_t ra;
	uint64_t sp;
	/* A bit for each function that was called meanwhile */
	uint64_t called;
	struct cost cost;
};

/* Per vCPU */
struct hart {
	/* Whether anything is counted; first, for the condition of callbacks */
	uint64_t active;
	uint64_t depth;
	struct call calls[MAX_DEPTH];
	bool in_guest;
	int kind;
	struct cost done;
	/* The same at the last PAUSE */
	struct cost at_pause;
	/* What interrupted something else, or another kind follows when it ends */
	int nested;
	struct {
		uint64_t ra;
		uint64_t sp;
		int kind;
	} after[MAX_NESTED];
	struct qemu_plugin_register *ra;
	struct qemu_plugin_register *sp;
	struct qemu_plugin_register *scause;
	struct g_byte_array *buffer;
};

/* What is known of an instruction when it is translated */
struct insn {
	uint64_t pc;
	int column;
};

struct ended {
	struct cost *costs;
	size_t count;
	size_t room;
};

static struct qemu_plugin_scoreboard *harts;
static struct {
	const char *name;
	uint64_t addr;
	/* What a call has to call to be counted, or -1 */
	int with;
} functions[MAX_FUNCTIONS];
static int nr_functions;
static struct ended ended[MAX_PATHS][MAX_FUNCTIONS];
static struct {
	uint64_t times;
	struct cost cost;
} done_for[MAX_PATHS][KINDS];
/* Where the guest is: atomic */
static unsigned int path;
static uint64_t lost;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;

static struct hart *hart_of(unsigned int vcpu)
{
	return qemu_plugin_scoreboard_find(harts, vcpu);
}

static uint64_t read_register(struct hart *hart, struct qemu_plugin_register *reg)
{
	uint64_t value = 0;

	g_byte_array_set_size(hart->buffer, 0);
	if (qemu_plugin_read_register(reg, hart->buffer) >= (int)sizeof(value))
		memcpy(&value, hart->buffer->data, sizeof(value));

	return value;
}

static void on_vcpu(uint64_t id, unsigned int vcpu)
{
	struct g_array *registers = qemu_plugin_get_registers();
	struct qemu_plugin_reg_descriptor *descriptors = (void *)registers->data;
	struct hart *hart = hart_of(vcpu);
	unsigned int i;

	memset(hart, 0, sizeof(*hart));
	hart->kind = NOTHING;
	hart->buffer = g_byte_array_new();
	for (i = 0; i < registers->len; i++) {
		if (!strcmp(descriptors[i].name, "ra"))
			hart->ra = descriptors[i].handle;
		if (!strcmp(descriptors[i].name, "sp"))
			hart->sp = descriptors[i].handle;
		if (!strcmp(descriptors[i].name, "scause"))
			hart->scause = descriptors[i].handle;
	}
	if (!hart->ra || !hart->sp || !hart->scause) {
		fprintf(stderr, "bench: no registers ra, sp and scause\n");
		exit(1);
	}
}

static void record(const struct call *call)
{
	unsigned int at = __atomic_load_n(&path, __ATOMIC_RELAXED);
	struct ended *to;

	int with = functions[call->function].with;

	if (at <= 1 || (with >= 0 && !(call->called >> with & 1)))
		return;
	pthread_mutex_lock(&lock);
	to = &ended[at][call->function];
	if (to->count == to->room) {
		to->room = to->room ? 2 * to->room : 64;
		to->costs = realloc(to->costs, to->room * sizeof(*to->costs));
		if (!to->costs)
			abort();
	}
	to->costs[to->count++] = call->cost;
	pthread_mutex_unlock(&lock);
}

static void update(struct hart *hart)
{
	hart->active = !hart->in_guest && (hart->depth || hart->kind != NOTHING);
}

/* Ends what it does for a guest; another kind begins, or what it interrupted goes on */
static void turn_to(struct hart *hart, int kind, bool begins)
{
	unsigned int at = __atomic_load_n(&path, __ATOMIC_RELAXED);
	int i;

	if (at > 1) {
		pthread_mutex_lock(&lock);
		if (hart->kind != NOTHING) {
			for (i = 0; i < COLUMNS; i++)
				done_for[at][hart->kind].cost.of[i] += hart->done.of[i];
		}
		if (begins)
			done_for[at][kind].times++;
		pthread_mutex_unlock(&lock);
	}
	memset(&hart->done, 0, sizeof(hart->done));
	memset(&hart->at_pause, 0, sizeof(hart->at_pause));
	hart->kind = kind;
	update(hart);
}

static void on_guest_entry(unsigned int vcpu, void *data)
{
	struct hart *hart = hart_of(vcpu);

	if (hart->in_guest)
		return;
	hart->nested = 0;
	turn_to(hart, NOTHING, false);
	hart->in_guest = true;
	update(hart);
}

static void on_guest_exit(unsigned int vcpu, void *data)
{
	struct hart *hart = hart_of(vcpu);
	uint64_t cause;

	if (!hart->in_guest)
		return;
	hart->in_guest = false;
	cause = read_register(hart, hart->scause);
	turn_to(hart, cause < INTERRUPT ? (int)cause : INTERRUPT, true);
}

static void on_beginning(unsigned int vcpu, void *data)
{
	struct hart *hart = hart_of(vcpu);
	size_t i = (uintptr_t)data;
	int kind = beginnings[i].kind;

	if (hart->in_guest)
		return;
	switch (kind) {
	case INTERRUPT:
		/* Those between guests are for nobody */
		if (hart->kind == NOTHING || hart->kind == INTERRUPT)
			return;
		break;
	case INJECTED:
		/* What a guest does is part of its exit */
		if (hart->kind != NOTHING)
			return;
		break;
	default:
		/* Another thread, or none */
		hart->nested = 0;
	}
	if (beginnings[i].ends && hart->nested < MAX_NESTED) {
		int n = hart->nested++;

		hart->after[n].ra = read_register(hart, hart->ra);
		hart->after[n].sp = read_register(hart, hart->sp);
		hart->after[n].kind = kind == PUT ? NOTHING : hart->kind;
	}
	turn_to(hart, kind, true);
}

static void on_entry(unsigned int vcpu, void *data)
{
	struct hart *hart = hart_of(vcpu);
	int function = (intptr_t)data;
	struct call *call;
	uint64_t i;

	if (hart->in_guest)
		return;
	for (i = 0; i < hart->depth; i++)
		hart->calls[i].called |= 1ULL << function;
	if (hart->depth == MAX_DEPTH)
		return;
	call = &hart->calls[hart->depth++];
	memset(call, 0, sizeof(*call));
	call->function = function;
	call->cost.of[INSN] = 1;
	call->ra = read_register(hart, hart->ra);
	call->sp = read_register(hart, hart->sp);
	update(hart);
}

static void on_insn(unsigned int vcpu, void *data)
{
	struct hart *hart = hart_of(vcpu);
	const struct insn *insn = data;
	uint64_t i;

	while (hart->depth && hart->calls[hart->depth - 1].ra == insn->pc) {
		struct call *call = &hart->calls[hart->depth - 1];

		if (read_register(hart, hart->sp) != call->sp)
			break;
		record(call);
		hart->depth--;
	}
	while (hart->nested && hart->after[hart->nested - 1].ra == insn->pc) {
		if (read_register(hart, hart->sp) != hart->after[hart->nested - 1].sp)
			break;
		hart->nested--;
		turn_to(hart, hart->after[hart->nested].kind, false);
	}
	hart->done.of[INSN]++;
	if (insn->column != INSN)
		hart->done.of[insn->column]++;
	if (insn->column == PAUSE) {
		uint64_t pauses = hart->done.of[PAUSE];

		/* Another round of who waits for another hart costs as much as that takes */
		if (hart->done.of[INSN] - hart->at_pause.of[INSN] <= SPIN)
			hart->done = hart->at_pause;
		hart->done.of[PAUSE] = pauses;
		hart->at_pause = hart->done;
	}
	for (i = 0; i < hart->depth; i++) {
		hart->calls[i].cost.of[INSN]++;
		if (insn->column != INSN)
			hart->calls[i].cost.of[insn->column]++;
	}
	if (hart->depth && hart->calls[0].cost.of[INSN] > LOST) {
		hart->depth = 0;
		__atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
	}
	update(hart);
}

static void on_access(unsigned int vcpu, uint32_t info, uint64_t addr,
		      void *data)
{
	struct hart *hart = hart_of(vcpu);
	enum column column = qemu_plugin_mem_is_store(info) ? STORE : LOAD;
	struct qemu_plugin_hwaddr *hwaddr;
	bool is_io;
	uint64_t i;

	if (!hart->active)
		return;
	hwaddr = qemu_plugin_get_hwaddr(info, addr);
	is_io = hwaddr && qemu_plugin_hwaddr_is_io(hwaddr);
	hart->done.of[column]++;
	hart->done.of[MMIO] += is_io;
	for (i = 0; i < hart->depth; i++) {
		hart->calls[i].cost.of[column]++;
		hart->calls[i].cost.of[MMIO] += is_io;
	}
}

static void on_path(unsigned int vcpu, void *data)
{
	__atomic_store_n(&path, (uintptr_t)data, __ATOMIC_RELAXED);
}

/* INSN for one that only counts as an instruction */
static enum column column_of(uint32_t word)
{
	unsigned int opcode = word & 0x7f, funct3 = word >> 12 & 7, funct5 = word >> 27;

	switch (opcode) {
	case 0x73:
		return funct3 & 3 ? CSR : INSN;
	case 0x2f:
		return funct5 == 2 || funct5 == 3 ? LRSC : AMO;
	case 0x0f:
		return word == WAIT ? PAUSE : FENCE;
	default:
		return INSN;
	}
}

static void on_block(uint64_t id, struct qemu_plugin_tb *tb)
{
	const struct qemu_plugin_u64 active = { harts, offsetof(struct hart, active) };
	size_t i, b, count = qemu_plugin_tb_n_insns(tb);

	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *raw = qemu_plugin_tb_get_insn(tb, i);
		uint64_t pc = qemu_plugin_insn_vaddr(raw);
		uint32_t word = 0;
		struct insn *insn;
		int f;

		/* A short one has two bytes, and does not end in these bits */
		qemu_plugin_insn_data(raw, &word, sizeof(word));
		if ((word & 0xfffff) == 0x02013 && word >> 20 &&
		    word >> 20 < MAX_PATHS)
			qemu_plugin_register_vcpu_insn_exec_cb(raw, on_path,
							       QEMU_PLUGIN_CB_NO_REGS,
							       (void *)(uintptr_t)(word >> 20));
		/* The kernel's only */
		if (!(pc >> 63))
			continue;

		/* Needed as long as QEMU has the block, which it does not tell */
		insn = malloc(sizeof(*insn));
		if (!insn)
			abort();
		insn->pc = pc;
		insn->column = (word & 3) == 3 ? column_of(word) : INSN;
		/* What ends here does so before what begins here */
		qemu_plugin_register_vcpu_insn_exec_cond_cb(raw, on_insn,
							    QEMU_PLUGIN_CB_R_REGS,
							    QEMU_PLUGIN_COND_NE, active,
							    0, insn);
		for (f = 0; f < nr_functions; f++) {
			if (pc == functions[f].addr)
				qemu_plugin_register_vcpu_insn_exec_cb(raw, on_entry,
								       QEMU_PLUGIN_CB_R_REGS,
								       (void *)(intptr_t)f);
		}
		for (b = 0; beginnings[b].name; b++) {
			if (pc == beginnings[b].addr)
				qemu_plugin_register_vcpu_insn_exec_cb(raw, on_beginning,
								       QEMU_PLUGIN_CB_R_REGS,
								       (void *)(uintptr_t)b);
		}
		if (pc == entry)
			qemu_plugin_register_vcpu_insn_exec_cb(raw, on_guest_entry,
							       QEMU_PLUGIN_CB_R_REGS, NULL);
		if (entry && word == SRET && pc - entry < MAX_ENTRY)
			__atomic_store_n(&exit_to, (pc + 7) & ~3ULL, __ATOMIC_RELAXED);
		if (pc == __atomic_load_n(&exit_to, __ATOMIC_RELAXED))
			qemu_plugin_register_vcpu_insn_exec_cb(raw, on_guest_exit,
							       QEMU_PLUGIN_CB_R_REGS, NULL);
		qemu_plugin_register_vcpu_mem_cb(raw, on_access, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, NULL);
	}
}

static int by_instructions(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;
	int i;

	/* By the others where those are equal, so that a repeat says the same */
	for (i = 0; i < COLUMNS; i++) {
		if (x->of[i] != y->of[i])
			return x->of[i] < y->of[i] ? -1 : 1;
	}
	return 0;
}

static void print_cost(const struct cost *cost)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		fprintf(out, " %" PRIu64, cost->of[i]);
}

static void on_exit_of_qemu(uint64_t id, void *data)
{
	unsigned int p;
	int f;

	for (p = 0; p < MAX_PATHS; p++) {
		for (f = 0; f < nr_functions; f++) {
			struct ended *of = &ended[p][f];
			int with = functions[f].with;

			if (!of->count)
				continue;
			qsort(of->costs, of->count, sizeof(*of->costs), by_instructions);
			fprintf(out, "%u %s%s%s %zu", p, functions[f].name, with < 0 ? "" : "@",
				with < 0 ? "" : functions[with].name, of->count);
			print_cost(&of->costs[0]);
			print_cost(&of->costs[of->count / 2]);
			fprintf(out, "\n");
		}
	}
	for (p = 0; p < MAX_PATHS; p++) {
		for (f = 0; f < KINDS; f++) {
			if (!done_for[p][f].times && !done_for[p][f].cost.of[INSN])
				continue;
			fprintf(out, "for %u %d %" PRIu64, p, f, done_for[p][f].times);
			print_cost(&done_for[p][f].cost);
			fprintf(out, "\n");
		}
	}
	fprintf(out, "lost %" PRIu64 "\n", lost);
	fclose(out);
}

/* The value of argument NAME=, or nothing */
static char *argument(int argc, char **argv, const char *name)
{
	size_t length = strlen(name);
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
			return argv[i] + length + 1;
	}
	return NULL;
}

/* Returns its number, or -1 if there are too many */
static int add_function(const char *name, int with)
{
	if (nr_functions == MAX_FUNCTIONS)
		return -1;
	functions[nr_functions].name = strdup(name);
	functions[nr_functions].with = with;
	return nr_functions++;
}

/* NAME or NAME@WITH */
static void add(char *name)
{
	char *with = strchr(name, '@');

	if (with)
		*with++ = '\0';
	add_function(name, with ? add_function(with, -1) : -1);
}

static bool find_functions(const char *path_of_map)
{
	FILE *map = fopen(path_of_map, "r");
	char line[1024], name[512];
	uint64_t addr;
	size_t b;
	char type;
	int f;

	if (!map)
		return false;
	while (fgets(line, sizeof(line), map)) {
		if (sscanf(line, "%" SCNx64 " %c %511s", &addr, &type, name) != 3)
			continue;
		for (f = 0; f < nr_functions; f++) {
			if (!functions[f].addr && !strcmp(name, functions[f].name))
				functions[f].addr = addr;
		}
		for (b = 0; beginnings[b].name; b++) {
			if (!strcmp(name, beginnings[b].name))
				beginnings[b].addr = addr;
		}
		if (!strcmp(name, entry_name))
			entry = addr;
	}
	fclose(map);
	for (f = 0; f < nr_functions; f++) {
		if (!functions[f].addr)
			fprintf(stderr, "bench: no function %s\n", functions[f].name);
	}
	return true;
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc,
			       char **argv)
{
	char *map = argument(argc, argv, "map"), *to = argument(argc, argv, "out");
	char *names = argument(argc, argv, "fn"), *name;

	if (!map || !to || !names) {
		fprintf(stderr, "bench: map=, fn= and out= are needed\n");
		return -1;
	}
	for (name = strtok(names, ":"); name; name = strtok(NULL, ":"))
		add(name);
	out = fopen(to, "w");
	if (!out || !find_functions(map)) {
		perror("bench");
		return -1;
	}
	harts = qemu_plugin_scoreboard_new(sizeof(struct hart));
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
