// SPDX-License-Identifier: GPL-2.0
//! Power loss at every write: whatever part of the writes reached the disk, stock cryptsetup opens the old
//! or the new volume, and a second run, or the copy of the header, leads out of it.
//!
//! Needs cryptsetup, and no device mapper: `open --test-passphrase` works on files.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::change::{Goal, Volume};
use super::cryptsetup::{Cryptsetup, Kdf};
use super::disk::testing::{Event, Memory};
use super::disk::Disk;
use super::header::{self, Place};
use super::key::Cipher;
use super::metadata::Metadata;
use super::wrapper::wrap;
use super::{Change, STOCK, WRAPPED};

const SECTOR: usize = 512;
const S: [u8; 32] = [0x5a; 32];
/// Bytes of data behind the header.
const DATA: usize = 64 << 10;
/// Room for two keyslots of a key of 64 bytes and two of a handle.
const KEYSLOTS: &str = "1536K";
const CHEAP: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

/// A directory that is not in memory (`/tmp` may be), with the files of a test.
struct Lab {
    dir: TempDir,
    cryptsetup: Cryptsetup,
}

/// The pair of key and cipher by which a volume's data is read.
type Opens = (Vec<u8>, String);

impl Lab {
    fn new() -> Self {
        let program = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        std::fs::write(dir.path().join("one"), "pass one").unwrap();
        std::fs::write(dir.path().join("two"), "pass two\n").unwrap();
        let cryptsetup = Cryptsetup::find().expect("`cargo xtask setup` installs it");
        Self { dir, cryptsetup }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A stock volume with two pass phrases and test content.
    fn stock(&self, key_size: &str, more: &[&str]) -> Vec<u8> {
        let image = self.path("stock.img");
        std::fs::write(&image, vec![0xda; (4 << 20) + DATA]).unwrap();
        let format = ["luksFormat", "--type", "luks2", "-q", "--cipher", STOCK];
        let format = [&format[..], &["--key-size", key_size], more, &CHEAP].concat();
        self.stock_cryptsetup(&format, &[&image, &self.path("one")]);
        let one = self.path("one");
        let add = ["luksAddKey", "-q", "--key-file", one.to_str().unwrap()];
        let add = [&add[..], &CHEAP].concat();
        self.stock_cryptsetup(&add, &[&image, &self.path("two")]);
        std::fs::read(image).unwrap()
    }

    fn stock_cryptsetup(&self, arguments: &[&str], paths: &[&Path]) {
        let output = Command::new("cryptsetup")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(arguments)
            .args(paths)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }

    fn options(&self, backup: &str, also: &[&str]) -> Change {
        Change {
            device: self.path("image"),
            backup: Some(self.path(backup)),
            key_file: Some(self.path("one")),
            also_key_file: also.iter().map(|name| self.path(name)).collect(),
            yes: true,
            kdf: Kdf::cheap(),
        }
    }

    /// Adopts the volume in an image, or releases it.
    fn change(
        &self,
        image: &[u8],
        to: &str,
        backup: &str,
        also: &[&str],
    ) -> anyhow::Result<Memory> {
        let volume = Volume::on(Memory::new(image.to_vec()))?;
        let mut new_key = |old: &[u8]| -> anyhow::Result<Zeroizing<Vec<u8>>> {
            match to {
                STOCK => Cipher::named(WRAPPED)?.key(old, &S),
                _ => wrap(&S, old),
            }
        };
        let goal = Goal {
            encryption: to,
            new_key: &mut new_key,
        };
        volume.change(&self.cryptsetup, &self.options(backup, also), goal)
    }

    /// What stock cryptsetup makes of an image and a pass phrase.
    fn opens(&self, image: &[u8], pass_phrase: &str) -> Option<Opens> {
        let path = self.path("cut.img");
        std::fs::write(&path, image).unwrap();
        let key = self.cryptsetup.open(&path, pass_phrase.as_bytes()).ok()??;
        // cryptsetup has repaired the copies of the header meanwhile.
        let image = std::fs::read(&path).unwrap();
        Some((key.to_vec(), metadata(&image).segment().ok()?.encryption))
    }
}

/// States of the disk that power loss can leave: for each step the earlier ones are whole, and of its own
/// sectors there is a beginning, an end, or any selection.
///
/// Of steps with many sectors only some states are taken; of the copies of the header every beginning.
fn cuts(before: &[u8], events: &[Event]) -> Vec<(String, Vec<u8>)> {
    let mut cuts = Vec::new();
    let mut disk = before.to_vec();
    for (number, step) in events
        .split(|event| matches!(event, Event::Sync))
        .enumerate()
    {
        let sectors: Vec<(usize, &[u8])> = step
            .iter()
            .flat_map(|event| match event {
                Event::Write(offset, bytes) => {
                    let start = *offset as usize;
                    let sector = move |(index, bytes)| (start + index * SECTOR, bytes);
                    bytes
                        .chunks(SECTOR)
                        .enumerate()
                        .map(sector)
                        .collect::<Vec<_>>()
                }
                Event::Sync => Vec::new(),
            })
            .collect();
        let count = sectors.len();
        let every = if count <= 64 { 1 } else { count / 8 };
        let mut state = |name: String, taken: &dyn Fn(usize) -> bool| {
            let mut image = disk.clone();
            for (_, (at, bytes)) in sectors
                .iter()
                .enumerate()
                .filter(|(index, _)| taken(*index))
            {
                image[*at..*at + bytes.len()].copy_from_slice(bytes);
            }
            cuts.push((format!("step {number}, {name}"), image));
        };
        for done in (0..count).step_by(every) {
            state(format!("the first {done} of {count} sectors"), &|at| {
                at < done
            });
        }
        for missing in [1, 2, count / 2, count - count.min(1)] {
            state(format!("without the first {missing} sectors"), &|at| {
                at >= missing
            });
        }
        for selection in 1..=6u32 {
            let taken =
                move |at: usize| (at as u32 ^ selection << 8).wrapping_mul(0x9e37_79b9) >> 31 == 1;
            state(format!("selection {selection}"), &taken);
        }
        for (at, bytes) in sectors {
            disk[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
    cuts.push(("whole".to_owned(), disk));
    cuts
}

/// The states in which neither the old nor the new volume opens, and how often each does.
fn judge(
    lab: &Lab,
    cuts: &[(String, Vec<u8>)],
    old: &Opens,
    new: &Opens,
) -> (Vec<String>, [usize; 2]) {
    let (mut lost, mut counts) = (Vec::new(), [0; 2]);
    for (name, image) in cuts {
        match lab.opens(image, "pass one") {
            Some(found) if found == *old => counts[0] += 1,
            Some(found) if found == *new => counts[1] += 1,
            _ => lost.push(name.clone()),
        }
    }
    (lost, counts)
}

/// Cuts a change everywhere; a second run and the copy of the header lead out of a choice of the states.
fn survives_cuts(lab: &Lab, before: &[u8], to: &str, old_pass_phrases: &[&str]) -> Vec<u8> {
    let backup = format!("before-{to}.backup");
    let done = lab.change(before, to, &backup, &[]).unwrap();
    assert_eq!(
        std::fs::read(lab.path(&backup)).unwrap(),
        before[..backup_size(before)]
    );
    let cuts = cuts(before, &done.events);
    assert_eq!(
        cuts.last().unwrap().1,
        done.bytes,
        "what was written is all that changed"
    );
    let data = metadata(before).segment().unwrap().offset as usize;
    assert_eq!(done.bytes[data..], before[data..], "the data");

    let old = lab.opens(before, "pass one").unwrap();
    let new = lab.opens(&done.bytes, "pass one").unwrap();
    assert_eq!(new.1, to);
    let (lost, [as_old, as_new]) = judge(lab, &cuts, &old, &new);
    assert_eq!(lost, [""; 0], "neither opens");
    assert!(as_old > 30 && as_new > 60, "{as_old} {as_new}");
    println!(
        "{to}: {} states, {as_old} open as before, {as_new} as after",
        cuts.len()
    );

    for (number, (name, image)) in cuts.iter().enumerate().step_by(cuts.len() / 12) {
        // As the command does: what is adopted already is only finished.
        let again = if metadata(image).segment().unwrap().encryption == to {
            Volume::on(Memory::new(image.clone()))
                .unwrap()
                .finish()
                .unwrap()
        } else {
            lab.change(image, to, &format!("{to}-{number}.backup"), &[])
                .unwrap()
        };
        let found = lab.opens(&again.bytes, "pass one").unwrap();
        assert_eq!(found.1, to, "again after {name}");
        lab.stock_cryptsetup(
            &[
                "open",
                "--test-passphrase",
                "--key-file",
                lab.path("one").to_str().unwrap(),
            ],
            &[&lab.path("cut.img")],
        );
        assert!(header::find(&again).unwrap().both, "again after {name}");
        expect_gone(lab, before, &again.bytes, old_pass_phrases);

        let path = lab.path("cut.img");
        std::fs::write(&path, image).unwrap();
        let restore = ["luksHeaderRestore", "-q", "--header-backup-file"];
        let file = lab.path(&backup);
        let restore = [&restore[..], &[file.to_str().unwrap()]].concat();
        lab.stock_cryptsetup(&restore, &[&path]);
        let restored = std::fs::read(&path).unwrap();
        assert_eq!(
            lab.opens(&restored, "pass one"),
            Some(old.clone()),
            "back after {name}"
        );
    }
    done.bytes
}

/// Nothing is left on the disk of what the old header's keyslots pointed to.
fn expect_gone(lab: &Lab, before: &[u8], after: &[u8], pass_phrases: &[&str]) {
    let headers = 2 * header::find(&Memory::new(before.to_vec()))
        .unwrap()
        .newest
        .size() as usize;
    let with_old_header = [&before[..headers], &after[headers..]].concat();
    for pass_phrase in pass_phrases {
        assert!(lab.opens(before, pass_phrase).is_some(), "the control");
        assert_eq!(
            lab.opens(&with_old_header, pass_phrase),
            None,
            "old keyslots are left"
        );
    }
}

fn metadata(image: &[u8]) -> Metadata {
    let newest = header::find(&Memory::new(image.to_vec())).unwrap().newest;
    Metadata::parse(newest.json()).unwrap()
}

fn backup_size(image: &[u8]) -> usize {
    metadata(image).keyslots_area().unwrap().end as usize
}

#[test]
fn adopt_and_release_survive_power_loss_at_every_write() {
    let lab = Lab::new();
    let stock = lab.stock("512", &["--luks2-keyslots-size", KEYSLOTS]);
    let key = lab.opens(&stock, "pass one").unwrap().0;
    let adopted = survives_cuts(&lab, &stock, WRAPPED, &["pass one", "pass two\n"]);
    assert_eq!(
        lab.opens(&adopted, "pass two\n"),
        None,
        "it was not taken over"
    );
    let released = survives_cuts(&lab, &adopted, STOCK, &["pass one"]);
    assert_eq!(
        lab.opens(&released, "pass one"),
        Some((key, STOCK.to_owned()))
    );
}

/// The controls: other orders of the same writes lose the volume, and the judge sees it.
#[test]
fn other_orders_lose_the_volume() {
    let lab = Lab::new();
    let before = lab.stock("512", &["--luks2-keyslots-size", KEYSLOTS]);
    let done = lab.change(&before, WRAPPED, "backup", &[]).unwrap();
    let old = lab.opens(&before, "pass one").unwrap();
    let new = lab.opens(&done.bytes, "pass one").unwrap();
    let steps: Vec<&[Event]> = done
        .events
        .split(|event| matches!(event, Event::Sync))
        .collect();
    let loses = |events: &[Event]| {
        // Until the first is found.
        cuts(&before, events)
            .chunks(1)
            .any(|cut| !judge(&lab, cut, &old, &new).0.is_empty())
    };
    let ordered = |order: &[&[usize]]| {
        let mut events = Vec::new();
        for step in order {
            events.extend(step.iter().flat_map(|&number| steps[number].to_vec()));
            events.push(Event::Sync);
        }
        events
    };
    assert_eq!(steps.len(), 5, "keyslots, two copies, overwriting, end");
    assert!(
        loses(&ordered(&[&[1], &[2], &[0]])),
        "the header before its keyslots"
    );
    assert!(loses(&ordered(&[&[0], &[1, 2]])), "both copies at once");
    assert!(
        loses(&ordered(&[&[0], &[3], &[1], &[2]])),
        "the old keyslots go first"
    );
    // As `cryptsetup luksHeaderRestore` writes: all in one go.
    let end = backup_size(&before);
    assert!(loses(&[
        Event::Write(0, done.bytes[..end].to_vec()),
        Event::Sync
    ]));
}

#[test]
fn other_geometries_and_more_pass_phrases() {
    let lab = Lab::new();
    for (number, (key_size, more)) in [
        (
            "256",
            &[
                "--luks2-keyslots-size",
                "2M",
                "--sector-size",
                "4096",
                "--hash",
                "sha512",
            ][..],
        ),
        (
            "512",
            &[
                "--luks2-metadata-size",
                "64k",
                "--luks2-keyslots-size",
                "2M",
                "--label",
                "a label",
            ],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let stock = lab.stock(key_size, more);
        let backup = |to: &str| format!("{to}-{number}.backup");
        let adopted = lab
            .change(&stock, WRAPPED, &backup(WRAPPED), &["two"])
            .unwrap();
        for pass_phrase in ["pass one", "pass two\n"] {
            let (handle, cipher) = lab.opens(&adopted.bytes, pass_phrase).unwrap();
            assert_eq!((handle.len(), cipher.as_str()), (128, WRAPPED));
        }
        let released = lab
            .change(&adopted.bytes, STOCK, &backup(STOCK), &["two"])
            .unwrap();
        for pass_phrase in ["pass one", "pass two\n"] {
            assert_eq!(
                lab.opens(&released.bytes, pass_phrase),
                lab.opens(&stock, pass_phrase)
            );
        }
        // Label, UUID, size and all else of the binary header.
        let binary = |image: &[u8]| {
            let newest = header::find(&Memory::new(image.to_vec())).unwrap().newest;
            let with = newest.with(b"", 0, Place::First).unwrap();
            [&with.bytes()[..104], &with.bytes()[168..448]].concat()
        };
        assert_eq!(binary(&released.bytes), binary(&stock));
        assert_eq!(
            metadata(&released.bytes).segment().unwrap(),
            metadata(&stock).segment().unwrap()
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    let refused = |image: &[u8], to: &str, backup: &str, also: &[&str], message: &str| {
        let error = lab
            .change(image, to, backup, also)
            .map(|disk| disk.events.len());
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains(message), "{error}");
    };
    let small = lab.stock("512", &["--luks2-keyslots-size", "768K"]);
    refused(
        &small,
        WRAPPED,
        "small",
        &[],
        "room for 0 more keyslots of 512000 bytes",
    );
    let stock = lab.stock("512", &["--luks2-keyslots-size", KEYSLOTS]);
    std::fs::write(lab.path("wrong"), "pass three").unwrap();
    refused(
        &stock,
        WRAPPED,
        "wrong-pass-phrase",
        &["wrong"],
        "opens no keyslot",
    );
    assert!(
        !lab.path("wrong-pass-phrase").exists(),
        "no backup of what was not changed"
    );
    std::fs::write(lab.path("there"), "something").unwrap();
    refused(&stock, WRAPPED, "there", &[], "exists already");
    assert_eq!(std::fs::read(lab.path("there")).unwrap(), b"something");
    refused(&stock, STOCK, "x", &[], "not a wrapped handle");
    refused(&[0; 1 << 20], WRAPPED, "x", &[], "no LUKS header");
}

/// A copy of the header that is damaged from the start is repaired first, from the good one.
#[test]
fn one_damaged_copy_is_repaired_first() {
    let lab = Lab::new();
    let stock = lab.stock("512", &["--luks2-keyslots-size", KEYSLOTS]);
    for (number, at) in [5000, 16384 + 5000].into_iter().enumerate() {
        let mut damaged = stock.clone();
        damaged[at] ^= 1;
        let done = lab
            .change(&damaged, WRAPPED, &format!("{number}"), &[])
            .unwrap();
        let old = lab.opens(&stock, "pass one").unwrap();
        let new = lab.opens(&done.bytes, "pass one").unwrap();
        let some: Vec<_> = cuts(&damaged, &done.events)
            .into_iter()
            .step_by(4)
            .collect();
        let (lost, _) = judge(&lab, &some, &old, &new);
        assert_eq!(lost, [""; 0], "copy {number} damaged");
        assert!(done.read(0, 1).is_ok());
    }
}
