// SPDX-License-Identifier: GPL-2.0

//! What the fuzzer chose, read as numbers.

/// The rest of the bytes; zeroes follow.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Begins with `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let n = N.min(self.0.len());
        let (first, rest) = self.0.split_at(n);

        bytes[..n].copy_from_slice(first);
        self.0 = rest;
        bytes
    }

    /// The next number.
    pub fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// The next number.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// The next number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// The next number.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let any = match n {
            0..=0x100 => self.u8().into(),
            _ => self.u32(),
        };

        any % n
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// One of several.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }

    /// A mask of 64 bits: often few bits, or all.
    pub fn mask(&mut self) -> u64 {
        match self.u8() {
            bit @ 0..=63 => 1 << bit,
            bit @ 64..=127 => u64::MAX << (bit - 64),
            bit @ 128..=191 => u64::MAX >> (bit - 128),
            192..=200 => u64::MAX,
            201..=209 => 0,
            _ => self.u64(),
        }
    }

    /// A number with 32 bits: often a small one, a single bit or all ones.
    pub fn word(&mut self) -> u32 {
        match self.u8() {
            n @ 0..=127 => n.into(),
            n @ 128..=159 => 1 << (n - 128),
            160..=175 => u32::MAX,
            176..=207 => self.u16().into(),
            _ => self.u32(),
        }
    }
}

/// Prints what is done, if the environment has AIA_FUZZ_TRACE: for who wants to understand an input.
#[macro_export]
macro_rules! trace {
    ($($arg:tt)*) => {
        if $crate::input::is_traced() {
            eprintln!($($arg)*);
        }
    };
}

/// Whether what is done is to be printed.
pub fn is_traced() -> bool {
    static TRACED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();

    *TRACED.get_or_init(|| std::env::var_os("AIA_FUZZ_TRACE").is_some())
}
