// SPDX-License-Identifier: GPL-2.0
//! `tresorctl doctor` on machines that are made of files.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;
use tresor::machine::Property;

/// A machine on which all is well.
const SAFE: &[(&str, &str)] = &[
    (
        "proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu ssse3 sse4_1 aes avx avx2 vaes vpclmulqdq tme\nbugs\t\t: hypervisor\n",
    ),
    ("proc/cmdline", "quiet tresor.slot=x\n"),
    ("proc/crypto", "name : xts(aes)\ndriver : other\n\nname : xts(tresor)\ndriver : xts-tresor\nselftest : passed\n"),
    ("proc/modules", ""),
    ("proc/sys/kernel/kexec_load_disabled", "1\n"),
    ("sys/kernel/iommu_groups/0/type", "DMA\n"),
    ("sys/kernel/iommu_groups/1/type", "DMA\n"),
    ("sys/devices/system/cpu/vulnerabilities/mds", "Not affected\n"),
    ("sys/devices/system/cpu/vulnerabilities/gather_data_sampling", "Mitigation: Microcode (locked)\n"),
    ("sys/devices/system/cpu/smt/active", "0\n"),
    ("sys/kernel/security/lockdown", "none integrity [confidentiality]\n"),
    ("sys/module/module/parameters/sig_enforce", "Y\n"),
    ("sys/power/disk", "[disabled]\n"),
    ("sys/kernel/kexec_crash_loaded", "0\n"),
    ("dev/kmsg", "6,100,1,-;tresor: engine: vaes\n"),
];

fn write(root: &Path, (path, text): (&str, &str)) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The safe machine with some files changed; an empty text removes one.
fn machine(changes: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for &file in SAFE {
        write(root.path(), file);
    }
    for &(path, text) in changes {
        if text.is_empty() {
            fs::remove_file(root.path().join(path)).unwrap();
        } else {
            write(root.path(), (path, text));
        }
    }
    root
}

fn doctor(root: &TempDir, options: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
    command.arg("doctor").args(options);
    command.arg("--root").arg(root.path());
    command
}

fn json(root: &TempDir) -> Value {
    let output = doctor(root, &["--json"])
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    serde_json::from_slice(&output).unwrap()
}

/// The state of a property and what was seen.
fn state(root: &TempDir, property: Property) -> (String, String) {
    let report = json(root);
    let found = report["machine"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["property"] == property.name())
        .unwrap_or_else(|| panic!("{} is not in the report", property.name()));
    // What it means and what to do is said exactly when something is wanting.
    let well = found["state"] == "ok";
    assert_eq!(found.get("meaning").is_none(), well, "{found}");
    assert_eq!(found.get("advice").is_none(), well, "{found}");
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("state"), text("seen"))
}

#[test]
fn a_safe_machine_has_everything() {
    let root = machine(&[]);
    let report = json(&root);
    for it in report["machine"].as_array().unwrap() {
        assert_eq!(it["state"], "ok", "{it}");
    }
    assert_eq!(
        report["machine"].as_array().unwrap().len(),
        Property::ALL.len()
    );
    let driver = &report["driver"];
    assert_eq!(driver["registered"], true);
    assert_eq!(driver["self_test"], "passed");
    assert_eq!(
        (&driver["cpu_class"], &driver["engine"]),
        (&"vaes".into(), &"vaes".into())
    );
}

