// SPDX-License-Identifier: GPL-2.0

//! vCPUs whose interrupt files are in guest files of harts, of which there are fewer, or in memory: they
//! enter harts and leave them, take files from each other, are reset, restored and destroyed, while MSIs
//! are sent to them and harts go offline (`guest/imsic`).
//!
//! There is one thread. What others do at the same time is done where an operation looks up: before it
//! takes a lock, asks another hart or changes a page table. There another operation runs to its end, and
//! in its midst yet another one. Nothing is done there that would have to wait for the first one.
//!
//! The model is one file for each vCPU with a flag for each identity, wherever the state is. In the end
//! nothing is lost, doubled, or somebody else's; and guest files have those owners whose state they hold.

use crate::{
    input::Input,
    swfile::{
        image,
        HartFile,
        Model, //
    },
    trace, //
};
use aia_core::{
    eix::EixWord,
    guest::{
        binding::{
            Binding,
            BoundTo,
            GuestFileLocation, //
        },
        file::Settled,
        hgei::Lines,
        imsic::{
            access,
            evict,
            inject,
            moves,
            release,
            steal,
            user,
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
    isel::Isel,
    swfile::{
        Image,
        SwFile, //
    },
    word::Word, //
};
use std::sync::{
    atomic::{
        AtomicBool,
        AtomicU32,
        AtomicU64,
        Ordering::Relaxed, //
    },
    Arc,
    Mutex, //
};

const VCPUS: usize = 5;
const HARTS: usize = 3;

/// How many identities files have. Guest files have more: one of theirs stands for "all has arrived".
const GUEST_IDS: u32 = 63;
const HART_IDS: u32 = 127;

/// How deep operations are in each other at most.
const DEPTH: u32 = 3;

/// A hart, which is there, goes offline, or has gone.
struct Hart {
    /// Who owns which guest file: numbers of vCPUs.
    lines: Mutex<Lines<usize>>,
    files: Vec<Mutex<HartFile>>,
    /// A vCPU's thread is on its way into the guest there, or the hart itself takes its files away:
    /// preemption is off.
    busy: AtomicBool,
    /// No thread gets there any more.
    closed: AtomicBool,
    gone: AtomicBool,
}

impl Hart {
    fn file(&self, line: Hgei) -> &Mutex<HartFile> {
        &self.files[line.index() - 1]
    }
}

/// A guest file that somebody owns.
struct File {
    harts: Arc<Vec<Hart>>,
    hart: usize,
    line: Hgei,
    settled: bool,
}

impl File {
    fn registers(&self) -> &Mutex<HartFile> {
        self.harts[self.hart].file(self.line)
    }
}

impl GuestFileLocation for File {
    fn cpu(&self) -> Cpu {
        Cpu::new(self.hart as u32)
    }

    fn hgei(&self) -> Hgei {
        self.line
    }
}

impl GuestFile for File {
    type Registers<'a> = HartFile;

    fn store(&self, eiid: Eiid) {
        let file = self.registers().lock().unwrap();

        file.on_the_way.borrow_mut().push_back(eiid.get());
    }

    fn here<R>(&self, f: impl FnOnce(&HartFile) -> R) -> R {
        assert!(
            !self.harts[self.hart].gone.load(Relaxed),
            "a hart that has gone"
        );
        f(&self.registers().lock().unwrap())
    }

    fn take_settled(&mut self) -> bool {
        std::mem::take(&mut self.settled)
    }

    fn set_settled(&mut self, settled: Settled) {
        assert_eq!(settled, Settled::Yes);
        self.settled = true;
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let mut lines = self.harts[self.hart].lines.lock().unwrap();

        assert!(lines.free(self.line, self.settled).is_some());
    }
}

/// The external interrupt of a vCPU in software.
#[derive(Default)]
struct Vseip(bool);

impl vcpu::Vseip for Vseip {
    fn is_pending(&self) -> bool {
        self.0
    }

    fn set(&mut self, pending: bool) {
        self.0 = pending;
    }
}

/// A vCPU, and what its interrupt file is to be.
struct Vcpu {
    bound: Word,
    binding: Mutex<Binding<File>>,
    memory: SwFile,
    vseip: Mutex<Vseip>,
    /// The guest file that its page is.
    page: Mutex<Option<(usize, Hgei)>>,
    /// Somebody is in an operation of its thread, or holds its mutex.
    busy: AtomicBool,
    /// The hart that it runs on.
    on: Mutex<Option<usize>>,
    blocked: AtomicBool,
    ran: AtomicU64,
    dead: AtomicBool,
    /// MSIs of the host that are being sent to it, a bit for each identity. They may be there yet or not:
    /// nothing is done with it meanwhile for which that makes a difference.
    sending: AtomicU64,
    model: Mutex<Model>,
}

impl Vcpu {
    fn new() -> Self {
        Self {
            bound: Word::new(0),
            binding: Mutex::default(),
            memory: SwFile::new(NrIds::new(GUEST_IDS).unwrap()),
            vseip: Mutex::default(),
            page: Mutex::default(),
            busy: AtomicBool::new(false),
            on: Mutex::default(),
            blocked: AtomicBool::new(true),
            ran: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            sending: AtomicU64::new(0),
            model: Mutex::new(Model::new(GUEST_IDS)),
        }
    }

    /// Somebody moves its state, for whom nobody may wait here.
    fn is_in_hands(&self) -> bool {
        matches!(
            *self.binding.lock().unwrap(),
            Binding::Moving | Binding::Releasing
        )
    }

    /// Whether an operation of its thread, or one with its mutex held, can begin.
    fn is_free(&self) -> bool {
        !self.dead.load(Relaxed) && !self.busy.load(Relaxed) && !self.is_in_hands()
    }
}

/// All of it.
struct World<'i> {
    harts: Arc<Vec<Hart>>,
    vcpus: Vec<Vcpu>,
    input: Mutex<Input<'i>>,
    depth: AtomicU32,
    /// Locks that are held: nothing else is done meanwhile.
    locks: AtomicU32,
    now: AtomicU64,
    maps_fail: AtomicBool,
}

/// A vCPU by its number.
#[derive(Clone, Copy)]
struct Handle<'w, 'i> {
    world: &'w World<'i>,
    n: usize,
}

impl Handle<'_, '_> {
    fn vcpu(&self) -> &Vcpu {
        &self.world.vcpus[self.n]
    }
}

/// There is no memory for a page table.
#[derive(Debug)]
struct NoMemory;

impl InterruptFile for Handle<'_, '_> {
    type File = File;
    type Vseip<'a> = Vseip;
    type Error = NoMemory;

    fn with_binding<R: Send>(self, f: impl FnOnce(&mut Binding<File>) -> R + Send) -> R {
        self.world.others();
        self.world
            .locked(|| f(&mut self.vcpu().binding.lock().unwrap()))
    }

    fn bound(&self) -> &Word {
        &self.world.vcpus[self.n].bound
    }

    fn sw_file(&self) -> &SwFile {
        &self.world.vcpus[self.n].memory
    }

    fn with_vseip(self, f: impl FnOnce(&mut Vseip) + Send) {
        self.world.others();
        self.world
            .locked(|| f(&mut self.vcpu().vseip.lock().unwrap()));
    }

    fn hart_ids(self) -> NrIds {
        NrIds::new(HART_IDS).unwrap()
    }

    fn map(self, file: &File) -> Result<(), NoMemory> {
        self.world.others();
        if self.world.maps_fail.load(Relaxed) {
            return Err(NoMemory);
        }
        *self.vcpu().page.lock().unwrap() = Some((file.hart, file.line));
        self.world.others();
        Ok(())
    }

    fn unmap(self, file: &File) {
        self.world.others();
        {
            let mut page = self.vcpu().page.lock().unwrap();

            if *page == Some((file.hart, file.line)) {
                *page = None;
            }
        }
        self.world.others();
    }

    fn call_on<R: Send>(self, cpu: Cpu, f: impl FnOnce() -> R + Send) -> Result<R, Offline> {
        self.world.others();
        if self.world.harts[cpu.index()].gone.load(Relaxed) {
            return Err(Offline);
        }
        Ok(f())
    }

    fn wait(self) {
        panic!("vCPU {} waits for somebody who waits for it", self.n);
    }

    fn count(self, event: Event) {
        trace!("  vCPU {}: {event:?}", self.n);
        self.world.others();
    }

    fn report_lost(self, file: &File) {
        panic!("what hart {} had of vCPU {} is lost", file.hart, self.n);
    }
}

/// The guest files of a hart, for who takes them away.
struct Owners<'w, 'i> {
    world: &'w World<'i>,
    hart: usize,
    thief: Option<usize>,
}

impl<'w, 'i> Owners<'w, 'i> {
    fn lines(&self) -> &'w Mutex<Lines<usize>> {
        &self.world.harts[self.hart].lines
    }

    fn owner(&self, n: usize) -> Handle<'w, 'i> {
        Handle {
            world: self.world,
            n,
        }
    }
}

