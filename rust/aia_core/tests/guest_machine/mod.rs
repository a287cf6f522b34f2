// SPDX-License-Identifier: GPL-2.0

//! What the protocols of a vCPU's interrupt file run on, as loom sees it.
//!
//! What is inside of the hardware, the registers of a file and the stores on their way to it, is
//! invisible to loom and orders nothing. Each access to it has an operation beside it at which loom
//! may switch threads.
//!
//! The stores to one file, that of which there is a [`Wire`], take effect when that says so; those to
//! others at once.

#![allow(dead_code, reason = "each of the models uses a part")]

use std::sync as plain;

use aia_core::{
    eix::{
        mask,
        EixWord, //
    },
    guest::{
        binding::{
            Binding,
            BoundTo,
            GuestFileLocation, //
        },
        file::{
            FileRegisters,
            Settled, //
        },
        hgei::Lines,
        imsic::{
            evict,
            moves,
            release,
            steal,
            vcpu::{
                self,
                Event,
                GuestFile,
                InterruptFile,
                Offline, //
            }, //
        },
        victim::{
            Activity,
            Demand,
            NoVictim,
            Standing,
            TENURE_NS, //
        },
    },
    ids::{
        Cpu,
        Eiid,
        Hgei,
        NrIds, //
    },
    isel::{
        IndirectRegister, //
        Isel,
    },
    swfile::SwFile,
    word::Word, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{
            AtomicBool,
            AtomicUsize,
            Ordering::{
                Relaxed,
                SeqCst, //
            }, //
        },
        Arc,
        Mutex, //
    },
    thread, //
};

/// Nothing, of which loom knows who accesses it: it complains where one may change it while another
/// looks.
struct Watched(UnsafeCell<()>);

// SAFETY: There is nothing in it.
unsafe impl Sync for Watched {}

impl Watched {
    fn new() -> Self {
        Self(UnsafeCell::new(()))
    }

    fn change<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.with_mut(|_| f())
    }

    fn look(&self) {
        self.0.with(|_| ());
    }
}

/// How many harts there are, each with one guest file.
const HARTS: usize = 2;

/// No file is mapped.
const NOWHERE: usize = HARTS;

pub(crate) fn id(n: u32) -> Eiid {
    Eiid::new(n).unwrap()
}

/// The registers of a guest file, and the stores to it in the global memory order.
#[derive(Default)]
struct FileState {
    eip: [u64; 2],
    eie: [u64; 2],
    eithreshold: u64,
    eidelivery: u64,
    /// What has not arrived yet, in the global memory order.
    on_their_way: Vec<Eiid>,
    /// How many have arrived.
    received: usize,
    /// How many words of bits were replaced.
    words_replaced: usize,
}

impl FileState {
    /// The first so many stores of all take effect.
    fn receive(&mut self, arrived: usize) {
        while self.received < arrived && !self.on_their_way.is_empty() {
            let eiid = self.on_their_way.remove(0);

            self.eip[EixWord::of(eiid).index()] |= mask(eiid);
            self.received += 1;
        }
    }

    fn register(&mut self, isel: Isel) -> &mut u64 {
        match isel.register() {
            IndirectRegister::Eidelivery => &mut self.eidelivery,
            IndirectRegister::Eithreshold => &mut self.eithreshold,
            IndirectRegister::Eip(word) => &mut self.eip[word.index()],
            IndirectRegister::Eie(word) => &mut self.eie[word.index()],
            other => panic!("{other:?} of a guest file"),
        }
    }
}

/// A hart with one guest file.
struct Hart {
    /// Who owns the file: the number of a vCPU.
    lines: Mutex<Lines<usize>>,
    /// Held by the one thread that has preemption off there: a vCPU's on its way into the guest, or in
    /// there, or the hart's own. The stop of all CPUs waits for each.
    running: Mutex<()>,
    file: plain::Mutex<FileState>,
    /// The registers of the file.
    registers: Watched,
    /// How many stores the wire has let through, and whether there is one.
    arrived: AtomicUsize,
    delayed: AtomicBool,
    gone: AtomicBool,
}

