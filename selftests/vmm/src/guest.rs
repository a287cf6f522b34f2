// SPDX-License-Identifier: GPL-2.0

//! A virtual machine with the AIA device and the guest program.

mod migrate;

pub use migrate::{
    MachineState,
    Sent, //
};

use crate::{
    abi::*,
    bus::Bus,
    fixture::{
        get_reg,
        set_reg, //
    },
    slot::Slot,
    stats::Stats,
    sys::{
        GuestMemory,
        HugeMemory,
        Ram, //
    },
    vcpu::{
        Devices,
        End,
        Entry,
        Left,
        Vcpu, //
    },
    Aia,
    Context,
    Error,
    Mode,
    Result, //
};
use kvm_bindings::{
    kvm_enable_cap,
    kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1,
    kvm_irq_routing_irqchip,
    kvm_irq_routing_msi,
    kvm_msi,
    KvmIrqRouting,
    KVM_IRQ_ROUTING_IRQCHIP,
    KVM_IRQ_ROUTING_MSI, //
};
use kvm_ioctls::{
    Cap,
    IoEventAddress,
    Kvm,
    VmFd, //
};
use std::{
    io,
    sync::{
        atomic::Ordering,
        Arc,
        Weak, //
    },
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm_sys_util::eventfd::EventFd;

/// The guest program, see build.rs.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.bin"));

/// Not in kvm_bindings yet.
const KVM_CAP_RISCV_MP_STATE_RESET: u32 = 242;

/// How long a test waits for the guest before it calls it hung. The machine
/// may be emulated on a busy host, so this is no measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Zones that crowd the I/O bus, of [`ZONE`] bytes each, where nothing else is.
const CROWD: u64 = 0x4000_0000;
const ZONE: u64 = 0x1000;
/// More than the bus has room for.
const MOST_ZONES: u32 = 1000;

fn crowd(zone: u32) -> IoEventAddress {
    IoEventAddress::Mmio(CROWD + ZONE * u64::from(zone))
}

/// What a guest shall be like.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of vCPUs.
    pub vcpus: usize,
    /// Whether there is an AIA device. Nothing else here matters otherwise.
    pub device: bool,
    /// Mode of the AIA device.
    pub mode: Mode,
    /// Largest interrupt identity, or what KVM has by default.
    pub ids: Option<u32>,
    /// Sources of the APLIC; 0: there is none.
    pub sources: u32,
    /// Guest index bits in the addresses of the guest's IMSICs.
    pub guest_bits: u32,
    /// Whether what KVM leaves to user space of the interrupt controllers cannot be
    /// written, reads as [`answer`], and is noted for [`Guest::left`]. It ends the
    /// vCPU otherwise.
    pub lenient: bool,
    /// Whether KVM_RUN is called again, and counted in [`Guest::failures`], when it fails with
    /// EEXIST or ENOMEM. It ends the vCPU otherwise.
    pub stubborn: bool,
    /// Numbers of the vCPUs, if they are others than their indexes.
    pub numbers: &'static [Number],
}

/// Numbers of a vCPU, besides its index.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its ID for KVM, which is its hart ID for the guest.
    pub id: u64,
    /// Its hart index for the interrupt controllers: the number of its IMSIC page.
    pub hart: u64,
}

impl Config {
    /// A guest with so many vCPUs, in this mode, and the rest as it usually is.
    pub fn new(vcpus: usize, mode: Mode) -> Self {
        Self {
            vcpus,
            device: true,
            mode,
            ids: None,
            sources: 0,
            guest_bits: 0,
            lenient: false,
            stubborn: false,
            numbers: &[],
        }
    }

    /// The numbers of a vCPU.
    pub fn number(&self, vcpu: usize) -> Number {
        let index = vcpu as u64;

        self.numbers.get(vcpu).copied().unwrap_or(Number {
            id: index,
            hart: index,
        })
    }