impl<'w, 'i> evict::HgeiOwners for Owners<'w, 'i> {
    type Owner = Handle<'w, 'i>;

    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(Handle<'w, 'i>) -> R) -> Option<R> {
        self.world.others();
        self.world.locked(|| {
            let lines = self.lines().lock().unwrap();

            Some(f(self.owner(lines.owner(line)?)))
        })
    }
}

impl<'w, 'i> steal::FullHart for Owners<'w, 'i> {
    type Owner = Handle<'w, 'i>;

    fn find_victim<R>(
        &self,
        demand: Demand,
        mut f: impl FnMut(Handle<'w, 'i>) -> Option<R>,
    ) -> Result<R, NoVictim> {
        self.world.others();
        self.world.locked(|| {
            self.lines().lock().unwrap().find_victim(
                demand,
                self.world.now.load(Relaxed),
                |n| self.world.standing(n, self.hart),
                |_, n| f(self.owner(n)),
            )
        })
    }

    fn pass_on(&self, line: Hgei) {
        let thief = self.thief.expect("somebody who needs a file");
        let now = self.world.now.load(Relaxed);

        self.lines().lock().unwrap().pass_on(line, thief, now);
    }
}

/// What a file holds whose hart was without power. Nothing and everything are as likely as the rest.
fn anything(input: &mut Input<'_>) -> Image {
    let words = [0, !0, input.mask()];
    let mut any = || words[input.below(3) as usize];
    let mut image = Image {
        eidelivery: any(),
        eithreshold: any(),
        ..Default::default()
    };

    for word in EixWord::all(NrIds::new(HART_IDS).unwrap()) {
        image.eip[word.index()] = any();
        image.eie[word.index()] = any();
    }
    image
}

