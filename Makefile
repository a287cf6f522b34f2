# SPDX-License-Identifier: GPL-2.0
#
# Front end for people. Kbuild never reads this file: it takes ./Kbuild when
# the repository is drivers/irqchip/riscv-aia of a kernel tree.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Knobs.
IMPL ?= rust
SMP ?= 4
MEM ?= 1G
AIA ?= aplic-imsic
GUEST_FILES ?= 3
SOCKETS ?= 1
KSRC ?=
QEMU ?=
ROW ?=
CONFIG ?=
SECS ?= 12
TARGETS ?=
SEEDS ?=
V ?= 0
DEBUG ?=
# Not every shell does that in an argument.
override KSRC := $(patsubst ~/%,$(HOME)/%,$(KSRC))
override CONFIG := $(patsubst ~/%,$(HOME)/%,$(CONFIG))
export IMPL KSRC ROW V

ifneq ($(filter-out rust c,$(IMPL)),)
$(error IMPL=$(IMPL): rust or c)
endif

TOOLCHAIN := tools/toolchain
SELFTEST := $(TOOLCHAIN) python3 tools/selftest

help:
	@echo 'make run		build all, boot QEMU, show the interrupts of real devices and'
	@echo '			a KVM guest; then a shell on a terminal, power-off otherwise'
	@echo 'make test		all tests but the long ones; ends with "N passed, N failed"'
	@echo 'make test-long		all tests'
	@echo "make test ROW='wired-*'	only the machines of that name (make rows lists them)"
	@echo 'make bench		what each path costs in instructions, Rust against C'
	@echo 'make kernel		build/kernel-rust, with IMPL=c build/kernel-c: .config,'
	@echo '			System.map, vmlinux, arch/riscv/boot/Image'
	@echo 'make initramfs		build/initramfs-rust.cpio: all tests, for machines of your own'
	@echo 'make integrate KSRC=DIR	prepare a Linux 7.3.y tree: link, patches; with'
	@echo '			CONFIG=FILE: what a kernel of that .config gets of Rust'
	@echo 'make revert KSRC=DIR	undo that'
	@echo 'make host-test		tests of the pure crates, on this machine'
	@echo 'make fuzz		fuzz the pure crate, on this machine: SECS=12 seconds for each'
	@echo '			target, or for those of TARGETS='
	@echo 'make coverage		which lines of the pure crate the tests of host-test execute'
	@echo 'make configurations	compile the drivers as users of other kernels do; SEEDS=6: in'
	@echo '			six that Kconfig draws by chance'
	@echo 'make lint		rustfmt, clippy, checkpatch, shellcheck'
	@echo 'make toolchain		what tools are used, and what this machine lacks'
	@echo 'make clean		remove build/'
	@echo 'make distclean		also the cache: toolchain, kernel source, ccache'
	@echo
	@echo 'Knobs:	IMPL=rust|c	the drivers in Rust, or the ones in C for comparison'
	@echo '	SMP=4 MEM=1G	harts and memory of the machine'
	@echo '	AIA=aplic-imsic|aplic|none	its interrupt controllers'
	@echo '	GUEST_FILES=3	guest interrupt files per hart, 0 to 7'
	@echo '	SOCKETS=1	IMSIC groups, 1 to 4; SMP is a multiple'
	@echo '	KSRC=DIR	a Linux 7.3.y tree of your own, it is not changed'
	@echo '	QEMU=PROGRAM	another QEMU; "bpo" is the newer one of the toolchain'
	@echo '	DEBUG=1		make kernel: with lockdep and KASAN'
	@echo '	VARIANT=NAME	make kernel: changed as selftests/config.NAME says'
	@echo '	V=1		show the output of every step'
	@echo '	REFERENCE=0	make test: without the C drivers as a reference'
	@echo '	AIA_DEADLINE=MIN	make test: start no machine after so many minutes'
	@echo '	AIA_TOOLCHAIN=host|root AIA_CACHE=DIR AIA_JOBS=N'
	@echo '	AIA_BUSYBOX=FILE AIA_GUEST_ROOT=DIR	riscv64 programs of your own'
	@echo '	AIA_KERNEL_ORG=URL	where to fetch a kernel source'

kernel:
	@tree=$$(tools/kernel-tree) && \
		$(TOOLCHAIN) tools/kernel-build $(IMPL)$(if $(DEBUG),-debug)$(if $(VARIANT),-$(VARIANT)) "$$tree"

programs:
	@$(SELFTEST) programs

# Programs beside the kernel, whose build leaves a processor idle for minutes.
initramfs:
	@$(TOOLCHAIN) --prepare
	@$(MAKE) -j2 kernel programs
	@$(SELFTEST) initramfs --impl $(IMPL)

run: initramfs
	@$(SELFTEST) run --impl $(IMPL) --aia '$(AIA)' --smp '$(SMP)' \
		--mem '$(MEM)' --guest-files '$(GUEST_FILES)' \
		--sockets '$(SOCKETS)' --qemu '$(QEMU)'

test:
	@tools/test

test-long:
	@tools/test --long

bench:
	@$(TOOLCHAIN) --prepare
	@$(MAKE) kernel IMPL=rust
	@$(MAKE) kernel IMPL=c
	@$(MAKE) programs
	@$(TOOLCHAIN) python3 tools/bench

rows:
	@$(SELFTEST) list

integrate:
	@tools/integrate '$(KSRC)'
	@$(if $(CONFIG),tools/config-check '$(CONFIG)' '$(KSRC)')

revert:
	@tools/integrate --revert '$(KSRC)'

host-test:
	@$(TOOLCHAIN) tools/host-test

fuzz:
	@$(TOOLCHAIN) tools/fuzz --seconds '$(SECS)' $(TARGETS)

coverage:
	@$(TOOLCHAIN) tools/coverage

configurations:
	@tree=$$(tools/kernel-tree) && \
		$(TOOLCHAIN) tools/configurations "$$tree" $(if $(SEEDS),--random '$(SEEDS)')

lint:
	@tree=$$(tools/kernel-tree) && $(TOOLCHAIN) tools/lint "$$tree"

toolchain:
	@$(TOOLCHAIN) --check

clean:
	rm -rf build

distclean: clean
	@tools/toolchain --remove-cache

.PHONY: help kernel initramfs run test test-long bench programs rows integrate revert host-test fuzz coverage configurations \
	lint toolchain clean distclean
