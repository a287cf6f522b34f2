// SPDX-License-Identifier: GPL-2.0

//! Arguments of a test: `aia.arg.NAME=key=value;key=value` on the kernel
//! command line, which `/init` hands over as `AIA_ARG_NAME`.

use std::{
    collections::BTreeMap,
    env, //
};

/// The arguments of one test program.
#[derive(Debug, Default)]
pub struct Args(BTreeMap<String, u64>);

impl Args {
    /// The arguments of the test `name`, which knows these keys.
    ///
    /// # Panics
    ///
    /// Panics if there are others, or values that are no numbers: a test must not do less than it
    /// was told.
    pub fn of(name: &str, keys: &[&str]) -> Self {
        let name = format!("AIA_ARG_{name}");

        match Self::parse(&env::var(&name).unwrap_or_default(), keys) {
            Ok(args) => args,
            Err(word) => panic!("{name}: {word}"),
        }
    }

    /// Fails with the first word that makes no sense.
    fn parse(text: &str, keys: &[&str]) -> Result<Self, String> {
        text.split([';', ','])
            .filter(|word| !word.is_empty())
            .map(|word| {
                let (key, value) = word.split_once('=').unwrap_or((word, "1"));

                match value.parse() {
                    Ok(value) if keys.contains(&key) => Ok((key.into(), value)),
                    _ => Err(word.into()),
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A number, or its default.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.given(key).unwrap_or(default)
    }

    /// A number, if it was given.
    pub fn given(&self, key: &str) -> Option<u64> {
        self.0.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["count", "quick"];

    #[test]
    fn keys_and_defaults() {
        let args = Args::parse("count=100;quick", KEYS).unwrap();

        assert_eq!(args.number("count", 5), 100);
        assert_eq!(args.number("quick", 0), 1);
        assert_eq!(args.number("none", 7), 7);
        assert_eq!(args.given("none"), None);
        assert!(Args::parse("", KEYS).unwrap().0.is_empty());
    }

    #[test]
    fn what_makes_no_sense() {
        for text in [
            "100",
            "cuont=1",
            "count=x",
            "count=",
            "count=-1",
            "quick=yes",
            "quick,slow",
        ] {
            assert!(Args::parse(text, KEYS).is_err(), "{text}");
        }
    }
}
