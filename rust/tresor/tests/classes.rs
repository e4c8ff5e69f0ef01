// SPDX-License-Identifier: GPL-2.0
//! Which engines there are on this CPU, and leaving some out.

use std::env;
use std::process::Command;

use tresor::user::{Class, Xts, DISABLE};

fn names() -> Vec<&'static str> {
    Xts::all().into_iter().map(Xts::name).collect()
}

#[test]
fn the_fastest_comes_first() {
    let order = Class::ALL.map(Class::name);
    let mut expected = names();
    expected.sort_by_key(|name| order.iter().position(|of| of == name));
    assert_eq!(names(), expected);
    assert_eq!(Xts::detect().map(Xts::name), expected.first().copied());
}

/// In a process of its own, because the environment belongs to all threads.
#[test]
fn disabled_classes_are_left_out() {
    let all = names();
    for left_out in &all {
        let mut expected = all.clone();
        expected.retain(|name| name != left_out);
        assert_eq!(names_without(left_out), expected);
    }
    assert_eq!(names_without(&all.join(",")), Vec::<String>::new());
    assert_eq!(names_without("no-such-class"), all);
}

fn names_without(list: &str) -> Vec<String> {
    let all_that_were_left = env::var(DISABLE).unwrap_or_default();
    let out = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_names_are_printed", "--nocapture"])
        .env(DISABLE, format!("{list},{all_that_were_left}"))
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let (_, names) = text.split_once("engines:").unwrap();
    let line = names.lines().next().unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// What `disabled_classes_are_left_out` reads.
#[test]
fn the_names_are_printed() {
    println!("engines: {}", names().join(" "));
}
