// SPDX-License-Identifier: GPL-2.0

//! Arguments of a test: `aia.arg.NAME=key=value;key=value` on the kernel
//! command line, which `/init` hands over as `AIA_ARG_NAME`.

use std::{
    collections::BTreeMap,
    env, //
};

/// The arguments of one test program.
#[derive(Debug, Default)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// The arguments of the test `name`.
    pub fn of(name: &str) -> Self {
        Self::parse(&env::var(format!("AIA_ARG_{name}")).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        Self(
            text.split([';', ','])
                .filter(|word| !word.is_empty())
                .map(|word| match word.split_once('=') {
                    Some((key, value)) => (key.into(), value.into()),
                    None => (word.into(), "1".into()),
                })
                .collect(),
        )
    }

    /// A number, or its default.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.0
            .get(key)
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    }

    /// A number, if it was given.
    pub fn given(&self, key: &str) -> Option<u64> {
        self.0.get(key).and_then(|v| v.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_defaults() {
        let args = Args::parse("count=100;quick;name=x");

        assert_eq!(args.number("count", 5), 100);
        assert_eq!(args.number("quick", 0), 1);
        assert_eq!(args.number("none", 7), 7);
        assert_eq!(args.given("name"), None);
    }
}
