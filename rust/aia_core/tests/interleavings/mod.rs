// SPDX-License-Identifier: GPL-2.0

//! How many interleavings are tried where all would take too long.

/// Checks a model in which no thread is interrupted more than `preemptions` times in all, nor more than
/// `LOOM_MAX_PREEMPTIONS` says.
pub(crate) fn bounded(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let most = builder.preemption_bound.unwrap_or(preemptions);

    builder.preemption_bound = Some(preemptions.min(most));
    builder.check(model);
}
