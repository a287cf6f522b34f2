// SPDX-License-Identifier: GPL-2.0

//! What can be done with vectors: give one to an interrupt, mask and move it, take it away.
//!
//! Everything here runs on one hart, with its interrupts off, and reaches the other harts only
//! through shared words and MSIs. No function waits for another hart, but that only one at a time
//! can ask an APLIC for a proof ([`HartAccess::fence`]).

use core::ops::Deref;

use super::{
    access::HartAccess,
    file::{
        sync::SyncOutcome,
        File, //
    },
    placement::Placement,
    slot::{
        InFlight,
        Sender,
        Slot, //
        SlotOwner,
    },
    tick::Tick,
    VectorId,
    Vectors, //
};
use crate::{
    ids::{
        Cpu,
        Eiid, //
    },
    word::Word, //
};

/// The running hart, and what it can reach: the files of all CPUs.
pub trait Machine: HartAccess {
    /// The words under the shared state.
    type Words: Deref<Target = [Word]>;

    /// What a device is told to raise a vector.
    type Message;

    /// The running CPU.
    fn cpu(&self) -> Cpu;

    /// The file of the running CPU.
    fn here(&self) -> &File<Self::Words>;

    /// The file of `cpu`; [`None`] if there is no such CPU.
    fn file(&self, cpu: Cpu) -> Option<&File<Self::Words>>;

    /// The files of all CPUs that may ever be there.
    fn files(&self) -> impl Iterator<Item = &File<Self::Words>>;

    /// Whether `cpu` may get interrupts. The file of a CPU that goes offline is online a little
    /// longer, while its interrupts leave.
    fn is_online(&self, cpu: Cpu) -> bool;

    /// Which CPU has most to give.
    fn placement(&self) -> &Placement<Self::Words>;

    /// What has happened so far.
    fn counts(&self) -> &Counts;

    /// The message that raises `vector`; [`None`] if nothing can.
    fn message(&self, vector: VectorId) -> Option<Self::Message>;

    /// Makes `cpu`, another one, look at what waits for it, soon.
    fn poke(&self, cpu: Cpu);

    /// Makes the running hart [`sync`] again at `due`.
    fn look_again(&self, due: Tick);
}

/// What has happened to vectors since boot.
#[derive(Default)]
pub struct Counts {
    /// Interrupts that may have been raised twice, as nobody could tell whose they were.
    pub duplicates: Word,
    /// Identities that hold what is for an owner that is away, now: see [`HartAccess::away`].
    pub away: Word,
}

/// CPUs to choose from.
pub trait Choice {
    /// Whether all CPUs that are online are among them.
    fn is_any(&self) -> bool;

    /// All of them.
    fn cpus(&self) -> impl Iterator<Item = Cpu>;
}

/// Whose interrupt moves.
#[derive(Clone, Copy, Debug)]
pub struct MoveSource {
    /// The owner of the vector.
    pub owner: SlotOwner,
    /// The device never sends anything but the old or the new message; others may mix the two.
    pub at_once: bool,
    /// What is known of the messages that it has sent before.
    pub sender: Sender,
}

/// Why a vector does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveError {
    /// Its last move is still in flight.
    Busy,
    /// No CPU of the choice has an identity left.
    Full,
    /// It does not belong to the owner.
    NotOwned,
    /// No message raises the new vector.
    NoMessage,
}

/// Applies everything that waits for the running hart.
#[cold]
pub fn sync<M: Machine>(machine: &M) {
    sync_by(machine, |file| file.sync(machine));
}

/// Applies everything again, after the running hart lost its enable bits.
pub(super) fn refresh<M: Machine>(machine: &M) {
    sync_by(machine, |file| file.refresh(machine));
}

fn sync_by<M: Machine>(machine: &M, apply: impl FnOnce(&File<M::Words>) -> SyncOutcome) {
    if let Some(due) = count_retired(machine, apply).due {
        machine.look_again(due);
    }
}

/// Does `what` with the file of the running hart, and tells the placement how many identities have come
/// back meanwhile.
fn count_retired<M: Machine, R>(machine: &M, what: impl FnOnce(&File<M::Words>) -> R) -> R {
    let file = machine.here();
    let before = file.retired();
    let result = what(file);
    // CAST: Less than an interrupt file has.
    let retired = file.retired().wrapping_sub(before) as u32;

    if retired != 0 {
        machine.placement().give_back(machine.cpu(), retired);
    }
    result
}

/// Makes `cpu` look at what waits for it, soon, without waiting for it.
fn hurry<M: Machine>(machine: &M, cpu: Cpu) {
    if cpu == machine.cpu() {
        sync(machine);
    } else {
        machine.poke(cpu);
    }
}

