// SPDX-License-Identifier: GPL-2.0

//! The guest's console.

use std::{
    io,
    sync::{
        Arc,
        Mutex, //
    },
};

/// What the guest wrote, by lines.
#[derive(Debug, Default)]
pub struct Console(Mutex<Vec<String>>);

impl Console {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().map(|l| l.clone()).unwrap_or_default()
    }

    fn add(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_string();

        ktap::diag(format!("guest: {line}"));
        if let Ok(mut lines) = self.0.lock() {
            lines.push(line);
        }
    }
}

/// The end of the console into which the UART writes.
#[derive(Debug)]
pub struct Writer {
    console: Arc<Console>,
    line: Vec<u8>,
}

impl Writer {
    /// Writes to `console`.
    pub fn new(console: Arc<Console>) -> Self {
        Self {
            console,
            line: Vec::new(),
        }
    }
}

impl io::Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        for &byte in data {
            if byte == b'\n' {
                self.console.add(&self.line);
                self.line.clear();
            } else {
                self.line.push(byte);
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
