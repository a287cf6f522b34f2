// SPDX-License-Identifier: GPL-2.0

//! Processes that have a machine each, and what they and the one that starts them say to each other.

use crate::devices::DevicesState;
use os_pipe::PipeWriter;
use serde::{
    de::DeserializeOwned,
    Deserialize,
    Serialize, //
};
use std::{
    env,
    io::{
        self,
        Read,
        Write, //
    },
    path::PathBuf,
    process::{
        Child,
        ChildStdin,
        Command,
        Stdio, //
    },
    sync::mpsc::{
        self,
        Receiver, //
    },
    thread,
    time::Duration, //
};
use vmm::{
    Context,
    Error,
    MachineState,
    Mode,
    Result,
    Sent, //
};

/// What a process is told. It has one machine, and ends with it.
#[derive(Deserialize, Serialize)]
pub enum Order {
    /// To boot a guest.
    Boot,
    /// To make a machine in this mode for a guest of another process.
    Await(Mode),
    /// To let its guest go, whose memory is to be in this file.
    Leave(PathBuf),
    /// To go on with a guest.
    Arrive(Box<Parts>),
}

/// What it answers.
#[derive(Deserialize, Serialize)]
pub enum Answer {
    /// Its machine is there; the file of its memory.
    Awaiting(PathBuf),
    /// Its guest runs.
    Runs,
    /// Its guest is about to stop.
    Stopping,
    /// Its guest is gone, after so many requests to the disk.
    Left {
        parts: Box<Parts>,
        sent: Sent,
        requests: u64,
    },
    /// Its guest has switched itself off, after so many requests to the disk.
    Ended { requests: u64 },
    /// Something else happened.
    Failed(String),
}

/// What is sent of a machine.
#[derive(Deserialize, Serialize)]
pub struct Parts {
    pub machine: MachineState,
    pub devices: DevicesState,
}

/// Says something.
fn send(to: &mut impl Write, message: &impl Serialize) -> Result<()> {
    let bytes = postcard::to_stdvec(message).context("message")?;

    to.write_all(&(bytes.len() as u64).to_le_bytes())
        .and_then(|()| to.write_all(&bytes))
        .and_then(|()| to.flush())
        .context("other process")
}

/// Waits for what is said.
fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<T> {
    let mut len = [0; 8];

    from.read_exact(&mut len).context("other process")?;
    let mut bytes = vec![0; u64::from_le_bytes(len) as usize];

    from.read_exact(&mut bytes).context("other process")?;
    postcard::from_bytes(&bytes).context("message")
}

/// All that is said, until it fails.
fn listen<T>(mut from: impl Read + Send + 'static) -> Receiver<Result<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    let (send, all) = mpsc::channel();

    thread::spawn(move || loop {
        let message = receive(&mut from);
        let last = message.is_err();

        if send.send(message).is_err() || last {
            return;
        }
    });
    all
}

/// Set for processes that have a machine.
const WORKER: &str = "VMM_LINUX_WORKER";

/// What the process that has started this one tells it, if this one is to have a machine.
pub fn orders() -> Option<Receiver<Result<Order>>> {
    env::var_os(WORKER).map(|_| listen(io::stdin()))
}

/// Answers it.
pub fn answer(answer: &Answer) -> Result<()> {
    send(&mut io::stdout().lock(), answer)
}

/// Another process, which has a machine. It is ended, and waited for, when this is dropped.
#[derive(Debug)]
pub struct Worker {
    orders: ChildStdin,
    answers: Receiver<Result<Answer>>,
    child: Child,
    limit: Duration,
}

impl Worker {
    /// Starts one that writes its guest's console to `console`, and answers within `limit`.
    pub fn start(console: &PipeWriter, limit: Duration) -> Result<Self> {
        let mut child = Command::new(env::current_exe().context("own program")?)
            .env(WORKER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.try_clone().context("console")?)
            .spawn()
            .context("another process")?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new("a process without pipes"));
        };

        Ok(Self {
            orders,
            answers: listen(answers),
            child,
            limit,
        })
    }

    /// Tells it something.
    pub fn tell(&mut self, order: &Order) -> Result<()> {
        send(&mut self.orders, order)
    }

    /// Waits for its next answer.
    pub fn hear(&self) -> Result<Answer> {
        self.answers
            .recv_timeout(self.limit)
            .context("another process")?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Of one that is through, nothing is left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