/// Lets `vector` be delivered: on its own CPU now, else at once by a poke.
#[inline]
pub fn unmask<M: Machine>(machine: &M, vector: VectorId) {
    if vector.cpu() == machine.cpu() {
        machine.here().enable_here(machine, vector.eiid());
    } else if let Some(file) = machine.file(vector.cpu()) {
        file.want(vector.eiid(), true);
        if file.mark(vector.eiid()) {
            machine.poke(vector.cpu());
        }
    }
}

/// Keeps `vector` from being delivered. On another CPU this takes effect before the next interrupt
/// there is claimed.
#[inline]
pub fn mask<M: Machine>(machine: &M, vector: VectorId) {
    if vector.cpu() == machine.cpu() {
        machine.here().disable_here(machine, vector.eiid());
    } else if let Some(file) = machine.file(vector.cpu()) {
        file.want(vector.eiid(), false);
        file.mark(vector.eiid());
    }
}

/// The best CPU of `choice` that is online.
fn best<M: Machine>(machine: &M, choice: &impl Choice) -> Option<Cpu> {
    let best = machine.placement().best()?;

    // In this order: a CPU that has just come up has to be one of the choice, too.
    if machine.is_online(best) && choice.is_any() {
        return Some(best);
    }
    machine
        .placement()
        .best_of(choice.cpus().filter(|cpu| machine.is_online(*cpu)))
}

/// Finds a vector on one of the CPUs of `choice` that is online, or the first of a block of `size`.
/// `assign` takes it from the file that is asked.
pub(super) fn place<M: Machine>(
    machine: &M,
    choice: &impl Choice,
    size: u32,
    assign: impl Fn(&File<M::Words>) -> Option<Eiid>,
) -> Option<VectorId> {
    let file_of = |cpu: Cpu| {
        machine
            .file(cpu)
            .filter(|file| machine.is_online(cpu) && file.is_online())
    };
    let take = |cpu: Cpu| {
        let file = file_of(cpu)?;
        let vector = VectorId::new(cpu, assign(file)?)?;

        if machine.placement().take(cpu, size) && file.needs_sync() {
            hurry(machine, cpu);
        }
        Some(vector)
    };
    // Others may have taken the last identities of the best CPU meanwhile.
    let any = || {
        best(machine, choice)
            .and_then(take)
            .or_else(|| choice.cpus().find_map(take))
    };

    any().or_else(|| {
        // Some may only wait for their hart. What this one has can be had now, and the others' soon.
        for cpu in choice.cpus() {
            if file_of(cpu).is_some_and(File::needs_sync) {
                hurry(machine, cpu);
            }
        }
        any()
    })
}

/// Gives `owner` a vector on one of the CPUs of `choice`, disabled; [`None`] if there is none left.
///
/// Identities that were freed are left again when their hart has looked. After a failure, those are
/// told to that have something to look at: see [`File::needs_sync`].
pub fn alloc<M: Machine>(machine: &M, choice: &impl Choice, owner: SlotOwner) -> Option<VectorId> {
    let vector = place(machine, choice, 1, |file| file.assign(owner, false))?;

    disable_lazily(machine, vector);
    Some(vector)
}

/// `vector` was enabled as a free one, and is disabled here now, elsewhere when its hart next looks.
pub(super) fn disable_lazily<M: Machine>(machine: &M, vector: VectorId) {
    if vector.cpu() == machine.cpu() {
        machine.disable(vector.eiid());
    } else if let Some(file) = machine.file(vector.cpu()) {
        file.mark(vector.eiid());
    }
}

/// Takes `vector` away from its owner.
pub(super) fn give_back<M: Machine>(machine: &M, vector: VectorId, owner: SlotOwner) {
    if let Some(file) = machine.file(vector.cpu()) {
        file.free(vector.eiid(), owner);
        release(machine, vector, file);
    }
}

/// `vector`, one of `file`, is nobody's any more. Its hart need not hurry to look at it, unless it
/// has few others.
fn release<M: Machine>(machine: &M, vector: VectorId, file: &File<M::Words>) {
    if file.mark(vector.eiid()) && machine.placement().is_short(vector.cpu()) {
        hurry(machine, vector.cpu());
    }
}

/// Takes the vectors away from their owner, whose device no longer sends.
#[inline]
pub fn free<M: Machine>(machine: &M, vectors: Vectors, owner: SlotOwner) {
    let current = vectors.current;

    // A move may still be in flight. As long as the vector that they forward to is ours, so are the
    // forwarders; afterwards, the same ones may be somebody else's.
    if let Some(previous) = vectors.previous {
        abandon_all(machine, previous, current);
    }
    abandon_away(machine, owner);
    give_back(machine, current, owner);
}

/// Ends the forwarders of a move from `previous`, also one that was on the way.
#[inline(never)]
fn abandon_all<M: Machine>(machine: &M, previous: VectorId, current: VectorId) {
    abandon(machine, previous, current);
    if let Some(temporary) = VectorId::new(previous.cpu(), current.eiid()) {
        abandon(machine, temporary, current);
    }
}