    /// The guest's hart index bits.
    pub(crate) fn hart_bits(&self) -> u32 {
        let last = (0..self.vcpus).map(|n| self.number(n).hart).max();

        u64::BITS - last.unwrap_or(0).leading_zeros()
    }

    /// Guest-physical address of a vCPU's IMSIC page.
    pub fn imsic_page(&self, vcpu: usize) -> u64 {
        IMSIC_BASE + (self.number(vcpu).hart << (12 + self.guest_bits))
    }
}

/// A program of the VMM's user, instead of the guest program of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Bytes of RAM.
    pub ram: u64,
    /// What lies in RAM, by offsets.
    pub parts: &'a [(u64, &'a [u8])],
    /// Where vCPU 0 begins; it starts the others, by the SBI.
    pub pc: u64,
    /// Its second argument, after its index.
    pub arg: u64,
}

/// A virtual machine.
// Fields drop in this order: the vCPUs stop before the VM goes, and the VM
// before its memory.
#[derive(Debug)]
pub struct Guest {
    vcpus: Vec<Vcpu>,
    aia: Option<Aia>,
    vm: Arc<VmFd>,
    mem: GuestMemory,
    /// More memory, by slots from 1 on.
    covers: Vec<HugeMemory>,
    devices: Arc<Devices>,
    /// Of vCPU 0, if the program is not this crate's.
    entry: Option<Entry>,
    cfg: Config,
}

impl Guest {
    /// A machine ready to start.
    pub fn new(kvm: &Kvm, cfg: Config) -> Result<Self> {
        let guest = Self::bare(kvm, cfg)?;

        guest.ready()?;
        Ok(guest)
    }

    /// Initialises the AIA device of a bare machine.
    pub fn ready(&self) -> Result<()> {
        match &self.aia {
            Some(aia) => aia.init().context("AIA INIT"),
            None => Ok(()),
        }
    }

    /// A machine whose AIA device is configured, but not initialised yet.
    pub fn bare(kvm: &Kvm, cfg: Config) -> Result<Self> {
        Self::build(kvm, cfg, GuestMemory::new(IMAGE)?, None)
    }

    /// A machine with a program of the caller's, ready to start. What is said of
    /// commands, counts and [`Self::boot`] is not for this one.
    pub fn with_program(kvm: &Kvm, cfg: Config, program: &Program<'_>) -> Result<Self> {
        let guest = Self::build(
            kvm,
            cfg,
            GuestMemory::with_parts(program.ram, program.parts)?,
            Some(Entry {
                pc: program.pc,
                arg: program.arg,
                waits: false,
            }),
        )?;

        guest.ready()?;
        Ok(guest)
    }

    /// Adds the VMM's devices, before the vCPUs start.
    pub fn plug(&self, bus: impl Bus + 'static) -> Result<()> {
        self.devices
            .bus
            .set(Box::new(bus))
            .map_err(|_| Error::new("two buses"))
    }

    fn build(kvm: &Kvm, cfg: Config, mem: GuestMemory, entry: Option<Entry>) -> Result<Self> {
        if cfg.vcpus == 0 || cfg.vcpus > MAX_VCPUS {
            return Err(Error::new(format!("{} vCPUs are not possible", cfg.vcpus)));
        }
        let vm = Arc::new(kvm.create_vm().context("KVM_CREATE_VM")?);

        mem.attach(&vm)?;
        let aia = match cfg.device {
            true => Some(Aia::new(&vm).context("KVM_CREATE_DEVICE(RISCV_AIA)")?),
            false => None,
        };
        let devices = Arc::new(Devices {
            lenient: cfg.lenient,
            stubborn: cfg.stubborn,
            ..Default::default()
        });
        let mut guest = Self {
            vcpus: Vec::new(),
            aia,
            vm,
            mem,
            covers: Vec::new(),
            devices,
            entry,
            cfg,
        };

        for _ in 0..cfg.vcpus {
            guest.add_vcpu()?;
        }
        if let Some(aia) = &guest.aia {
            aia.configure(&cfg)?;
        }
        Ok(guest)
    }