/// The harts.
pub(crate) struct Harts {
    harts: [Hart; HARTS],
    nr_ids: NrIds,
}

impl Harts {
    pub(crate) fn new(nr_ids: u32) -> Arc<Self> {
        let hart = || {
            let mut lines = Lines::new();

            lines.set_count(1);
            Hart {
                lines: Mutex::new(lines),
                running: Mutex::new(()),
                file: Default::default(),
                registers: Watched::new(),
                arrived: AtomicUsize::new(0),
                delayed: AtomicBool::new(false),
                gone: AtomicBool::new(false),
            }
        };

        Arc::new(Self {
            harts: [hart(), hart()],
            nr_ids: NrIds::new(nr_ids).unwrap(),
        })
    }

    /// A store to the file of a hart becomes part of the global memory order.
    fn send(&self, hart: usize, eiid: Eiid) {
        let hart = &self.harts[hart];

        hart.arrived.fetch_add(0, Relaxed);
        hart.file.lock().unwrap().on_their_way.push(eiid);
    }

    /// The file of `hart`, after what has arrived by now.
    fn file(&self, hart: usize) -> plain::MutexGuard<'_, FileState> {
        let hart = &self.harts[hart];
        let arrived = if hart.delayed.load(Relaxed) {
            hart.arrived.fetch_add(0, Relaxed)
        } else {
            usize::MAX
        };
        let mut file = hart.file.lock().unwrap();

        file.receive(arrived);
        file
    }

    /// What is pending in the file of `hart`.
    pub(crate) fn pending(&self, hart: usize) -> Vec<u32> {
        bits(self.file(hart).eip)
    }

    /// Whether the file of `hart` delivers interrupts.
    pub(crate) fn delivers(&self, hart: usize) -> bool {
        self.file(hart).eidelivery == 1
    }

    /// The file of `hart` loses what it holds, and holds anything.
    pub(crate) fn lose(&self, hart: usize) {
        let mut file = self.file(hart);

        assert_eq!(bits(file.eip), []);
        file.eip = [0b1010_0000, 1];
        file.eie = [!0; 2];
        file.eithreshold = 7;
    }

    /// The same of a file that nobody has, which the hart says when it is back.
    pub(crate) fn lose_free(&self, hart: usize) {
        assert_eq!(self.in_use(hart), 0);
        self.lose(hart);
        self.harts[hart].lines.lock().unwrap().unsettle();
    }

    /// How many words of pending or enabled bits of the file of `hart` were replaced.
    pub(crate) fn words_replaced(&self, hart: usize) -> usize {
        self.file(hart).words_replaced
    }

    pub(crate) fn in_use(&self, hart: usize) -> u64 {
        let lines = self.harts[hart].lines.lock().unwrap();
        let used = lines.owners(!0).map(|(line, _)| line.bit()).sum();

        used
    }

    pub(crate) fn is_settled(&self, hart: usize) -> bool {
        self.harts[hart].lines.lock().unwrap().is_settled(Hgei::MIN)
    }

    fn free(&self, hart: usize, settled: bool) {
        let owner = self.harts[hart]
            .lines
            .lock()
            .unwrap()
            .free(Hgei::MIN, settled);

        assert!(owner.is_some());
    }
}

fn bits(words: [u64; 2]) -> Vec<u32> {
    (0..128)
        .filter(|n| words[n / 64] & 1 << (n % 64) != 0)
        .map(|n| n as u32)
        .collect()
}

/// Lets stores to the file of a hart arrive, one after the other, whenever it runs.
pub(crate) struct Wire {
    harts: Arc<Harts>,
    hart: usize,
    thread: thread::JoinHandle<()>,
    stores: usize,
}

