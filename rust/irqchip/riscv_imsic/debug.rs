// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows under `irq/domains` and `irq/irqs`.

use aia_core::{
    ids::{
        Eiid,
        NrIds, //
    },
    vector::{
        file::File,
        Vectors, //
    }, //
};
use kernel::{
    fmt,
    seq_file::SeqFile,
    seq_print, //
};
use kernel_ext::cpumask;

use crate::state::{
    to_cpu,
    Imsic,
    LocalHart,
    OwnedWords, //
};

/// So many columns of nothing.
#[derive(Clone, Copy)]
struct Indent(usize);

impl fmt::Display for Indent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str(" "))
    }
}

/// The identities that a condition holds for, as in `%*pbl`.
struct Ranges<F>(NrIds, F);

impl<F: Fn(Eiid) -> bool> fmt::Display for Ranges<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().filter(|eiid| (self.1)(*eiid)).peekable();
        let mut separator = "";

        while let Some(first) = rest.next() {
            let mut last = first.get();

            while rest.next_if(|next| next.get() == last + 1).is_some() {
                last += 1;
            }
            f.write_str(separator)?;
            if last == first.get() {
                write!(f, "{last}")?;
            } else {
                write!(f, "{}-{last}", first.get())?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Prints a line of name and value.
macro_rules! line {
    ($to:expr, $indent:expr, $name:literal, $value:expr) => {
        seq_print!($to, "{}{:<17}: {:>5}\n", $indent, $name, $value)
    };
}

/// The identities of one file, or of several.
struct Occupancy {
    /// Can be had; of those that were freed, when their hart has looked.
    obtainable: u32,
    /// Are in use.
    used: u32,
}

impl Imsic {
    /// Shows the whole IMSIC: what is free on each CPU, and what has happened.
    ///
    /// The first lines are those of `irq_matrix`, which the C driver shows.
    pub(crate) fn show(&self, to: &SeqFile, indent: usize) {
        let indent = Indent(indent);
        let online = self.sum(|local| local.file.is_online().into());
        let reserved: u32 = self
            .nr_ids
            .iter()
            .map(|eiid| u32::from(self.is_reserved(eiid)))
            .sum();
        let mut all = Occupancy {
            obtainable: 0,
            used: 0,
        };

        for local in self.locals() {
            let Occupancy { obtainable, used } = self.occupancy(&local.file);

            all.used += used - reserved;
            if local.file.is_online() {
                all.obtainable += obtainable;
            }
        }

        seq_print!(to, "Online bitmaps:   {:>6}\n", online);
        seq_print!(to, "Global available: {:>6}\n", all.obtainable);
        seq_print!(to, "Global reserved:  {:>6}\n", 0);
        seq_print!(to, "Total allocated:  {:>6}\n", all.used);
        // Zero is none at all.
        seq_print!(
            to,
            "System: {}: 0-{}\n",
            reserved + 1,
            Ranges(self.nr_ids, |eiid| self.is_reserved(eiid))
        );
        line!(to, indent, "moves", self.sum(|local| local.file.moves()));
        line!(to, indent, "duplicates", self.counts.duplicates.load());
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
        seq_print!(to, "{} | CPU | avl | fwd | drp | act | vectors\n", indent);

        for cpu in cpumask::possible().map(to_cpu) {
            let Some(file) = self.local(cpu).map(|local| &local.file) else {
                continue;
            };

            if file.is_online() {
                let Occupancy { obtainable, used } = self.occupancy(file);

                seq_print!(
                    to,
                    "{}  {:>4}  {:>4}  {:>4}  {:>4} {:>4}  {}\n",
                    indent,
                    cpu.get(),
                    obtainable,
                    file.forwarded(),
                    file.dropped(),
                    used - reserved,
                    Ranges(self.nr_ids, |eiid| !self.is_reserved(eiid)
                        && file.is_in_use(eiid))
                );
            }
        }
    }

    fn locals(&self) -> impl Iterator<Item = &LocalHart> {
        cpumask::possible().filter_map(|cpu| self.local(to_cpu(cpu)))
    }

    fn sum(&self, value: impl Fn(&LocalHart) -> u64) -> u64 {
        self.locals().map(value).sum()
    }

    /// Both numbers are of the same moment: what is freed meanwhile is in one of them.
    fn occupancy(&self, file: &File<OwnedWords>) -> Occupancy {
        let used = file.in_use();

        Occupancy {
            obtainable: self.nr_ids.get() - used,
            used,
        }
    }

    /// Shows the vectors of one interrupt.
    pub(crate) fn show_vectors(&self, vectors: Vectors, to: &SeqFile, indent: usize) {
        let indent = Indent(indent);
        let current = vectors.current;
        let Some(local) = self.local(current.cpu()) else {
            return;
        };
        // As long as either forwards, another move is refused: the identity that it had there, or that of
        // the new one, to which a device may send a mixture of both messages.
        let moving = vectors.previous.filter(|previous| {
            self.local(previous.cpu()).is_some_and(|local| {
                local.file.forwards_to(previous.eiid(), current)
                    || local.file.forwards_to(current.eiid(), current)
            })
        });

        line!(to, indent, "target_cpu", current.cpu().get());
        line!(to, indent, "target_local_id", current.eiid().get());
        line!(
            to,
            indent,
            "is_reserved",
            u8::from(self.is_reserved(current.eiid()))
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