    /// Makes the device, and initialises it, for vCPUs that are there without.
    pub fn add_device(&mut self) -> Result<()> {
        let aia = Aia::new(&self.vm).context("KVM_CREATE_DEVICE(RISCV_AIA)")?;

        aia.configure(&self.cfg)?;
        aia.init().context("AIA INIT")?;
        self.aia = Some(aia);
        Ok(())
    }

    /// Adds a vCPU, and gives its index.
    pub fn add_vcpu(&mut self) -> Result<usize> {
        let index = self.vcpus.len();

        if index == MAX_VCPUS {
            return Err(Error::new("too many vCPUs"));
        }
        let id = self.cfg.number(index).id;
        let fd = self
            .vm
            .create_vcpu(id)
            .context(format!("KVM_CREATE_VCPU {id}"))?;
        let entry = match self.entry {
            Some(entry) => Entry {
                waits: index != 0,
                ..entry
            },
            None => Entry {
                pc: RAM_BASE,
                arg: mailbox_address(index),
                waits: false,
            },
        };

        self.vcpus
            .push(Vcpu::new(fd, index, entry, self.devices.clone())?);
        Ok(index)
    }

    /// Puts memory over the 2 MiB at `addr`, whatever lies there: a huge page, if the kernel has any.
    pub fn cover(&mut self, addr: u64) -> Result<()> {
        let memory = HugeMemory::new()?;

        memory.attach(&self.vm, self.covers.len() as u32 + 1, addr)?;
        self.covers.push(memory);
        Ok(())
    }

    /// Forgets what lies in the memory of [`Self::cover`], which is a huge page then, or small pages.
    pub fn refill_covers(&self, huge: bool) -> Result<()> {
        self.covers
            .iter()
            .try_for_each(|memory| memory.refill(huge))
            .context("madvise")
    }

    /// Leaves room for so many more devices on the I/O bus, until [`Self::clear_bus`].
    pub fn crowd_bus(&self, room: u32) -> Result<()> {
        let mut zones = 0;

        // Zones for which nobody cares, as many as there is room for.
        while self
            .vm
            .register_coalesced_mmio(crowd(zones), ZONE as u32)
            .is_ok()
        {
            zones += 1;
        }
        if zones < room {
            return Err(Error::new(format!(
                "the I/O bus has room for {zones} zones"
            )));
        }
        for zone in zones - room..zones {
            self.remove_zone(zone)?;
        }
        Ok(())
    }

    /// Makes room on the I/O bus again.
    pub fn clear_bus(&self) -> Result<()> {
        // Those that are not there are no error.
        (0..MOST_ZONES).try_for_each(|zone| self.remove_zone(zone))
    }

    fn remove_zone(&self, zone: u32) -> Result<()> {
        self.vm
            .unregister_coalesced_mmio(crowd(zone), ZONE as u32)
            .context("KVM_UNREGISTER_COALESCED_MMIO")
    }

    /// Raises or lowers a vCPU's external interrupt by KVM_INTERRUPT, as for a machine without
    /// interrupt controllers in the kernel; also while it runs.
    pub fn interrupt(&self, vcpu: usize, level: bool) -> Result<()> {
        self.vcpus[vcpu].interrupt(level)
    }

    /// Its memory, for devices of the VMM.
    pub fn ram(&self) -> Arc<Ram> {
        self.mem.ram()
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.cfg
    }

    /// Its AIA device.
    ///
    /// # Panics
    ///
    /// Panics if it has none.
    pub fn aia(&self) -> &Aia {
        self.aia.as_ref().expect("a machine with the AIA device")
    }

    /// Starts a vCPU on `cpus` (none: on any) without a word to the guest.
    pub fn start(&mut self, vcpu: usize, cpus: &[usize]) -> Result<()> {
        self.vcpus[vcpu].start(cpus)
    }