impl Wire {
    /// For so many stores to the file of `hart` in all, markers included. Fewer do no harm.
    pub(crate) fn to(machine: &Machine, hart: usize, stores: usize) -> Self {
        let harts = machine.harts.clone();
        let wire = harts.clone();

        harts.harts[hart].delayed.store(true, SeqCst);
        Self {
            harts,
            hart,
            thread: thread::spawn(move || {
                for _ in 0..stores {
                    wire.harts[hart].arrived.fetch_add(1, Relaxed);
                }
            }),
            stores,
        }
    }

    /// Waits until all have arrived.
    pub(crate) fn end(self) {
        self.thread.join().unwrap();
        let file = self.harts.file(self.hart);

        assert!(
            file.on_their_way.is_empty(),
            "{} stores are more than {}",
            file.received + file.on_their_way.len(),
            self.stores
        );
    }
}

/// An owned guest file of a hart.
pub(crate) struct File {
    harts: Arc<Harts>,
    hart: usize,
    settled: bool,
}

impl GuestFileLocation for File {
    fn cpu(&self) -> Cpu {
        Cpu::new(self.hart as u32)
    }

    fn hgei(&self) -> Hgei {
        Hgei::MIN
    }
}

impl GuestFile for File {
    type Registers<'a> = Self;

    fn store(&self, eiid: Eiid) {
        self.harts.send(self.hart, eiid);
    }

    fn here<R>(&self, f: impl FnOnce(&Self) -> R) -> R {
        let hart = &self.harts.harts[self.hart];

        assert!(!hart.gone.load(Relaxed), "the hart has gone");
        hart.registers.change(|| f(self))
    }

    fn take_settled(&mut self) -> bool {
        std::mem::take(&mut self.settled)
    }

    fn set_settled(&mut self, settled: Settled) {
        assert_eq!(settled, Settled::Yes);
        self.settled = true;
    }
}

impl FileRegisters for File {
    fn read(&self, isel: Isel) -> u64 {
        *self.harts.file(self.hart).register(isel)
    }

    fn swap(&self, isel: Isel, value: u64) -> u64 {
        let mut file = self.harts.file(self.hart);

        if !matches!(isel, Isel::EIDELIVERY | Isel::EITHRESHOLD) {
            file.words_replaced += 1;
        }
        std::mem::replace(file.register(isel), value)
    }

    fn set(&self, isel: Isel, bits: u64) {
        *self.harts.file(self.hart).register(isel) |= bits;
    }

    fn clear(&self, isel: Isel, bits: u64) -> u64 {
        let mut file = self.harts.file(self.hart);
        let register = file.register(isel);
        let old = *register;

        *register &= !bits;
        old
    }

    fn store(&self, eiid: Eiid) {
        self.harts.send(self.hart, eiid);
    }

    /// Until one more has arrived.
    fn pause(&self) {
        self.harts.harts[self.hart].arrived.fetch_add(1, Relaxed);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.harts.free(self.hart, self.settled);
    }
}

/// A virtual machine: a vCPU with an interrupt file, and others that send MSIs to it.
pub(crate) struct Machine {
    pub(crate) harts: Arc<Harts>,
    pub(crate) bound_to: Word,
    binding: Mutex<Binding<File>>,
    memory: SwFile,
    vseip: Mutex<Vseip>,
    /// The file that the guest's page is mapped to.
    mapped: AtomicUsize,
    maps_fail: AtomicBool,
    /// Held by another vCPU while it is in the guest.
    in_guest: Mutex<()>,
    /// Held by who takes the file away: a hart, or another machine's vCPU.
    taking: Mutex<()>,
    /// What the lines know the vCPU as.
    number: usize,
    /// What it does, for who looks for a victim.
    pub(crate) standing: Standing,
    /// The memory of the vCPU.
    vcpu: Watched,
    /// What was counted.
    events: plain::Mutex<Vec<Event>>,
}

/// The external interrupt of the vCPU in software.
pub(crate) struct Vseip(bool);

impl vcpu::Vseip for Vseip {
    fn is_pending(&self) -> bool {
        self.0
    }

    fn set(&mut self, pending: bool) {
        self.0 = pending;
    }
}

