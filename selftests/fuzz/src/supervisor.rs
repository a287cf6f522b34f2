// SPDX-License-Identifier: GPL-2.0

//! The process that watches the fuzzer: a system call that does not end, or an oops, ends that one.

use crate::{
    plan::Plan,
    sys,
    verdict, //
};
use ktap::{
    diag,
    Tap, //
};
use std::{
    env,
    ffi::CString,
    fmt::Write,
    fs::{
        self,
        File, //
    },
    io::Read,
    os::unix::fs::FileExt,
    process::{
        Child,
        Command,
        ExitCode,
        Stdio, //
    },
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        OnceLock,
    },
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    suite::told,
    Context,
    Error,
    Result, //
};

/// What it leaves for us.
const FOLDER: &str = "/tmp/fuzz";
/// The input that runs, after numbers: inputs, system calls, most places of one.
const CURRENT: &str = "/tmp/fuzz/current";
/// Bytes of an input at most.
const MAX_LEN: usize = 2048;
/// Inputs of random bytes that follow.
const RANDOM_SEEDS: u32 = 16;
/// How long an input may take, on a kernel that checks everything and a host that is busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is said how far it is.
const NEWS: Duration = Duration::from_secs(60);
/// Places of the drivers that one input has to run through at least, if the kernel can tell.
const PLACES: u64 = 1000;

/// Inputs that are tried first, as files of the folder corpus.
static SEEDS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/seeds.rs"));

static INPUTS: AtomicU64 = AtomicU64::new(0);
static MOST_PLACES: AtomicU64 = AtomicU64::new(0);

/// Fuzzes with libFuzzer's arguments, if there are any, or watches over a process that does.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os()
        .filter_map(|word| CString::new(word.into_encoded_bytes()).ok())
        .collect();

    match arguments.len() {
        0 | 1 => supervise(),
        _ => ExitCode::from(sys::fuzz(arguments) as u8),
    }
}

/// Whether each input is said on the console, before it runs.
fn is_traced() -> bool {
    told("kvm_fuzz_trace").ok().flatten().is_some()
}

fn note(data: Option<&[u8]>) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| File::create(CURRENT).ok()) else {
        return;
    };
    let mut bytes = Vec::new();

    for number in [
        INPUTS.load(Ordering::Relaxed),
        verdict::calls(),
        MOST_PLACES.load(Ordering::Relaxed),
    ] {
        bytes.extend(number.to_le_bytes());
    }
    if let Some(data) = data {
        bytes.extend((data.len() as u64).to_le_bytes());
        bytes.extend(data);
    }
    let _ = file.write_all_at(&bytes, 0);
}

/// Tells that this input begins.
pub fn begins(data: &[u8]) {
    if is_traced() {
        eprintln!("# input {}", hex(data));
    }
    INPUTS.fetch_add(1, Ordering::Relaxed);
    note(Some(data));
}

/// Tells how many places of the kernel it ran through.
pub fn ended(places: Option<usize>) {
    MOST_PLACES.fetch_max(places.unwrap_or(0) as u64, Ordering::Relaxed);
    note(None);
}

fn hex(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What [`note`] has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Note {
    inputs: u64,
    calls: u64,
    places: u64,
    data: Vec<u8>,
}

impl Note {
    fn read() -> Self {
        let bytes = fs::read(CURRENT).unwrap_or_default();
        let number = |n: usize| {
            bytes
                .get(8 * n..8 * n + 8)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        };
        let length = number(3) as usize;

        Self {
            inputs: number(0),
            calls: number(1),
            places: number(2),
            data: bytes.get(32..32 + length).unwrap_or_default().to_vec(),
        }
    }
}

fn start(seconds: u32) -> Result<Child> {
    let corpus = format!("{FOLDER}/corpus");

    fs::create_dir_all(&corpus).context(&corpus)?;
    for (name, seed) in SEEDS {
        fs::write(format!("{corpus}/{name}"), seed).context(name)?;
    }
    // A machine costs more than what is done to it: inputs are long from the beginning on.
    let mut random = File::open("/dev/urandom").context("/dev/urandom")?;

    for n in 0..RANDOM_SEEDS {
        let mut seed = [0; MAX_LEN];

        random.read_exact(&mut seed).context("/dev/urandom")?;
        fs::write(format!("{corpus}/random-{n}"), seed).context("a random input")?;
    }
    let log = if is_traced() {
        // What a kernel that does not survive it leaves.
        Stdio::inherit()
    } else {
        File::create(format!("{FOLDER}/log")).context("log")?.into()
    };

    if told("kvm_fuzz_trace")? == Some(2) {
        env::set_var("AIA_FUZZ_TRACE", "1");
    }
    Command::new("/proc/self/exe")
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={MAX_LEN}"),
            format!("-artifact_prefix={FOLDER}/"),
            "-len_control=0".into(),
            "-rss_limit_mb=0".into(),
            "-print_final_stats=1".into(),
            corpus,
        ])
        .stderr(log)
        .spawn()
        .context("the fuzzer")
}

/// Waits until it has ended by itself.
fn watch(child: &mut Child) -> Result<()> {
    let mut last = (Note::read(), Instant::now());
    let mut news = Instant::now();

    loop {
        if let Some(status) = child.try_wait().context("wait")? {
            return match status.success() {
                true => Ok(()),
                false => Err(Error::new(format!("the fuzzer ended with {status}"))),
            };
        }
        let note = Note::read();

        if note != last.0 {
            last = (note, Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            let _ = child.kill();
            return Err(Error::new("an input does not end"));
        }
        if news.elapsed() > NEWS {
            diag(format!(
                "{} inputs, {} system calls",
                last.0.inputs, last.0.calls
            ));
            news = Instant::now();
        }
        sleep(Duration::from_millis(500));
    }
}

/// Says what the last input was, and what the fuzzer said.
fn tell(note: &Note) {
    diag(format!("input {}", hex(&note.data)));
    for line in format!("{:x?}", Plan::new(&note.data)).split("}, ") {
        diag(line);
    }
    let log = fs::read_to_string(format!("{FOLDER}/log")).unwrap_or_default();
    // A static program has none of the sanitizers' functions.
    let lines: Vec<_> = log
        .lines()
        .filter(|line| !line.contains("Failed to find function"))
        .collect();

    for line in &lines[lines.len().saturating_sub(60)..] {
        diag(line);
    }
}

fn supervise() -> ExitCode {
    let seconds = told("kvm_fuzz_seconds").ok().flatten().unwrap_or(60);
    let mut tap = Tap::new(2);
    let result = fs::create_dir_all(FOLDER)
        .context(FOLDER)
        .and_then(|()| start(seconds))
        .and_then(|mut child| watch(&mut child));
    let note = Note::read();

    if result.is_err() {
        tell(&note);
    }
    tap.diag(format!(
        "{} inputs, {} system calls, {} places by one",
        note.inputs, note.calls, note.places
    ));
    tap.check(result, "fuzz: nothing is found");
    if fs::exists("/sys/kernel/debug/kcov").unwrap_or(false) {
        tap.ok(note.places >= PLACES, "fuzz: it sees what the drivers run");
    } else {
        tap.skip("needs KCOV", "fuzz: it sees what the drivers run");
    }
    tap.finish()
}
