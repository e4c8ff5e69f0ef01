// SPDX-License-Identifier: GPL-2.0

//! What changes the kernel's code while it runs, kprobes, ftrace and live patching, keeps out of windows and engines: by the kernel's own
//! lists, and when it is tried. Each check is also made of a routine of the driver's that has no secret, and of a function of the kernel's:
//! there the lists and the attempts must say the opposite.

use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use fs_err as fs;

use super::lab::{Lab, PATIENCE, VOLUME};
use super::LIVEPATCH_MODULE;
use crate::guest::Guest;
use crate::volume::{Volume, TRESOR};
use crate::watch::Sight;

/// How the names of the driver's routines in assembly begin, and of a few in Rust.
const OURS: &str = "tresor_";
/// The symbols around the sections of which the static check of `vmlinux` says that everything with a secret in registers lies in them.
const SECTIONS: [[&str; 2]; 3] = [
    ["__tresor_window_start", "__tresor_window_end"],
    ["__kprobes_text_start", "__kprobes_text_end"],
    ["__noinstr_text_start", "__noinstr_text_end"],
];
/// Load and store of four homes, and of what chooses between them.
const WINDOWS: usize = 2 * (4 + 1);
/// There are more than this.
const MIN_ROUTINES: usize = 80;
/// A routine of the driver's, but outside of these sections: it has nothing secret.
const NOT_SECRET: &str = "tresor_resume";
/// A routine in assembly that is nothing special, and a function in C that can be called at will by [`CALL`].
const ANY_ASSEMBLY: &str = "aesni_ecb_enc";
const ANY_FUNCTION: &str = "ksys_sync";
const CALL: &[&str] = &["busybox", "sync"];
/// A function in C whose live patch is seen at once: what /proc/version shows.
const PATCHED: &str = "version_proc_show";
/// A place on the black list; and, anywhere else, one in the middle of an instruction.
const EINVAL: &str = "os error 22";
const EILSEQ: &str = "os error 84";
const TRACING: &str = "/sys/kernel/tracing";
/// Stream of the content, and its bytes.
const SEED: u64 = 1800;
const BYTES: u64 = 1 << 20;
/// The live patch in the guest.
const MODULE: &str = "/tmp/livepatch-test.ko";

/// A routine in the running kernel.
struct Routine {
    name: String,
    code: Range<u64>,
}

pub(super) fn keep_out(lab: &mut Lab<'_>) -> Result<()> {
    let mut config = lab.config();
    let handle = lab.add_disks(&mut config, 64)?;
    let secrets = lab.enrollment.secrets(&[&handle])?;
    let (mut machine, mut guest) = lab.start_unlocked(&config)?;
    guest.run_ok(&["busybox", "mount", "-t", "tracefs", "none", TRACING])?;
    let routines = routines(&guest.read_text("/proc/kallsyms")?)?;
    black_list(&mut guest, &routines)?;
    kprobes(&mut guest, &routines.secret)?;
    ftrace(&mut guest, &routines.secret)?;
    live_patch(lab, &mut guest, &routines.secret)?;

    // With every function of the kernel traced and a probe on.
    guest.write_file(&format!("{TRACING}/current_tracer"), b"function")?;
    let volume = Volume::new(TRESOR, 64, 512);
    volume.open(&mut guest)?;
    guest.fill(&volume.mapper(), SEED, BYTES.min(VOLUME))?;
    guest.check(&volume.mapper(), SEED, BYTES.min(VOLUME))?;
    let stats = guest.read_text(&format!("{TRACING}/per_cpu/cpu0/stats"))?;
    ensure!(
        !stats.contains("entries: 0\n"),
        "the control failed: nothing was traced: {stats}"
    );
    Sight::of(&mut machine, &secrets)?
        .expect_nothing_in_ram()
        .context("with every function traced")?;
    guest.write_file(&format!("{TRACING}/current_tracer"), b"nop")?;
    volume.close(&mut guest)
}