/// There is no memory for a page table.
#[derive(Debug)]
pub(crate) struct NoMemory;

impl Machine {
    pub(crate) fn of(harts: &Arc<Harts>) -> Arc<Self> {
        Self::numbered(harts, 0)
    }

    /// The same where there are several.
    pub(crate) fn numbered(harts: &Arc<Harts>, number: usize) -> Arc<Self> {
        Arc::new(Self {
            harts: harts.clone(),
            bound_to: Word::new(0),
            binding: Mutex::new(Binding::Software),
            memory: SwFile::new(NrIds::MIN),
            vseip: Mutex::new(Vseip(false)),
            mapped: AtomicUsize::new(NOWHERE),
            maps_fail: AtomicBool::new(false),
            in_guest: Mutex::new(()),
            taking: Mutex::new(()),
            number,
            standing: Standing {
                activity: Activity::Blocked,
                ran: 0,
            },
            vcpu: Watched::new(),
            events: plain::Mutex::default(),
        })
    }

    /// A vCPU whose state is in memory.
    pub(crate) fn new() -> Arc<Self> {
        Self::of(&Harts::new(127))
    }

    /// A vCPU whose state, with these pending, is in the file of hart 0.
    pub(crate) fn on_hart_0(pending: &[u32]) -> Arc<Self> {
        Self::on_hart_0_with(pending, 127)
    }

    /// The same, of harts whose files have `nr_ids` identities. The guest knows 63, and has enabled all
    /// but the last.
    pub(crate) fn on_hart_0_with(pending: &[u32], nr_ids: u32) -> Arc<Self> {
        let machine = Self::of(&Harts::new(nr_ids));

        machine.put_on(0, pending);
        machine
    }

    /// Its state, with these pending, is in the file of `hart`, which nobody has.
    pub(crate) fn put_on(&self, hart: usize, pending: &[u32]) {
        let file = self.alloc(hart);

        {
            let mut state = self.harts.harts[hart].file.lock().unwrap();

            state.eip[0] = pending.iter().map(|n| 1 << n).sum();
            state.eie[0] = !0 >> 1 & !1;
            state.eidelivery = 1;
        }
        self.mapped.store(hart, SeqCst);
        let mut binding = self.binding.lock().unwrap();

        *binding = Binding::Bound(file);
        self.bound_to.store_release(BoundTo::of(&*binding));
    }

    pub(crate) fn let_maps_fail(&self) {
        self.maps_fail.store(true, SeqCst);
    }

    /// The vCPU's thread is on `hart`.
    pub(crate) fn follow(&self, hart: usize) -> Result<(), NoMemory> {
        let _running = self.harts.harts[hart].running.lock().unwrap();

        moves::follow(self, self.alloc(hart))
    }

    /// The vCPU's thread is on `hart`, where it takes the file of one of `others` if it is in use, and
    /// runs: it finds all its MSIs in the file, and changes it meanwhile as it likes.
    pub(crate) fn enter(&self, hart: usize, others: &[&Self], demand: Demand) -> Entered {
        let here = &self.harts.harts[hart];
        let _running = here.running.lock().unwrap();
        let cpu = Cpu::new(hart as u32);

        // As the kernel has it: the thread looks at the word only.
        if BoundTo::unpack(self.bound_to.load()).map(|(on, _)| on) == Some(cpu) {
            here.registers.change(|| thread::yield_now());
            return Entered::Stayed;
        }
        let free = here.lines.lock().unwrap().has_free();
        let file = if free {
            self.alloc(hart)
        } else {
            let _taking: Vec<_> = others.iter().map(|m| m.taking.lock().unwrap()).collect();
            let full = Full {
                thief: self,
                others,
                hart,
            };

            match steal::steal(&full, self, cpu, demand) {
                Ok(file) => file,
                Err(NoVictim::Busy) => return Entered::TryAgain,
                Err(_) => {
                    release::release(self);
                    return Entered::WithoutFile;
                }
            }
        };

        moves::follow(self, file).unwrap();
        here.registers.change(|| thread::yield_now());
        Entered::Moved
    }

