// SPDX-License-Identifier: GPL-2.0

//! The guest's console.

use std::{
    fmt, io,
    sync::{
        Arc,
        Mutex, //
    },
};

/// Who is told each line.
type Watcher = dyn Fn(&str) + Send + Sync;

/// What the guest wrote, by lines.
#[derive(Default)]
pub struct Console {
    lines: Mutex<Vec<String>>,
    /// Is told each line, by the thread of the vCPU that wrote it.
    watcher: Option<Box<Watcher>>,
}

impl Console {
    /// One of which `watcher` is told each line.
    pub fn watched(watcher: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            watcher: Some(Box::new(watcher)),
            ..Self::default()
        }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().map(|l| l.clone()).unwrap_or_default()
    }

    fn add(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_string();

        if let Some(watcher) = &self.watcher {
            watcher(&line);
        }
        ktap::diag(format!("guest: {line}"));
        if let Ok(mut lines) = self.lines.lock() {
            lines.push(line);
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
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