impl<'i> World<'i> {
    fn new(mut input: Input<'i>) -> Self {
        let harts = (0..HARTS)
            .map(|_| {
                let files = input.below(3);
                let mut lines = Lines::new();

                lines.set_count(files);
                Hart {
                    lines: Mutex::new(lines),
                    files: (0..files)
                        .map(|_| {
                            Mutex::new(HartFile {
                                registers: Model::new(HART_IDS).into(),
                                on_the_way: Default::default(),
                            })
                        })
                        .collect(),
                    busy: AtomicBool::new(false),
                    closed: AtomicBool::new(false),
                    gone: AtomicBool::new(false),
                }
            })
            .collect();

        let world = Self {
            harts: Arc::new(harts),
            vcpus: (0..VCPUS).map(|_| Vcpu::new()).collect(),
            input: Mutex::new(input),
            depth: AtomicU32::new(0),
            locks: AtomicU32::new(0),
            now: AtomicU64::new(0),
            maps_fail: AtomicBool::new(false),
        };

        // Most guests have enabled all that they have.
        for vcpu in &world.vcpus[..VCPUS - 1] {
            let mut image = Image {
                eidelivery: 1,
                ..Default::default()
            };

            image.eie[0] = !1;
            vcpu.memory.merge(&image);
            vcpu.model.lock().unwrap().load(&image);
        }
        world
    }

    fn below(&self, n: u32) -> u32 {
        self.input.lock().unwrap().below(n)
    }

    fn locked<R>(&self, f: impl FnOnce() -> R) -> R {
        self.locks.fetch_add(1, Relaxed);
        let result = f();

        self.locks.fetch_sub(1, Relaxed);
        result
    }

    /// What others do meanwhile, if anything.
    fn others(&self) {
        if self.locks.load(Relaxed) != 0 || self.depth.load(Relaxed) >= DEPTH {
            return;
        }
        if self.input.lock().unwrap().is_empty() || self.below(4) != 0 {
            return;
        }
        self.depth.fetch_add(1, Relaxed);
        self.step();
        self.depth.fetch_sub(1, Relaxed);
    }