    /// Starts a vCPU, enables all its interrupts, and lets it fault in what it
    /// will use, so that a measurement sees nothing of that.
    pub fn boot(&mut self, vcpu: usize, cpus: &[usize]) -> Result<()> {
        let last = match self.cfg.ids {
            Some(ids) => ids.into(),
            None => u64::from(
                self.aia()
                    .config(kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS)
                    .context("AIA IDS")?,
            ),
        };

        self.start(vcpu, cpus)?;
        self.call(vcpu, op::TOUCH, &[])?;
        self.call(vcpu, op::IMSIC_INIT, &[1, last])?;
        Ok(())
    }

    /// Restricts a running vCPU to `cpus`.
    pub fn pin(&self, vcpu: usize, cpus: &[usize]) -> Result<()> {
        self.vcpus[vcpu].pin(cpus)
    }

    /// Whether a vCPU does not run (any more).
    pub fn ended(&self, vcpu: usize) -> bool {
        self.vcpus[vcpu].end().is_some()
    }

    /// Waits until a vCPU stops by itself.
    pub fn wait_end(&mut self, vcpu: usize) -> Result<End> {
        self.until(|g| g.ended(vcpu), || format!("end of vCPU {vcpu}"))?;
        self.vcpus[vcpu].join()
    }

    /// Stops a vCPU, which can then be started again.
    pub fn stop(&mut self, vcpu: usize) -> Result<End> {
        self.vcpus[vcpu].stop()
    }

    /// Resets a vCPU that does not run, by KVM_MP_STATE_INIT_RECEIVED, after which
    /// it starts anew.
    pub fn reset(&mut self, vcpu: usize) -> Result<()> {
        self.vm
            .enable_cap(&kvm_enable_cap {
                cap: KVM_CAP_RISCV_MP_STATE_RESET,
                ..Default::default()
            })
            .context("KVM_CAP_RISCV_MP_STATE_RESET")?;
        self.vcpus[vcpu].reset()
    }

    /// Resets a vCPU as [`Self::reset`], but without KVM_CAP_RISCV_MP_STATE_RESET, and where it is; or says
    /// why KVM does not.
    pub fn try_reset(&self, vcpu: usize) -> Result<io::Result<()>> {
        self.vcpus[vcpu].try_reset()
    }

    /// Stops a vCPU that does not run, by KVM_SET_MP_STATE, so that it sleeps when it does; or lets it go on.
    pub fn set_stopped(&self, vcpu: usize, stopped: bool) -> Result<()> {
        self.vcpus[vcpu].set_stopped(stopped)
    }

    /// Calls KVM_RUN of a vCPU that does not run, with a signal pending that only KVM_RUN lets in: the vCPU
    /// is loaded on this CPU, and put before it enters the guest.
    pub fn nearly_run(&mut self, vcpu: usize) -> Result<()> {
        self.vcpus[vcpu].nearly_run()
    }

    /// Reads a register of a vCPU that does not run, by KVM_GET_ONE_REG.
    pub fn reg(&self, vcpu: usize, id: u64) -> Result<u64> {
        get_reg(self.vcpus[vcpu].idle()?, id).context(format!("KVM_GET_ONE_REG {id:#x}"))
    }

    /// Writes one.
    pub fn set_reg(&self, vcpu: usize, id: u64, value: u64) -> Result<()> {
        set_reg(self.vcpus[vcpu].idle()?, id, value).context(format!("KVM_SET_ONE_REG {id:#x}"))
    }

    /// Writes one, or says why KVM does not.
    pub fn try_set_reg(&self, vcpu: usize, id: u64, value: u64) -> Result<io::Result<()>> {
        Ok(set_reg(self.vcpus[vcpu].idle()?, id, value))
    }

    /// stval of the last exception of a vCPU that was expected.
    pub(crate) fn tval(&self, vcpu: usize) -> u64 {
        self.mem.mailbox(vcpu).tval.load(Ordering::Relaxed)
    }

    /// Gives a command up whose vCPU has left it for ever.
    pub(crate) fn forget(&self, vcpu: usize) {
        let mb = self.mem.mailbox(vcpu);

        mb.done
            .store(mb.given.load(Ordering::Relaxed), Ordering::Release);
    }

