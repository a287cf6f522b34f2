// SPDX-License-Identifier: GPL-2.0

//! Requests to the program that runs the machine.
//!
//! A line `# host: ACTION` on the console is answered with `host-done` or
//! `host-failed` on the console's input. Actions: `pulse LINE COUNT [GAP_US]` raises and lowers a wired
//! line so many times; `line LINE LEVEL` sets it.

use crate::Result;
use std::{
    io::stdin,
    sync::{
        mpsc::{
            channel,
            Receiver, //
        },
        Mutex, //
    },
    thread,
    time::{
        Duration,
        Instant, //
    },
};

static ANSWERS: Mutex<Option<Receiver<String>>> = Mutex::new(None);

fn listen() -> Receiver<String> {
    let (send, receive) = channel();

    thread::spawn(move || {
        for line in stdin().lines().map_while(std::result::Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// Asks for an action and waits until it is done.
pub fn ask(action: &str, limit: Duration) -> Result {
    start(action)?;
    finish(action, limit)
}

/// Asks for an action; [`finish`] waits for it.
pub fn start(action: &str) -> Result {
    let mut answers = ANSWERS.lock().map_err(|e| e.to_string())?;

    let answers = answers.get_or_insert_with(listen);
    // To what nobody waited for, since it may be lost while the system sleeps.
    while answers.try_recv().is_ok() {}
    println!("# host: {action}");
    Ok(())
}

/// Waits until the action that was started is done.
pub fn finish(action: &str, limit: Duration) -> Result {
    let answers = ANSWERS.lock().map_err(|e| e.to_string())?;
    let answers = answers.as_ref().ok_or("nothing was asked of the host")?;
    let end = Instant::now() + limit;

    loop {
        let left = end.saturating_duration_since(Instant::now());

        match answers.recv_timeout(left) {
            Ok(line) if line.contains("host-done") => return Ok(()),
            Ok(line) if line.contains("host-failed") => return Err(line),
            Ok(_) => continue,
            Err(_) => return Err(format!("the host did not answer {action:?}")),
        }
    }
}