    /// [`Self::enter`], until it has a file.
    pub(crate) fn must_enter(&self, hart: usize, others: &[&Self]) {
        while self.enter(hart, others, Demand::Must) == Entered::TryAgain {
            // Whoever has a file in his hands comes to an end.
            thread::yield_now();
        }
    }

    /// The vCPU's thread is where there is no guest file: on hart 1.
    pub(crate) fn release(&self) {
        let _running = self.harts.harts[1].running.lock().unwrap();

        release::release(self);
    }

    /// `hart` goes offline.
    pub(crate) fn offline(&self, hart: usize) {
        let running = self.harts.harts[hart].running.lock().unwrap();
        let taking = self.taking.lock().unwrap();

        evict::evict(&self.owners(hart), Cpu::new(hart as u32), Hgei::MIN);
        drop(taking);
        drop(running);

        // All CPUs are stopped.
        let _stopped: Vec<_> = self
            .harts
            .harts
            .iter()
            .map(|hart| hart.running.lock().unwrap())
            .collect();

        self.harts.harts[hart].gone.store(true, SeqCst);
    }

    pub(crate) fn owners(&self, hart: usize) -> Owners<'_> {
        Owners {
            machine: self,
            hart,
        }
    }

    /// An interrupt in the file of `hart` wakes its owner up.
    pub(crate) fn wake_owner(&self, hart: usize) {
        evict::HgeiOwners::with_owner(&self.owners(hart), Hgei::MIN, |owner| owner.touch());
    }

    /// The vCPU goes away.
    pub(crate) fn destroy(&self) {
        release::destroy(self);
        // Whoever is still in there makes loom complain.
        self.vcpu.change(|| ());
    }

    /// Takes the file of `hart`.
    pub(crate) fn alloc(&self, hart: usize) -> File {
        let mut lines = self.harts.harts[hart].lines.lock().unwrap();
        let line = lines.alloc(self.number, 0).unwrap();

        File {
            harts: self.harts.clone(),
            hart,
            settled: lines.is_settled(line),
        }
    }

    /// Another vCPU sends an MSI.
    pub(crate) fn guest_stores(&self, eiid: Eiid) {
        let guest = self.in_guest.lock().unwrap();

        match self.mapped.load(Relaxed) {
            NOWHERE => {
                drop(guest);
                aia_core::guest::imsic::inject::inject(self, eiid);
            }
            // The fence comes before it has left the guest for others to see.
            hart => self.harts.send(hart, eiid),
        }
    }

    /// The same of a hart that does not execute the fence: the store leaves it later.
    pub(crate) fn guest_stores_without_fence(&self, eiid: Eiid) {
        let guest = self.in_guest.lock().unwrap();
        let hart = self.mapped.load(Relaxed);

        drop(guest);
        self.harts.send(hart, eiid);
    }

    /// What the vCPU finds, wherever it is.
    pub(crate) fn state(&self) -> Vec<u32> {
        let mut state = self.memory_file();

        if let Some(file) = self.binding.lock().unwrap().file() {
            state.extend(self.harts.pending(file.hart));
        }
        state.sort();
        state
    }

    /// What is pending in the file of `hart`, where the state is.
    pub(crate) fn file(&self, hart: usize) -> Vec<u32> {
        assert_eq!(
            self.binding.lock().unwrap().file().map(|file| file.hart),
            Some(hart)
        );
        self.harts.pending(hart)
    }

    /// What is pending in memory.
    pub(crate) fn memory_file(&self) -> Vec<u32> {
        let eip = IndirectRegister::Eip(EixWord::new(0).unwrap());

        bits([self.memory.access(eip, 0, 0).unwrap(), 0])
    }

    /// What has happened.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn vseip(&self) -> bool {
        self.vseip.lock().unwrap().0
    }

    /// Whoever calls this, the vCPU has to be there.
    fn touch(&self) {
        self.vcpu.look();
    }
}