    /// KVM's statistics of a vCPU.
    pub fn stats(&self, vcpu: usize) -> Result<Stats> {
        self.vcpus[vcpu].stats()
    }

    /// How often the guest stored to the doorbell.
    pub fn doorbell(&self) -> u64 {
        self.devices.doorbell.load(Ordering::Acquire)
    }

    /// How often KVM_RUN failed.
    pub fn failures(&self) -> u64 {
        self.devices.failures.load(Ordering::Acquire)
    }

    /// The accesses that KVM left to user space since this was asked.
    pub fn left(&self) -> Vec<Left> {
        self.devices
            .left
            .lock()
            .map(|mut l| l.drain(..).collect())
            .unwrap_or_default()
    }

    /// What the guest wrote to the SBI console.
    pub fn console(&self) -> Vec<u8> {
        self.devices
            .console
            .lock()
            .map(|c| c.clone())
            .unwrap_or_default()
    }

    /// Interrupts that a vCPU counted in all.
    pub fn total(&self, vcpu: usize) -> u64 {
        // The guest's own number follows those of the identities: who has seen
        // one of them might not see it there yet.
        let count = &self.mem.mailbox(vcpu).count;

        count
            .iter()
            .map(|n| u64::from(n.load(Ordering::Acquire)))
            .sum()
    }

    /// Interrupts that a vCPU counted for an identity.
    pub fn count(&self, vcpu: usize, id: u32) -> u32 {
        self.mem.mailbox(vcpu).count[id as usize].load(Ordering::Acquire)
    }

    /// External interrupts for which a vCPU found no identity.
    pub fn empty(&self, vcpu: usize) -> u64 {
        self.mem.mailbox(vcpu).empty.load(Ordering::Relaxed)
    }

    /// The slots of a vCPU for MSIs with sequence numbers, by their identities.
    pub fn slots(&self, vcpu: usize) -> &[Slot] {
        self.mem.slots(vcpu)
    }

    /// Waits until `cond`, which `what` describes.
    pub fn until(&self, cond: impl Fn(&Self) -> bool, what: impl Fn() -> String) -> Result<()> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(20);