    fn handle(&self, n: usize) -> Handle<'_, 'i> {
        Handle { world: self, n }
    }

    /// What a vCPU does, for who looks for a victim on `hart`.
    fn standing(&self, n: usize, hart: usize) -> Standing {
        let vcpu = &self.vcpus[n];
        let activity = match *vcpu.on.lock().unwrap() {
            Some(on) if on != hart => Activity::Elsewhere,
            _ if vcpu.blocked.load(Relaxed) => Activity::Blocked,
            _ => Activity::Ready,
        };

        Standing {
            activity,
            ran: vcpu.ran.load(Relaxed),
        }
    }

    /// Something happens.
    fn step(&self) {
        let n = self.below(VCPUS as u32) as usize;
        let hart = self.below(HARTS as u32) as usize;
        let depth = self.depth.load(Relaxed);

        match self.below(16) {
            0..=2 => self.inject(n),
            3 => self.store(n),
            4 => self.arrive(hart),
            5..=7 => self.enter(n, hart),
            8 => self.leave(n),
            9 => self.claim(n),
            10 => self.guest_access(n),
            11 => self.user_access(n),
            12 => self.replace(n),
            13 => self.close(hart),
            14 if depth == 0 => self.open(hart),
            15 if depth == 0 => self.park(hart),
            _ => {
                self.now.fetch_add(TENURE_NS / 2, Relaxed);
            }
        }
    }

    fn some_id(&self) -> u32 {
        self.below(GUEST_IDS) + 1
    }

    /// Whether an MSI with this identity can be sent to `n`: it is there, and none is just being sent, or is
    /// pending in a guest file or on its way there. Of two it is up to when they arrive whether the guest
    /// takes one interrupt or two.
    fn can_send(&self, n: usize, id: u32) -> bool {
        let vcpu = &self.vcpus[n];
        let in_memory = matches!(*vcpu.binding.lock().unwrap(), Binding::Software)
            && vcpu.page.lock().unwrap().is_none();

        !vcpu.dead.load(Relaxed)
            && vcpu.sending.load(Relaxed) & 1 << id == 0
            && (in_memory || !vcpu.model.lock().unwrap().pending[id as usize])
    }

    /// A device of the VMM sends an MSI.
    fn inject(&self, n: usize) {
        let id = self.some_id();

        if !self.can_send(n, id) {
            return;
        }
        trace!("MSI {id} of the host to {n}");
        self.vcpus[n].model.lock().unwrap().msi(id);
        self.vcpus[n].sending.fetch_or(1 << id, Relaxed);
        inject::inject(self.handle(n), Eiid::new(id).unwrap());
        self.vcpus[n].sending.fetch_and(!(1 << id), Relaxed);
    }

    /// Another vCPU of the machine stores to the page.
    fn store(&self, n: usize) {
        let id = self.some_id();

        if !self.can_send(n, id) {
            return;
        }
        let page = *self.vcpus[n].page.lock().unwrap();

        match page {
            Some((hart, line)) => {
                trace!("store of {id} to {n}, on hart {hart}");
                self.vcpus[n].model.lock().unwrap().msi(id);
                let file = self.harts[hart].file(line).lock().unwrap();

                file.on_the_way.borrow_mut().push_back(id);
            }
            None => self.inject(n),
        }
    }

    /// The next store takes effect.
    fn arrive(&self, hart: usize) {
        for file in &self.harts[hart].files {
            file.lock().unwrap().arrive();
        }
    }

    /// Whether nobody runs on `hart`, or is about to.
    fn is_idle(&self, hart: usize) -> bool {
        !self.harts[hart].busy.load(Relaxed)
            && self
                .vcpus
                .iter()
                .all(|vcpu| *vcpu.on.lock().unwrap() != Some(hart))
    }

