// SPDX-License-Identifier: GPL-2.0

//! A process that has a machine, and lets its guest go to that of another process.

use crate::{
    boot::{
        self,
        Lines, //
    },
    finished,
    moves,
    process::{
        answer,
        Answer,
        Order,
        Parts, //
    },
    start, //
};
use kvm_ioctls::Kvm;
use std::{
    fs::File,
    io,
    os::fd::{
        AsFd,
        AsRawFd, //
    },
    process,
    sync::{
        atomic::Ordering,
        mpsc::{
            Receiver,
            RecvTimeoutError, //
        }, //
    },
    time::Duration, //
};
use vmm::{
    Context,
    Error,
    Guest,
    Mode,
    Result, //
};

/// What this process is told.
type Orders = Receiver<Result<Order>>;

/// How often it looks whether the guest has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The guest's console: what this process was given for its complaints.
fn output() -> Result<Box<File>> {
    io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map(|console| Box::new(console.into()))
        .context("standard error")
}

/// Makes the machine that is asked for, whose guest runs then.
fn begin(kvm: &Kvm, orders: &Orders) -> Result<(Guest, Lines)> {
    match orders.recv().context("orders")?? {
        Order::Boot => {
            let (mut guest, lines) = boot::machine(kvm, output()?, &moves::wanted(Mode::Emul))?;

            start(&mut guest)?;
            Ok((guest, lines))
        }
        Order::Await(mode) => {
            let mut guest = boot::awaiting(kvm, &moves::wanted(mode))?;
            let memory = format!("/proc/{}/fd/{}", process::id(), guest.memory().as_raw_fd());

            answer(&Answer::Awaiting(memory.into()))?;
            let Order::Arrive(parts) = orders.recv().context("orders")?? else {
                return Err(Error::new("a guest was to arrive"));
            };
            let Parts { machine, devices } = *parts;
            let lines = Lines::new(kvm, &guest, output()?, Some(&devices))?;

            guest.arrive(&machine, |guest| lines.plug(guest))?;
            Ok((guest, lines))
        }
        _ => Err(Error::new("there is no guest")),
    }
}

/// What becomes of the guest: it ends, or leaves.
fn last(orders: &Orders, guest: &mut Guest, lines: &Lines) -> Result<Answer> {
    let requests = || lines.requests.load(Ordering::Relaxed);

    loop {
        match orders.recv_timeout(LOOK) {
            Ok(Ok(Order::Leave(path))) => {
                let memory = File::options().read(true).write(true).open(&path);
                let mut told = Ok(());
                let left = guest.leave(
                    memory.context(path.display())?,
                    || told = answer(&Answer::Stopping),
                    |guest| lines.unplug(guest),
                )?;

                told?;
                let (machine, sent) = left.map_err(|end| Error::new(format!("{end:?}")))?;
                let devices = lines.state()?;

                return Ok(Answer::Left {
                    parts: Box::new(Parts { machine, devices }),
                    sent,
                    requests: requests(),
                });
            }
            Ok(order) => {
                order?;
                return Err(Error::new("there is a guest already"));
            }
            Err(RecvTimeoutError::Timeout) => (),
            Err(e) => return Err(Error::new(e)),
        }
        if finished(guest)? {
            return Ok(Answer::Ended {
                requests: requests(),
            });
        }
    }
}

/// Does what it is told, until its guest is gone.
pub fn work(orders: &Orders) -> Result<()> {
    let end = Kvm::new()
        .context("/dev/kvm")
        .and_then(|kvm| begin(&kvm, orders))
        .and_then(|(mut guest, lines)| {
            answer(&Answer::Runs)?;
            last(orders, &mut guest, &lines)
        });

    answer(&end.unwrap_or_else(|e| Answer::Failed(e.to_string())))
}