/// Who owns the file of a hart: the vCPU of a machine.
pub(crate) struct Owners<'a> {
    machine: &'a Machine,
    hart: usize,
}

impl<'a> evict::HgeiOwners for Owners<'a> {
    type Owner = &'a Machine;

    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(&'a Machine) -> R) -> Option<R> {
        let lines = self.machine.harts.harts[self.hart].lines.lock().unwrap();

        let owner = lines.owner(line)?;

        (owner == self.machine.number).then(|| f(self.machine))
    }
}

/// What became of a vCPU that was about to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entered {
    /// Its file is one of the hart.
    Stayed,
    /// Its file has become one.
    Moved,
    /// Its state is in memory.
    WithoutFile,
    /// Somebody has the file in his hands.
    TryAgain,
}

/// A hart without a free file, for a vCPU that needs one.
struct Full<'a> {
    thief: &'a Machine,
    others: &'a [&'a Machine],
    hart: usize,
}

impl<'a> Full<'a> {
    fn lines(&self) -> &Mutex<Lines<usize>> {
        &self.thief.harts.harts[self.hart].lines
    }

    fn machine(&self, number: usize) -> &'a Machine {
        self.others
            .iter()
            .find(|machine| machine.number == number)
            .expect("an owner")
    }
}

impl<'a> steal::FullHart for Full<'a> {
    type Owner = &'a Machine;

    /// The tenure of all files is over.
    fn find_victim<R>(
        &self,
        demand: Demand,
        mut f: impl FnMut(&'a Machine) -> Option<R>,
    ) -> Result<R, NoVictim> {
        self.lines().lock().unwrap().find_victim(
            demand,
            TENURE_NS,
            |number| {
                let machine = self.machine(number);

                // It is there as long as the lock is held.
                machine.touch();
                machine.standing
            },
            |_, number| f(self.machine(number)),
        )
    }

    fn pass_on(&self, line: Hgei) {
        self.lines()
            .lock()
            .unwrap()
            .pass_on(line, self.thief.number, TENURE_NS);
    }
}

impl InterruptFile for &Machine {
    type File = File;
    type Vseip<'a> = Vseip;
    type Error = NoMemory;

    fn with_binding<R: Send>(self, f: impl FnOnce(&mut Binding<File>) -> R + Send) -> R {
        let mut binding = self.binding.lock().unwrap();

        self.touch();
        f(&mut binding)
    }

    fn bound(&self) -> &Word {
        &self.bound_to
    }

    fn sw_file(&self) -> &SwFile {
        self.touch();
        &self.memory
    }

    fn with_vseip(self, f: impl FnOnce(&mut Vseip) + Send) {
        self.touch();
        f(&mut self.vseip.lock().unwrap());
    }

    fn hart_ids(self) -> NrIds {
        self.harts.nr_ids
    }

    fn map(self, file: &File) -> Result<(), NoMemory> {
        if self.maps_fail.load(Relaxed) {
            return Err(NoMemory);
        }
        self.mapped.store(file.hart, SeqCst);
        // Whoever is in the guest leaves it.
        drop(self.in_guest.lock().unwrap());
        Ok(())
    }

    fn unmap(self, file: &File) {
        self.touch();
        let _ = self
            .mapped
            .compare_exchange(file.hart, NOWHERE, SeqCst, SeqCst);
        drop(self.in_guest.lock().unwrap());
    }

    fn call_on<R: Send>(self, cpu: Cpu, f: impl FnOnce() -> R + Send) -> Result<R, Offline> {
        if self.harts.harts[cpu.index()].gone.load(Relaxed) {
            return Err(Offline);
        }
        Ok(f())
    }

    /// Only who takes the file away is waited for: until he is done. Looking again before finds the same
    /// as before.
    fn wait(self) {
        drop(self.taking.lock().unwrap());
    }

    fn count(self, event: Event) {
        self.touch();
        self.events.lock().unwrap().push(event);
    }

    fn report_lost(self, file: &File) {
        panic!("what hart {} had is lost", file.hart);
    }
}