    /// The vCPU's thread is about to run the guest on `hart`.
    fn enter(&self, n: usize, hart: usize) {
        let vcpu = &self.vcpus[n];
        let here = &self.harts[hart];
        let demand = [Demand::Must, Demand::May][self.below(2) as usize];
        let maps_fail = self.below(16) == 0;

        if !vcpu.is_free()
            || vcpu.on.lock().unwrap().is_some()
            || here.closed.load(Relaxed)
            || !self.is_idle(hart)
        {
            return;
        }
        trace!("{n} enters hart {hart}, {demand:?}");
        vcpu.busy.store(true, Relaxed);
        here.busy.store(true, Relaxed);
        if self.get_file(n, hart, demand, maps_fail) {
            *vcpu.on.lock().unwrap() = Some(hart);
            vcpu.blocked.store(false, Relaxed);
        }
        here.busy.store(false, Relaxed);
        vcpu.busy.store(false, Relaxed);
    }

    /// Gets a guest file, as the kernel does. Returns whether the guest can run.
    fn get_file(&self, n: usize, hart: usize, demand: Demand, maps_fail: bool) -> bool {
        let vcpu = self.handle(n);
        let cpu = Cpu::new(hart as u32);

        // The thread looks at the word only.
        if BoundTo::unpack(vcpu.bound().load()).map(|(on, _)| on) == Some(cpu) {
            return true;
        }
        let owners = Owners {
            world: self,
            hart,
            thief: Some(n),
        };
        let now = self.now.load(Relaxed);
        let free = {
            let mut lines = owners.lines().lock().unwrap();

            lines
                .alloc(n, now)
                .map(|line| (line, lines.is_settled(line)))
        };
        let file = match free {
            Some((line, settled)) => File {
                harts: self.harts.clone(),
                hart,
                line,
                settled,
            },
            None => match steal::steal(&owners, vcpu, cpu, demand) {
                Ok(file) => file,
                // To be tried again; here it may be somebody in the midst of something.
                Err(NoVictim::Busy) => return false,
                Err(_) if demand == Demand::Must => {
                    assert!(self.harts[hart].files.is_empty(), "a vCPU that cannot run");
                    return false;
                }
                Err(_) => {
                    release::release(vcpu);
                    return true;
                }
            },
        };

        // Set by whoever enters last: it is for this one only.
        self.maps_fail.store(maps_fail, Relaxed);
        let moved = moves::follow(vcpu, file);

        self.maps_fail.store(false, Relaxed);
        moved.is_ok()
    }

    /// The vCPU's thread leaves its hart.
    fn leave(&self, n: usize) {
        let vcpu = &self.vcpus[n];
        let blocks = self.below(2) == 0;

        if vcpu.busy.load(Relaxed) || vcpu.on.lock().unwrap().take().is_none() {
            return;
        }
        trace!("{n} leaves");
        vcpu.blocked.store(blocks, Relaxed);
        let now = self.now.fetch_add(1, Relaxed);

        vcpu.ran.store(now, Relaxed);
    }

    /// The guest file that the vCPU runs with, if it runs; [`None`] without one.
    fn running(&self, n: usize) -> Option<Option<(usize, Hgei)>> {
        let vcpu = &self.vcpus[n];
        let on = (*vcpu.on.lock().unwrap())?;

        if vcpu.busy.load(Relaxed) || vcpu.is_in_hands() || vcpu.sending.load(Relaxed) != 0 {
            return None;
        }
        let binding = vcpu.binding.lock().unwrap();

        match binding.file() {
            None => Some(None),
            // It runs with the file of this hart; if it still has another one, it was not told yet.
            Some(file) => {
                assert_eq!(file.hart, on);
                Some(Some((file.hart, file.line)))
            }
        }
    }

    /// The guest claims an interrupt.
    fn claim(&self, n: usize) {
        let Some(file) = self.running(n) else { return };

        match file {
            Some((hart, line)) => {
                let file = self.harts[hart].file(line).lock().unwrap();
                let id = file.registers.borrow_mut().claim() & 0x7ff;

                trace!("{n} claims {id} in a file");
                if id != 0 {
                    let mut model = self.vcpus[n].model.lock().unwrap();

                    assert!(model.pending[id as usize], "identity {id} of nobody");
                    assert!(model.enabled[id as usize]);
                    model.pending[id as usize] = false;
                }
            }
            None => {
                // What is sent meanwhile may come before or after.
                let claimed = self.locked(|| {
                    let wanted = self.vcpus[n].model.lock().unwrap().claim() & 0x7ff;
                    let claimed = access::claim(self.handle(n));

                    assert_eq!(claimed.map_or(0, |id| u64::from(id.get())), wanted);
                    claimed
                });

                trace!("{n} claims {claimed:?} in memory");
            }
        }
    }

