// SPDX-License-Identifier: GPL-2.0

//! cryptsetup's own tests, run on the kernel with the driver and a key, and on the same kernel with `tresor=off`, which stands for a
//! stock one: what passes there must pass here. Some run once more with the driver's cipher in place of the kernel's AES.

mod run;
mod tests;

use std::fmt::Write as _;

use anyhow::{ensure, Result};

use self::run::Suite;
use self::tests::{Test, CONTROL, OURS, OURS_TOO, QUICK, WHOLE};
use super::lab::Lab;
use super::owner::start_off_with;

/// The tests that are short enough for a run of some minutes.
pub(super) fn quick(lab: &mut Lab<'_>) -> Result<()> {
    compare(lab, QUICK, OURS)
}

/// Those that take longer.
pub(super) fn whole(lab: &mut Lab<'_>) -> Result<()> {
    compare(lab, WHOLE, OURS_TOO)
}

/// A cryptsetup that makes volumes of another cipher than it is told, and tests that must see it; and the driver's cipher on a kernel
/// that does not have it.
pub(super) fn control(lab: &mut Lab<'_>) -> Result<()> {
    let config = lab.config_without_slot();
    let (suite, config) = Suite::add_to(lab, config, "control.img")?;
    let (_machine, mut guest) = start_off_with(lab, config)?;
    suite.mount(&mut guest)?;
    for test in CONTROL {
        let ended = suite.run(lab, "control", &mut guest, test)?;
        ensure!(
            test.judge(&ended).is_err(),
            "{} passed: {ended:?}",
            test.name
        );
    }
    Ok(())
}

fn compare(lab: &mut Lab<'_>, both: &[Test], ours: &[Test]) -> Result<()> {
    let config = lab.config();
    let (suite, config) = Suite::add_to(lab, config, "ours.img")?;
    let (machine, mut guest) = lab.start_unlocked(&config)?;
    suite.mount(&mut guest)?;
    let mut table = format!("{:36} {:>12} {:>12}\n", "test", "ours", "stock");
    let mut wrong = String::new();
    let mut here = Vec::new();
    for test in both.iter().chain(ours) {
        let ended = suite.run(lab, "ours", &mut guest, test)?;
        if let Err(error) = test.judge(&ended) {
            writeln!(wrong, "{} here: {error:#}", test.name)?;
        }
        here.push(ended);
    }
    drop((machine, guest));

    let config = lab.config_without_slot();
    let (suite, config) = Suite::add_to(lab, config, "stock.img")?;
    let (machine, mut guest) = start_off_with(lab, config)?;
    suite.mount(&mut guest)?;
    for (index, test) in both.iter().chain(ours).enumerate() {
        let there = if index < both.len() {
            let ended = suite.run(lab, "stock", &mut guest, test)?;
            if let Err(error) = test.judge(&ended) {
                writeln!(wrong, "{} there: {error:#}", test.name)?;
            }
            ended.to_string()
        } else {
            "-".to_owned()
        };
        let here = here.get(index).map(ToString::to_string);
        let here = here.unwrap_or_default();
        writeln!(table, "{:36} {here:>12} {there:>12}", test.name)?;
    }
    drop((machine, guest));
    ensure!(wrong.is_empty(), "{table}{wrong}");
    for line in table.lines() {
        println!("    {line}");
    }
    Ok(())
}