#[test]
fn each_property_is_missed_where_it_is_seen() {
    use Property::*;
    let flags = |more: &str| format!("flags : ssse3 aes {more}\n");
    let (guest, tdx, plain) = (
        flags("hypervisor tme"),
        flags("hypervisor tdx_guest"),
        flags(""),
    );
    type Changes<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Property, Changes<'_>, &str, &str)] = &[
        (BareMetal, &[("proc/cpuinfo", &guest)], "missing", "a guest"),
        (BareMetal, &[("proc/cpuinfo", &tdx)], "weak", "TDX"),
        (
            BareMetal,
            &[("proc/cpuinfo", &guest), ("dev/sev-guest", "x")],
            "weak",
            "SEV-SNP",
        ),
        (
            Iommu,
            &[
                ("sys/kernel/iommu_groups/0/type", ""),
                ("sys/kernel/iommu_groups/1/type", "identity\n"),
            ],
            "missing",
            "1 of 2",
        ),
        (
            Iommu,
            &[("sys/kernel/iommu_groups/1/type", "DMA-FQ\n")],
            "weak",
            "1 of 2",
        ),
        (
            Mitigations,
            &[(
                "sys/devices/system/cpu/vulnerabilities/mds",
                "Vulnerable: no microcode\n",
            )],
            "missing",
            "open: mds",
        ),
        (
            Mitigations,
            &[(
                "sys/devices/system/cpu/vulnerabilities/gather_data_sampling",
                "Mitigation: Microcode\n",
            )],
            "weak",
            "not locked",
        ),
        (
            NoSmt,
            &[("sys/devices/system/cpu/smt/active", "1\n")],
            "missing",
            "on",
        ),
        (
            NoSmt,
            &[("sys/devices/system/cpu/smt/active", "")],
            "unknown",
            "",
        ),
        (
            Lockdown,
            &[(
                "sys/kernel/security/lockdown",
                "none [integrity] confidentiality\n",
            )],
            "weak",
            "integrity",
        ),
        (
            Lockdown,
            &[(
                "sys/kernel/security/lockdown",
                "[none] integrity confidentiality\n",
            )],
            "missing",
            "none",
        ),
        (
            Lockdown,
            &[("sys/kernel/security/lockdown", "")],
            "missing",
            "none",
        ),
        (
            SignedModules,
            &[
                ("sys/module/module/parameters/sig_enforce", "N\n"),
                (
                    "sys/kernel/security/lockdown",
                    "[none] integrity confidentiality\n",
                ),
            ],
            "missing",
            "not enforced",
        ),
        (
            SignedModules,
            &[("sys/module/module/parameters/sig_enforce", "N\n")],
            "ok",
            "lockdown",
        ),
        (
            OwnRegisters,
            &[(
                "proc/modules",
                "vboxnetflt 32768 0 - Live 0x0 (O)\nvboxdrv 655360 1 vboxnetflt, Live 0x0 (O)\n",
            )],
            "missing",
            "loaded: vboxdrv (VirtualBox)",
        ),
        (
            OwnRegisters,
            &[("proc/modules", "vmmon 155648 0 - Live 0x0 (O)\n")],
            "missing",
            "loaded: vmmon (VMware)",
        ),
        (
            OwnRegisters,
            &[
                ("proc/sys/kernel/osrelease", "7.3.4\n"),
                (
                    "lib/modules/7.3.4/modules.dep",
                    "kernel/fs/fat/fat.ko.xz:\nupdates/dkms/vboxdrv.ko.xz:\n",
                ),
            ],
            "weak",
            "installed, not loaded: vboxdrv",
        ),
        (
            OwnRegisters,
            &[
                (
                    "proc/modules",
                    "vmmon_helper 4096 0 - Live 0x0\nkvm 1 0 - Live 0x0\n",
                ),
                ("proc/sys/kernel/osrelease", "7.3.4\n"),
                (
                    "lib/modules/7.3.4/modules.dep",
                    "misc/vmmon2.ko: misc/vmmon.ko\n",
                ),
            ],
            "ok",
            "no module",
        ),
        (
            NoKexec,
            &[("proc/sys/kernel/kexec_load_disabled", "0\n")],
            "missing",
            "can be loaded",
        ),
        (
            NoKexec,
            &[("proc/sys/kernel/kexec_load_disabled", "")],
            "ok",
            "not built in",
        ),
        (
            NoHibernation,
            &[("sys/power/disk", "[platform] shutdown\n")],
            "missing",
            "possible",
        ),
        (
            NoKdump,
            &[("sys/kernel/kexec_crash_loaded", "1\n")],
            "missing",
            "is loaded",
        ),
        (
            NoKdump,
            &[
                ("sys/kernel/config/crash_dm_crypt_keys/count", "1\n"),
                (
                    "sys/kernel/config/crash_dm_crypt_keys/vault/description",
                    "x\n",
                ),
            ],
            "missing",
            "1 volume keys are kept",
        ),
        (
            NoKdump,
            &[("sys/kernel/config/crash_dm_crypt_keys/count", "0\n")],
            "ok",
            "not configured",
        ),
        (
            NoKdump,
            &[("proc/cmdline", "crashkernel=256M\n")],
            "missing",
            "reserved",
        ),
        (
            NoDevMem,
            &[("dev/mem", "x"), ("sys/kernel/security/lockdown", "")],
            "missing",
            "/dev/mem",
        ),
        (
            NoDevMem,
            &[
                ("dev/mem", "x"),
                ("sys/kernel/security/lockdown", ""),
                ("proc/sys/kernel/osrelease", "7.3.4\n"),
                (
                    "boot/config-7.3.4",
                    "# CONFIG_X is not set\nCONFIG_STRICT_DEVMEM=y\n",
                ),
            ],
            "ok",
            "does not show RAM",
        ),
        (
            MemoryEncryption,
            &[("proc/cpuinfo", &plain)],
            "unknown",
            "TSME",
        ),
    ];
    for (property, changes, expected, seen) in cases {
        let found = state(&machine(changes), *property);
        assert_eq!(
            found.0, *expected,
            "{property:?} with {changes:?}: {found:?}"
        );
        assert!(
            found.1.contains(seen),
            "{property:?} with {changes:?}: {found:?}"
        );
    }
}

#[test]
fn no_iommu_at_all() {
    let root = machine(&[]);
    fs::remove_dir_all(root.path().join("sys/kernel/iommu_groups")).unwrap();
    assert_eq!(state(&root, Property::Iommu).0, "missing");
}

#[test]
fn the_text_says_what_it_means_and_what_to_do() {
    let root = machine(&[("sys/devices/system/cpu/smt/active", "1\n")]);
    doctor(&root, &[]).assert().success().stdout(
        contains("MISSING  no-smt")
            .and(contains(Property::NoSmt.missing()))
            .and(contains(format!("-> {}", Property::NoSmt.advice())))
            .and(contains("xts-tresor is registered, self test: passed"))
            .and(contains("engine   vaes")),
    );
}

#[test]
fn a_slower_engine_and_a_missing_driver_are_told() {
    let root = machine(&[("dev/kmsg", "6,100,1,-;tresor: engine: aesni\n")]);
    doctor(&root, &[]).assert().success().stdout(
        contains("engine   aesni").and(contains("this CPU could run vaes, which is faster")),
    );
    let root = machine(&[("proc/crypto", "name : xts(aes)\n"), ("dev/kmsg", "")]);
    doctor(&root, &[])
        .assert()
        .success()
        .stdout(contains("this kernel has no xts-tresor").and(contains("engine   not known")));
}

#[test]
fn without_proc_it_says_so() {
    let root = TempDir::new().unwrap();
    doctor(&root, &[])
        .assert()
        .code(1)
        .stderr(contains("is /proc mounted?").and(contains("panicked").not()));
}

#[test]
fn this_machine_can_be_looked_at() {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tresorctl"));
    command
        .arg("doctor")
        .assert()
        .success()
        .stdout(contains("machine\n"));
}