    /// A register, and what is written to it.
    fn some_register(&self) -> (Isel, u64) {
        let isel = [0x70, 0x72, 0x80, 0xc0][self.below(4) as usize];
        let value = self.input.lock().unwrap().mask();
        // Of the first two there are more bits than those that everybody has.
        let value = match isel {
            0x70 => value & 1,
            0x72 => value & 0x3f,
            _ => value,
        };

        (Isel::new(isel).unwrap(), value)
    }

    /// The guest accesses a register.
    fn guest_access(&self, n: usize) {
        let (isel, value) = self.some_register();
        let Some(file) = self.running(n) else { return };

        trace!("{n} writes {value:#x} to {isel:?}");
        self.locked(|| {
            let mut model = self.vcpus[n].model.lock().unwrap();

            match file {
                Some((hart, line)) => {
                    let file = self.harts[hart].file(line).lock().unwrap();

                    file.arrive_all();
                    // Identity 0 is never there, nor are those of other guests' bits.
                    let old = file.registers.borrow_mut().access(isel.get(), value, !0);

                    assert_eq!(old, model.access(isel.get(), value, !0));
                }
                None => {
                    let old = access::access(self.handle(n), isel.register(), value, !0);

                    assert_eq!(old, model.access(isel.get(), value, !0));
                }
            }
        });
    }

    /// Begins what needs the mutex of a vCPU, which does not run then.
    fn stopped(&self, n: usize) -> bool {
        let vcpu = &self.vcpus[n];

        vcpu.is_free() && vcpu.on.lock().unwrap().is_none() && vcpu.sending.load(Relaxed) == 0
    }

    /// User space reads or writes a register, or reads all.
    fn user_access(&self, n: usize) {
        let (isel, value) = self.some_register();
        let all = self.below(3) == 0;
        let write = (self.below(2) == 0).then_some(value);

        if !self.stopped(n) || self.depth.load(Relaxed) != 0 {
            return;
        }
        // What is sent meanwhile may be in it or not.
        let locks = self.locks.fetch_add(1, Relaxed);

        trace!("user space: {n}, {isel:?} {write:?}, or all: {all}");
        let mut model = self.vcpus[n].model.lock().unwrap();
        if all {
            let mut image = Image::default();

            assert!(user::save(self.handle(n), &mut image).is_ok());
            assert_eq!(image, model.image());
        } else {
            let old = user::access(self.handle(n), isel, write);
            let mask = if write.is_some() { !0 } else { 0 };

            assert_eq!(old.ok().flatten(), model.access(isel.get(), value, mask));
        }
        self.locks.store(locks, Relaxed);
    }

    /// The vCPU is reset, gets another state, or goes away.
    fn replace(&self, n: usize) {
        let what = self.below(8);
        let vcpu = &self.vcpus[n];

        if !self.stopped(n) {
            return;
        }
        // What is sent meanwhile may be lost with the former state: then it is not sent.
        let locks = self.locks.fetch_add(1, Relaxed);

        vcpu.busy.store(true, Relaxed);
        match what {
            0 => {
                trace!("{n} goes away");
                release::destroy(self.handle(n));
                vcpu.dead.store(true, Relaxed);
                *vcpu.page.lock().unwrap() = None;
            }
            1..=3 => {
                trace!("{n} is reset");
                *vcpu.model.lock().unwrap() = Model::new(GUEST_IDS);
                release::reset(self.handle(n));
            }
            _ => {
                let image = image(&mut self.input.lock().unwrap());
                let mut model = Model::new(GUEST_IDS);

                trace!("{n} is restored");
                model.load(&image);
                *vcpu.model.lock().unwrap() = model;
                user::restore(self.handle(n), &image);
            }
        }
        vcpu.busy.store(false, Relaxed);
        self.locks.store(locks, Relaxed);
    }