/// What /proc/kallsyms says of the driver's routines.
struct Routines {
    /// Those in the sections.
    secret: Vec<Routine>,
    /// All in the window section, whatever their names.
    window: Range<u64>,
    /// One outside of them.
    other: Routine,
}

fn routines(kallsyms: &str) -> Result<Routines> {
    let mut symbols: Vec<(u64, &str)> = kallsyms
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
            let address = u64::from_str_radix(address, 16).ok()?;
            kind.eq_ignore_ascii_case("t").then_some((address, name))
        })
        .collect();
    symbols.sort();
    let address = |name: &str| {
        let symbol = symbols.iter().find(|symbol| symbol.1 == name);
        symbol
            .map(|symbol| symbol.0)
            .with_context(|| format!("/proc/kallsyms has no {name}"))
    };
    let sections = SECTIONS
        .iter()
        .map(|[start, end]| Ok(address(start)?..address(end)?))
        .collect::<Result<Vec<_>>>()?;
    let ours = symbols.iter().filter(|symbol| symbol.1.starts_with(OURS));
    let (secret, others): (Vec<Routine>, Vec<Routine>) = ours
        .map(|&(start, name)| {
            // To the next symbol: what is in between is padding.
            let end = symbols
                .iter()
                .map(|symbol| symbol.0)
                .find(|&next| next > start);
            Routine {
                name: name.to_owned(),
                code: start..end.unwrap_or(start),
            }
        })
        .partition(|routine| {
            sections
                .iter()
                .any(|section| section.contains(&routine.code.start))
        });
    ensure!(
        secret.len() > MIN_ROUTINES,
        "the kernel has only {} routines of ours",
        secret.len()
    );
    let other = others
        .into_iter()
        .find(|routine| routine.name == NOT_SECRET);
    Ok(Routines {
        secret,
        window: sections[0].clone(),
        other: other.context("the routine that is to be outside of the sections is not there")?,
    })
}

/// Every byte of every routine is on the kernel's own black list of kprobes.
fn black_list(guest: &mut Guest, routines: &Routines) -> Result<()> {
    let text = guest.read_text("/sys/kernel/debug/kprobes/blacklist")?;
    // 0xffffffff81000000-0xffffffff81000100	name
    let listed: Vec<Range<u64>> = text
        .lines()
        .filter_map(|line| {
            let (range, _) = line.split_once('\t')?;
            let (start, end) = range.split_once('-')?;
            let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
            Some(number(start)?..number(end)?)
        })
        .collect();
    ensure!(!listed.is_empty(), "the black list is empty: {text}");
    let is_listed = |routine: &Routine| {
        listed
            .iter()
            .any(|range| range.start <= routine.code.start && routine.code.end <= range.end)
    };
    for routine in &routines.secret {
        ensure!(
            is_listed(routine),
            "{} is not on the black list of kprobes as a whole",
            routine.name
        );
    }
    let in_window = |routine: &&Routine| routines.window.contains(&routine.code.start);
    ensure!(
        routines.secret.iter().filter(in_window).count() == WINDOWS,
        "the windows are not the {WINDOWS} routines that were looked for"
    );
    ensure!(
        !is_listed(&routines.other),
        "the control failed: {NOT_SECRET} is on the black list, too"
    );
    Ok(())
}