/// Lets all files drop what they hold for `owner`. After its forwarders were [abandoned](abandon): what
/// was one before may be away now.
#[inline]
pub(super) fn abandon_away<M: Machine>(machine: &M, owner: SlotOwner) {
    if machine.away().load() != 0 {
        abandon_away_in_all(machine, owner);
    }
}

#[cold]
#[inline(never)]
fn abandon_away_in_all<M: Machine>(machine: &M, owner: SlotOwner) {
    for file in machine.files() {
        file.abandon_away(machine, owner);
    }
}

pub(super) fn abandon<M: Machine>(machine: &M, vector: VectorId, to: VectorId) {
    if let Some(file) = machine.file(vector.cpu()) {
        if file.abandon(vector.eiid(), to) {
            release(machine, vector, file);
        }
    }
}

/// Whether the last move of `vectors` still is in flight. Ends it if that is possible here.
fn is_moving<M: Machine>(machine: &M, vectors: Vectors) -> bool {
    let Some(previous) = vectors.previous else {
        return false;
    };
    let Some(file) = machine.file(previous.cpu()) else {
        return false;
    };

    still_holds(machine, previous.cpu(), || {
        file.forwards_to(previous.eiid(), vectors.current)
            || file.forwards_to(vectors.current.eiid(), vectors.current)
    })
}

/// Whether `forwards` says that something of `cpu` forwards, also after it looked if that is this one.
pub(super) fn still_holds<M: Machine>(machine: &M, cpu: Cpu, forwards: impl Fn() -> bool) -> bool {
    if !forwards() {
        return false;
    }
    if cpu != machine.cpu() {
        // It has been told already.
        return true;
    }
    sync(machine);
    forwards()
}

/// Moves the interrupt of `source` to one of the CPUs of `choice`, and hands the new message to
/// `write`, which gives it to the device.
///
/// One move of an interrupt at a time.
pub fn move_to<M: Machine>(
    machine: &M,
    vectors: Vectors,
    source: MoveSource,
    choice: &impl Choice,
    write: impl Fn(M::Message),
) -> Result<Vectors, MoveError> {
    let MoveSource { owner, at_once, .. } = source;
    let from = vectors.current;
    let old = machine.file(from.cpu()).ok_or(MoveError::NotOwned)?;
    let moving = is_moving(machine, vectors);

    // An interrupt that leaves a CPU which goes away cannot wait for its last move: the first
    // vector then forwards past the second one, which ends when the CPU does.
    if moving && machine.is_online(from.cpu()) {
        return Err(MoveError::Busy);
    }

    let enabled = old.is_enabled(from.eiid());
    let to = if at_once {
        place(machine, choice, 1, |file| file.assign(owner, enabled))
    } else {
        place(machine, choice, 1, |file| {
            assign_like(file, from, old, owner, enabled)
        })
    }
    .ok_or(MoveError::Full)?;
    let temporary =
        VectorId::new(from.cpu(), to.eiid()).filter(|temporary| !at_once && *temporary != from);
    let Some((message, passing)) = messages(machine, to, temporary) else {
        give_back(machine, to, owner);
        return Err(MoveError::NoMessage);
    };

    if !enabled {
        disable_lazily(machine, to);
    }

    // From here on the old vector forwards; only then may the device hear of the new one.
    if !old.begin_move(from.eiid(), owner, to) {
        give_back(machine, to, owner);
        return Err(MoveError::NotOwned);
    }
    // A hart that is just coming up may not know of it before it clears what is nobody's.
    let forwarder = temporary
        .filter(|_| machine.is_online(from.cpu()))
        .filter(|t| old.assign_forwarder(t.eiid(), to));

    if forwarder.is_some() {
        machine.placement().take(from.cpu(), 1);
    }
    if let Some(passing) = passing {
        write(passing);
    }
    write(message);
    machine.here().count_move();

    // What was read back from the device is before what follows, here and where that is seen.
    machine.barrier();

    let previous = match vectors.previous {
        Some(first) if moving => pass_on(machine, first, from, to, owner),
        _ => from,
    };

    // Before this hart looks at its file, and takes what is pending for nobody or for others.
    if let (Some(temporary), None) = (temporary, forwarder) {
        split(machine, temporary, to);
    }
    let mut online = false;
    for left in [Some(from), forwarder].into_iter().flatten() {
        online |= settle_one(machine, old, left.eiid(), to, source);
    }
    if online {
        look_at_settled(machine, from.cpu());
    }

    Ok(Vectors {
        current: to,
        previous: Some(previous),
    })
}