    /// A hart goes offline: nobody gets there any more, and it takes all files away. Whoever was in the
    /// midst of something comes to its end before the hart is gone.
    fn close(&self, hart: usize) {
        let here = &self.harts[hart];

        if here.closed.load(Relaxed) || !self.is_idle(hart) {
            return;
        }
        // One is left.
        if self
            .harts
            .iter()
            .filter(|h| !h.closed.load(Relaxed))
            .count()
            == 1
        {
            return;
        }
        trace!("hart {hart} goes offline");
        here.closed.store(true, Relaxed);
        here.busy.store(true, Relaxed);
        let owners = Owners {
            world: self,
            hart,
            thief: None,
        };

        for line in 1..=here.files.len() as u32 {
            evict::evict(&owners, Cpu::new(hart as u32), Hgei::new(line).unwrap());
        }
        here.busy.store(false, Relaxed);
    }

    /// It comes back, its files with anything in them.
    fn open(&self, hart: usize) {
        let here = &self.harts[hart];

        if !here.gone.load(Relaxed) {
            return;
        }
        trace!("hart {hart} is back");
        here.lines.lock().unwrap().unsettle();
        for file in &here.files {
            let file = file.lock().unwrap();

            file.arrive_all();
            file.registers
                .borrow_mut()
                .load(&anything(&mut self.input.lock().unwrap()));
        }
        here.gone.store(false, Relaxed);
        here.closed.store(false, Relaxed);
    }

    /// A hart sleeps, and loses its files, while nothing runs.
    fn park(&self, hart: usize) {
        let here = &self.harts[hart];

        if here.closed.load(Relaxed) || self.vcpus.iter().any(|v| v.on.lock().unwrap().is_some()) {
            return;
        }
        trace!("hart {hart} sleeps");
        let owners = Owners {
            world: self,
            hart,
            thief: None,
        };
        let lines = || (1..=here.files.len() as u32).filter_map(Hgei::new);
        let cpu = Cpu::new(hart as u32);

        self.locked(|| {
            lines().for_each(|line| evict::park(&owners, cpu, line));
            for file in &here.files {
                let file = file.lock().unwrap();

                file.arrive_all();
                file.registers
                    .borrow_mut()
                    .load(&anything(&mut self.input.lock().unwrap()));
            }
            here.lines.lock().unwrap().unsettle();
            lines().for_each(|line| evict::unpark(&owners, cpu, line));
        });
    }

    /// Nobody is in the midst of anything: all is as the models say.
    fn check(&self) {
        for hart in self.harts.iter() {
            for file in &hart.files {
                file.lock().unwrap().arrive_all();
            }
            if hart.closed.load(Relaxed) {
                let left = hart.lines.lock().unwrap().owners(!0).count();

                assert_eq!(left, 0, "files of a hart that goes offline");
                hart.gone.store(true, Relaxed);
            }
        }
        let mut owned = 0;

        for (n, vcpu) in self.vcpus.iter().enumerate() {
            let binding = vcpu.binding.lock().unwrap();

            assert_eq!(vcpu.bound.load(), BoundTo::of(&*binding));
            let model = vcpu.model.lock().unwrap();
            let mut memory = Image::default();

            vcpu.memory.copy(&mut memory);
            match &*binding {
                _ if vcpu.dead.load(Relaxed) => assert!(binding.file().is_none()),
                Binding::Software => {
                    assert_eq!(memory, model.image(), "vCPU {n}");
                    assert_eq!(vcpu.vseip.lock().unwrap().0, model.is_asserted());
                    assert!(vcpu.page.lock().unwrap().is_none());
                }
                Binding::Bound(file) => {
                    let hart = &self.harts[file.hart];

                    owned += 1;
                    assert_eq!(hart.lines.lock().unwrap().owner(file.line), Some(n));
                    assert_eq!(*vcpu.page.lock().unwrap(), Some((file.hart, file.line)));
                    assert_eq!(memory, Image::default(), "vCPU {n}");
                    assert!(!vcpu.vseip.lock().unwrap().0);
                    file.registers().lock().unwrap().check(&model);
                }
                Binding::Moving | Binding::Releasing => panic!("vCPU {n} is in nobody's hands"),
            }
        }
        let lines = self
            .harts
            .iter()
            .map(|hart| hart.lines.lock().unwrap().owners(!0).count())
            .sum::<usize>();

        assert_eq!(lines, owned, "files of nobody");
    }
}

/// Runs the program in `data`.
pub fn run(data: &[u8]) {
    let world = World::new(Input::new(data));

    while !world.input.lock().unwrap().is_empty() {
        world.step();
        world.check();
    }
}