/// A kprobe is refused at the start of every routine, and anywhere in it; elsewhere it is taken, and fires.
fn kprobes(guest: &mut Guest, routines: &[Routine]) -> Result<()> {
    let events = format!("{TRACING}/kprobe_events");
    let mut refused = |place: &str, why: &str| {
        let refusal = guest.write_file(&events, format!("p:ours {place}\n").as_bytes());
        let said = refusal.err().map(|error| format!("{error:#}"));
        ensure!(
            said.as_ref().is_some_and(|said| said.contains(why)),
            "a kprobe at {place}: {said:?} instead of {why}"
        );
        Ok(())
    };
    for Routine { name, code } in routines {
        let middle = (code.end - code.start) / 2;
        for place in [
            name.clone(),
            format!("{name}+1"),
            format!("{name}+{middle}"),
            format!("{:#x}", code.start),
            format!("{:#x}", code.start + middle),
        ] {
            refused(&place, EINVAL)?;
        }
    }
    // It is the black list that says so: of a place that is wrong in another way the kernel says another thing.
    refused(&format!("{ANY_ASSEMBLY}+1"), EILSEQ)?;
    for (event, name) in [("a", ANY_ASSEMBLY), ("b", NOT_SECRET), ("c", ANY_FUNCTION)] {
        let line = format!("p:{event} {name}\n");
        let script = format!("echo '{line}' >> {events}");
        guest
            .run_ok(&["busybox", "sh", "-c", &script])
            .with_context(|| format!("the control: a kprobe at {name}"))?;
    }
    guest.write_file(&format!("{TRACING}/events/kprobes/enable"), b"1")?;
    guest.run_ok(CALL)?;
    let profile = guest.read_text(&format!("{TRACING}/kprobe_profile"))?;
    let hits = profile
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    ensure!(
        hits.sum::<u64>() > 0,
        "the control failed: the kprobe at {ANY_FUNCTION} never fired: {profile}"
    );
    Ok(())
}

/// ftrace knows no place in the routines that it could patch, and takes none of them by name.
fn ftrace(guest: &mut Guest, routines: &[Routine]) -> Result<()> {
    let functions = guest.read_text(&format!("{TRACING}/available_filter_functions"))?;
    let has = |name: &str| functions.lines().any(|line| line == name);
    for name in [ANY_FUNCTION, PATCHED] {
        ensure!(has(name), "the control failed: ftrace does not know {name}");
    }
    let filter = format!("{TRACING}/set_ftrace_filter");
    for Routine { name, .. } in routines {
        ensure!(!has(name), "ftrace can patch {name}");
        ensure!(
            guest
                .write_file(&filter, format!("{name}\n").as_bytes())
                .is_err(),
            "ftrace took {name}"
        );
    }
    guest
        .write_file(&filter, format!("{ANY_FUNCTION}\n").as_bytes())
        .context("the control: a function that ftrace knows")?;
    guest.write_file(&filter, b"\n")
}

/// A live patch of any of the routines is refused, because it has no place for ftrace; another function is patched.
fn live_patch(lab: &Lab<'_>, guest: &mut Guest, routines: &[Routine]) -> Result<()> {
    let module = lab.context.kernel.with_file_name(LIVEPATCH_MODULE);
    guest.write_file(MODULE, &fs::read(module)?)?;
    let load = |guest: &mut Guest, name: &str| {
        let parameter = format!("function={name}");
        guest.run(&["busybox", "insmod", MODULE, &parameter])
    };
    for Routine { name, .. } in routines {
        let ended = load(guest, name)?;
        ensure!(ended.status != 0, "{name} can be live patched");
    }
    let log = guest.dmesg()?;
    for Routine { name, .. } in routines {
        let why = format!("failed to find location for function '{name}'");
        ensure!(
            log.contains(&why),
            "the kernel refused to live patch {name} for another reason: {log}"
        );
    }
    ensure!(
        guest.read_text("/proc/version")?.contains("Linux"),
        "/proc/version is empty before it is patched"
    );
    let ended = load(guest, PATCHED)?;
    ensure!(
        ended.status == 0,
        "the control failed: {PATCHED} was not live patched: {ended:?}"
    );
    // Each task goes over to the patched function when it is seen outside of it.
    let begin = Instant::now();
    while !guest.read_text("/proc/version")?.is_empty() {
        ensure!(
            begin.elapsed() < PATIENCE,
            "the control failed: a live patch of {PATCHED} changes nothing"
        );
        sleep(Duration::from_millis(200));
    }
    Ok(())
}