/// Takes an identity of `file` for a device that may mix the messages of `from` and of the new
/// vector: the same identity, so that only the address changes, or else one that is free on the old
/// CPU too, so that it can forward.
fn assign_like<S: Deref<Target = [Word]>>(
    file: &File<S>,
    from: VectorId,
    old: &File<S>,
    owner: SlotOwner,
    enabled: bool,
) -> Option<Eiid> {
    if file.assign_at(from.eiid(), owner, enabled) {
        return Some(from.eiid());
    }
    if let Some(eiid) = file.pool().common_free(old.pool()) {
        if file.assign_at(eiid, owner, enabled) {
            return Some(eiid);
        }
    }
    file.assign(owner, enabled)
}

/// The messages for the new vector and for the one that a device may raise on the way to it.
pub(super) fn messages<M: Machine>(
    machine: &M,
    to: VectorId,
    temporary: Option<VectorId>,
) -> Option<(M::Message, Option<M::Message>)> {
    let passing = match temporary {
        Some(vector) => Some(machine.message(vector)?),
        None => None,
    };

    Some((machine.message(to)?, passing))
}

/// An interrupt moves on from `from` to `to` while forwarders of its move from `first` to `from` are
/// still there: none may be left that sends anything to `from`. Returns where it was before from now on.
///
/// The first vector forwards to `to` instead. The one that the device may have raised on its way, of
/// which nobody would know any more where it is, keeps what arrives for `owner`.
fn pass_on<M: Machine>(
    machine: &M,
    first: VectorId,
    from: VectorId,
    to: VectorId,
    owner: SlotOwner,
) -> VectorId {
    let Some(file) = machine.file(first.cpu()) else {
        return from;
    };
    let along = file.retarget(first.eiid(), from, to);
    let kept = from.eiid() != first.eiid() && file.keep(machine, from.eiid(), owner, from);

    if along || kept {
        has_sent_on(machine, from);
    }
    if along {
        first
    } else {
        from
    }
}

/// A hart may just have sent something on to `from`, which is left now, of which other senders know
/// nothing. If it cannot be told whether that has arrived, nothing can from now on.
pub(super) fn has_sent_on<M: Machine>(machine: &M, from: VectorId) {
    machine.barrier();
    if from.cpu() == machine.cpu() {
        machine.here().has_arrived(machine);
    }
}

/// The device has got its new message: lets the forwarder `from` of `file` end when its hart looks.
/// Returns whether that is there to do so.
pub(super) fn settle_one<M: Machine>(
    machine: &M,
    file: &File<M::Words>,
    from: Eiid,
    to: VectorId,
    source: MoveSource,
) -> bool {
    // Nobody else changes a forwarder whose device has not been told.
    file.settle(from, to, InFlight::of(source.sender, || machine.now()));

    let online = file.mark(from);
    if !online {
        file.depart(machine, from, source.owner, to);
    }
    online
}

/// Lets `cpu` end what has settled there.
pub(super) fn look_at_settled<M: Machine>(machine: &M, cpu: Cpu) {
    // A CPU that goes away looks once for all that leave it: senders take their time to answer.
    if cpu != machine.cpu() || machine.is_online(cpu) {
        hurry(machine, cpu);
    }
}

/// The running hart comes up, with all its enable bits set.
pub fn go_online<M: Machine>(machine: &M) {
    sync_by(machine, |file| file.go_online(machine));
    machine.placement().go_online(machine.cpu());
}

/// The running hart goes away; its interrupts have moved away before, as far as they could.
pub fn go_offline<M: Machine>(machine: &M) {
    machine.placement().go_offline(machine.cpu());
    count_retired(machine, |file| {
        file.go_offline(machine, |vector| owner_of(machine, vector));
    });
}

/// Whose `vector` is, or was before it moved away.
fn owner_of<M: Machine>(machine: &M, mut vector: VectorId) -> Option<SlotOwner> {
    // One more move may be on its way.
    for _ in 0..2 {
        match machine.file(vector.cpu())?.slot(vector.eiid()) {
            Slot::Assigned(owner) | Slot::Away(owner, _) => return Some(owner),
            Slot::Forward(to, _) => vector = to,
            _ => return None,
        }
    }
    None
}

/// The device may have raised `temporary`, which is in use by another interrupt: if it is pending,
/// both may have been meant, so both are raised.
///
/// Only its own hart can look, and only if it can tell that nothing is on its way. Else the moved
/// interrupt is raised in any case: one too many does less harm than one too few. (If the other one
/// was raised instead, it was once too often.)
fn split<M: Machine>(machine: &M, temporary: VectorId, to: VectorId) {
    if temporary.cpu() == machine.cpu() && machine.here().has_arrived(machine) {
        if !machine.take_pending(temporary.eiid()) {
            return;
        }
        machine.send(temporary);
    }
    machine.send(to);
    machine.counts().duplicates.add(1);
}
