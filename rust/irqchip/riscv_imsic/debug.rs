// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows under `irq/domains` and `irq/irqs`.

use aia_core::{
    ids::Cpu,
    vector::Vectors, //
};
use kernel::{
    fmt,
    seq_file::SeqFile,
    seq_print, //
};
use kernel_ext::cpumask;

use crate::{
    state::{
        Imsic,
        LocalHart, //
    },
    vectors::to_cpu, //
};

/// So many columns of nothing.
#[derive(Clone, Copy)]
struct Indent(usize);

impl fmt::Display for Indent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str(" "))
    }
}

/// Prints a line of name and value.
macro_rules! line {
    ($to:expr, $indent:expr, $name:literal, $value:expr) => {
        seq_print!($to, "{}{:<17}: {:>5}\n", $indent, $name, $value)
    };
}

impl Imsic {
    /// Shows the whole IMSIC: what is free on each CPU, and what has happened.
    pub(crate) fn show(&self, to: &SeqFile, indent: usize) {
        let indent = Indent(indent);
        let online: u32 = self.sum(|local| u32::from(local.file.is_online()).into()) as u32;
        let free = self.sum(|local| local.file.pool().free().into());

        line!(to, indent, "nr_ids", self.nr_ids.get());
        line!(to, indent, "online_files", online);
        line!(to, indent, "available", free);
        line!(to, indent, "moves", self.moves.load());
        line!(to, indent, "duplicates", self.duplicates.load());
        line!(
            to,
            indent,
            "forwarded",
            self.sum(|local| local.file.forwarded())
        );
        line!(
            to,
            indent,
            "dropped",
            self.sum(|local| local.file.dropped())
        );
        seq_print!(to, "{}| CPU | avl | used | fwd | drp | online\n", indent);

        for cpu in cpumask::possible().map(to_cpu) {
            let Some(local) = self.local(cpu) else {
                continue;
            };
            let file = &local.file;

            seq_print!(
                to,
                "{}{:>6}{:>6}{:>7}{:>6}{:>6}{:>9}\n",
                indent,
                cpu.get(),
                file.pool().free(),
                self.nr_ids.get() - file.pool().free(),
                file.forwarded(),
                file.dropped(),
                u8::from(file.is_online())
            );
        }
    }

    fn sum(&self, value: impl Fn(&LocalHart) -> u64) -> u64 {
        cpumask::possible()
            .filter_map(|cpu| self.local(Cpu::new(cpu.as_u32())))
            .map(value)
            .sum()
    }

    /// Shows the vectors of one interrupt.
    pub(crate) fn show_vectors(&self, vectors: Vectors, to: &SeqFile, indent: usize) {
        let indent = Indent(indent);
        let current = vectors.current;
        let Some(local) = self.local(current.cpu()) else {
            return;
        };
        let moving = vectors.previous.filter(|previous| {
            self.local(previous.cpu())
                .is_some_and(|local| local.file.forwards_to(previous.eiid(), current))
        });

        line!(to, indent, "target_cpu", current.cpu().get());
        line!(to, indent, "target_local_id", current.eiid().get());
        line!(
            to,
            indent,
            "is_reserved",
            u8::from(current.eiid() == Self::POKE)
        );
        line!(
            to,
            indent,
            "is_enabled",
            u8::from(local.file.is_enabled(current.eiid()))
        );
        line!(to, indent, "is_move_pending", u8::from(moving.is_some()));
        if let Some(previous) = moving {
            line!(to, indent, "move_cpu", previous.cpu().get());
            line!(to, indent, "move_local_id", previous.eiid().get());
        }
    }
}