        while !cond(self) {
            if start.elapsed() > PATIENCE {
                return Err(Error::new(format!("waited in vain for {}", what())));
            }
            sleep(pause);
            // On a machine with one CPU the guest needs it.
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Gives a command to a running vCPU.
    pub fn give(&self, vcpu: usize, op: u64, args: &[u64]) {
        let mb = self.mem.mailbox(vcpu);

        mb.op.store(op, Ordering::Relaxed);
        for (i, cell) in mb.arg.iter().enumerate() {
            cell.store(args.get(i).copied().unwrap_or_default(), Ordering::Relaxed);
        }
        mb.abort.store(0, Ordering::Relaxed);
        mb.given.fetch_add(1, Ordering::Release);
    }

    /// Whether a vCPU has done all its commands.
    pub fn done(&self, vcpu: usize) -> bool {
        let mb = self.mem.mailbox(vcpu);

        mb.done.load(Ordering::Acquire) == mb.given.load(Ordering::Relaxed)
    }

    /// Waits until a vCPU has done its command, and gives its results.
    pub fn wait(&self, vcpu: usize) -> Result<[u64; 2]> {
        let mb = self.mem.mailbox(vcpu);
        let waited = self.until(
            |g| g.done(vcpu) || g.ended(vcpu),
            || {
                let op = mb.op.load(Ordering::Relaxed);
                let total = self.total(vcpu);

                format!("command {op} of vCPU {vcpu}, {total} interrupts so far")
            },
        );

        if let Err(e) = waited {
            self.abort(vcpu);
            return Err(e);
        }
        if !self.done(vcpu) {
            let [cause, epc, tval] = mb.trap.each_ref().map(|t| t.load(Ordering::Relaxed));

            return Err(Error::new(match self.vcpus[vcpu].end() {
                Some(End::GuestTrap) => format!(
                    "vCPU {vcpu}: unexpected trap, scause {cause:#x} sepc {epc:#x} stval {tval:#x}"
                ),
                end => format!("vCPU {vcpu} stopped: {end:?}"),
            }));
        }
        Ok(mb.ret.each_ref().map(|r| r.load(Ordering::Relaxed)))
    }

    /// Tells a vCPU to give up the waiting that its command is.
    pub fn abort(&self, vcpu: usize) {
        self.mem.mailbox(vcpu).abort.store(1, Ordering::Relaxed);
    }

    /// Gives a command and waits for it.
    pub fn call(&self, vcpu: usize, op: u64, args: &[u64]) -> Result<[u64; 2]> {
        self.give(vcpu, op, args);
        self.wait(vcpu)
    }

    /// Tells `from` to send `rounds` times each of `ids` identities, from
    /// `first` on, to `to`.
    pub fn give_send(&self, from: usize, to: usize, first: u32, ids: u32, rounds: u64) {
        self.give(
            from,
            op::SEND,
            &[
                self.cfg.imsic_page(to),
                to as u64,
                first.into(),
                ids.into(),
                rounds,
            ],
        );
    }

    /// Sends an MSI to a vCPU from the VMM, by KVM_SIGNAL_MSI.
    pub fn signal_msi(&self, vcpu: usize, id: u32) -> Result<()> {
        self.signal(self.cfg.imsic_page(vcpu), id)
    }

    /// Sends an MSI to any address.
    pub fn signal(&self, address: u64, data: u32) -> Result<()> {
        self.vm
            .signal_msi(kvm_msi {
                address_lo: address as u32,
                address_hi: (address >> 32) as u32,
                data,
                ..Default::default()
            })
            .context("KVM_SIGNAL_MSI")?;
        Ok(())
    }

    /// Sends `rounds` times each of `ids` identities from `first` on, by
    /// `send`, waiting for all of them in each round.
    pub fn send_from_host(
        &self,
        vcpu: usize,
        first: u32,
        ids: u32,
        rounds: u32,
        send: impl Fn(&Self, usize, u32) -> Result<()>,
    ) -> Result<()> {
        let base: Vec<u32> = (0..ids).map(|i| self.count(vcpu, first + i)).collect();

        for round in 1..=rounds {
            for i in 0..ids {
                send(self, vcpu, first + i)?;
            }
            for (i, base) in base.iter().enumerate() {
                let id = first + i as u32;

                self.until(
                    |g| g.count(vcpu, id).wrapping_sub(*base) >= round,
                    || {
                        format!(
                            "MSI {id} of round {round} of {rounds}: vCPU {vcpu} counted {}",
                            self.count(vcpu, id).wrapping_sub(*base),
                        )
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Routes interrupt lines of the VM, 0 upwards: first the `sources` + 1
    /// wires of the APLIC, if there is one, then an MSI for each of `msis`
    /// (vCPU, identity).
    pub fn route(&self, msis: &[(usize, u32)]) -> Result<()> {
        let msis: Vec<_> = msis
            .iter()
            .map(|&(vcpu, id)| (self.cfg.imsic_page(vcpu), id))
            .collect();

        self.route_msis(&msis).map(drop)
    }

    /// As [`Self::route`], to any addresses: (address, data). Gives the line of the first MSI.
    pub fn route_msis(&self, msis: &[(u64, u32)]) -> Result<u32> {
        self.router().route_msis(msis)
    }

    /// As [`Self::route_msis`], with `wires` wires from line 1 on, be there as many or not.
    pub fn route_wires(&self, wires: u32, msis: &[(u64, u32)]) -> Result<()> {
        let router = Router {
            wires: wires + 1,
            ..self.router()
        };

        router.route_msis(msis).map(drop)
    }

    /// What sets the routes of its lines.
    pub fn router(&self) -> Router {
        Router {
            vm: Arc::downgrade(&self.vm),
            wires: match self.cfg.sources {
                0 => 0,
                sources => sources + 1,
            },
        }
    }

    /// The line of the `n`th MSI that [`Self::route`] was given.
    pub fn msi_line(&self, n: u32) -> u32 {
        match self.cfg.sources {
            0 => n,
            sources => sources + 1 + n,
        }
    }

    /// An event that raises a line.
    pub fn irqfd(&self, line: u32) -> Result<EventFd> {
        let event = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;

        self.attach_irqfd(&event, line)?;
        Ok(event)
    }

    /// As [`Self::irqfd`], with an event that is there.
    pub fn attach_irqfd(&self, event: &EventFd, line: u32) -> Result<()> {
        self.vm.register_irqfd(event, line).context("KVM_IRQFD")
    }

    /// As [`Self::irqfd`], and one that tells when the guest has handled the interrupt: until then
    /// the line stays high. `flags` are those of the second eventfd.
    pub fn resampled_irqfd(&self, line: u32, flags: i32) -> Result<[EventFd; 2]> {
        let raise = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
        let handled = EventFd::new(flags).context("eventfd")?;

        self.attach_resampled(&raise, &handled, line)?;
        Ok([raise, handled])
    }

    /// As [`Self::resampled_irqfd`], with events that are there.
    pub fn attach_resampled(&self, raise: &EventFd, handled: &EventFd, line: u32) -> Result<()> {
        self.vm
            .register_irqfd_with_resample(raise, handled, line)
            .context("KVM_IRQFD with resamplefd")
    }

    /// Takes an event from a line.
    pub fn remove_irqfd(&self, event: &EventFd, line: u32) -> Result<()> {
        self.vm
            .unregister_irqfd(event, line)
            .context("KVM_IRQFD_FLAG_DEASSIGN")
    }

    /// Whether the virtual machine has a capability.
    pub fn can(&self, capability: Cap) -> bool {
        self.vm.check_extension(capability)
    }

    /// Sets the level of a line.
    pub fn irq_line(&self, line: u32, level: bool) -> Result<()> {
        self.vm.set_irq_line(line, level).context("KVM_IRQ_LINE")
    }
}

/// Sets the routes of the lines of a machine, for devices of the VMM.
#[derive(Debug)]
pub struct Router {
    vm: Weak<VmFd>,
    /// Lines that are wires of the APLIC: so many from 0 on.
    wires: u32,
}

impl Router {
    /// Routes all lines, as [`Guest::route`], the MSIs to any addresses: (address, data). Gives the line
    /// of the first MSI.
    pub fn route_msis(&self, msis: &[(u64, u32)]) -> Result<u32> {
        let wires = self.wires;
        let mut entries: Vec<kvm_irq_routing_entry> = (0..wires)
            .map(|pin| kvm_irq_routing_entry {
                gsi: pin,
                type_: KVM_IRQ_ROUTING_IRQCHIP,
                u: kvm_irq_routing_entry__bindgen_ty_1 {
                    irqchip: kvm_irq_routing_irqchip { irqchip: 0, pin },
                },
                ..Default::default()
            })
            .collect();

        for (i, &(address, data)) in msis.iter().enumerate() {
            entries.push(kvm_irq_routing_entry {
                gsi: wires + i as u32,
                type_: KVM_IRQ_ROUTING_MSI,
                u: kvm_irq_routing_entry__bindgen_ty_1 {
                    msi: kvm_irq_routing_msi {
                        address_lo: address as u32,
                        address_hi: (address >> 32) as u32,
                        data,
                        ..Default::default()
                    },
                },
                ..Default::default()
            });
        }
        let routing = KvmIrqRouting::from_entries(&entries).context("routing table")?;

        self.vm
            .upgrade()
            .ok_or_else(|| Error::new("routes of a machine that is gone"))?
            .set_gsi_routing(&routing)
            .context("KVM_SET_GSI_ROUTING")?;
        Ok(wires)
    }
}
