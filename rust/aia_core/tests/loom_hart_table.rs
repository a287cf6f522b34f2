// SPDX-License-Identifier: GPL-2.0

//! vCPUs are added to a table of hart indexes that others read, model-checked: every interleaving and
//! every reordering that C11 allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_hart_table`

#![cfg(loom)]

use aia_core::{
    guest::hart_table::{
        HartTable,
        HartTableEntry, //
    },
    ids::VcpuIndex,
    word::Word, //
};
use loom::{
    sync::Arc,
    thread, //
};

/// Eight entries, so that three hart indexes can belong into the same one.
struct Machine {
    table: HartTable<Vec<HartTableEntry>>,
    /// What each vCPU has, 0 as long as it is not made.
    members: [Word; 4],
}

impl Machine {
    fn new() -> Self {
        let storage = (0..8).map(|_| HartTableEntry::default()).collect();

        Self {
            table: HartTable::new(storage).unwrap(),
            members: Default::default(),
        }
    }

    /// Makes the vCPU `n`, as the only one who does.
    fn add(&self, hart_index: u32, n: u32, over: bool) {
        let vcpu = VcpuIndex::new(n).unwrap();

        self.members[vcpu.index()].store(u64::from(n) + 1);
        let added = if over {
            self.table.insert_over(hart_index, vcpu)
        } else {
            self.table.insert(hart_index, vcpu)
        };

        assert_eq!(added, Ok(()));
    }

    /// Who is found has all that was made of it.
    fn find(&self, hart_index: u32) -> Option<u32> {
        let vcpu = self.table.get(hart_index)?;

        assert_eq!(self.members[vcpu.index()].load(), u64::from(vcpu.get()) + 1);
        Some(vcpu.get())
    }
}

/// Hart indexes that belong into the same entry of eight.
const SAME: [u32; 3] = [0, 5, 13];

/// Whoever is found is whole, and stays there; one that goes before it takes its place at once.
#[test]
fn vcpus_are_added_under_readers() {
    loom::model(|| {
        let machine = Arc::new(Machine::new());

        machine.add(SAME[0], 0, false);
        let adds = {
            let machine = machine.clone();

            thread::spawn(move || {
                machine.add(SAME[1], 1, false);
                machine.add(SAME[2], 2, false);
                machine.add(SAME[1], 3, true);
            })
        };
        let last = machine.find(SAME[2]);
        let before = machine.find(SAME[1]);

        assert_eq!(machine.find(SAME[0]), Some(0));
        match last {
            // Who came before it is there, too.
            Some(2) => assert!(matches!(before, Some(1 | 3)), "{before:?}"),
            None => assert!(matches!(before, None | Some(1 | 3)), "{before:?}"),
            other => panic!("{other:?}"),
        }
        if before == Some(3) {
            assert_eq!(machine.find(SAME[1]), Some(3));
            assert_eq!(machine.find(SAME[2]), Some(2));
        }
        adds.join().unwrap();
        assert_eq!(SAME.map(|n| machine.find(n)), [Some(0), Some(3), Some(2)]);
    });
}
