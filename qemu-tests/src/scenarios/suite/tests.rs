// SPDX-License-Identifier: GPL-2.0

//! Which of cryptsetup's own tests are run, and with what.

use anyhow::{bail, ensure, Result};

use super::run::Ended;

/// The cryptsetup that a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// Debian's.
    Debian,
    /// The same, but new volumes get the driver's cipher where the test names none.
    OurCipher,
    /// The same, but what is to be XTS becomes CBC: a test that compares must see it.
    Broken,
}

impl Program {
    /// Its directory, below the disk's root.
    pub(super) fn dir(self) -> &'static str {
        match self {
            Self::Debian => "/sbin",
            Self::OurCipher => "/our-cipher",
            Self::Broken => "/broken",
        }
    }

    /// What is in its place, for those that are not Debian's.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Debian => "",
            Self::OurCipher => {
                "#!/bin/bash\n\
                 case \" $* \" in\n\
                 *\" -c \"*|*\" --cipher\"*|*\" --type luks1 \"*) ;;\n\
                 *\" luksFormat \"*)\n\
                     case \" $* \" in\n\
                     *\" -s \"*|*\" --key-size \"*) ;;\n\
                     *) set -- \"$@\" --key-size 512 ;;\n\
                     esac\n\
                     set -- \"$@\" --cipher tresor-xts-plain64 ;;\n\
                 esac\n\
                 exec /sbin/cryptsetup \"$@\"\n"
            }
            Self::Broken => "#!/bin/bash\nexec /sbin/cryptsetup \"${@//-xts-/-cbc-}\"\n",
        }
    }
}

/// A test of the suite.
pub(super) struct Test {
    /// Name in the table.
    pub(super) name: &'static str,
    /// Its file in the suite.
    pub(super) script: &'static str,
    /// What sed(1) is to change in it, if anything.
    pub(super) change: &'static str,
    pub(super) program: Program,
    /// What it must print besides ending well.
    pub(super) prints: &'static [&'static str],
    pub(super) limit_s: u64,
}

impl Test {
    const fn new(script: &'static str, limit_s: u64) -> Self {
        Self {
            name: script,
            script,
            change: "",
            program: Program::Debian,
            prints: &[],
            limit_s,
        }
    }

    /// An error unless it passed.
    pub(super) fn judge(&self, ended: &Ended) -> Result<()> {
        if ended.status != 0 {
            bail!("ended with {}:\n{}", ended.status, ended.tail());
        }
        for line in self.prints {
            let mut words = ended.output.lines().map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words.join(" ")
            });
            ensure!(
                words.any(|printed| printed == *line),
                "did not print `{line}`:\n{}",
                ended.output
            );
        }
        Ok(())
    }
}

/// Both machines, in the short run.
pub(super) const QUICK: &[Test] = &[
    MODES,
    Test::new("keyring-test", 240),
    KEYRING,
    Test::new("unit-utils-crypt-test", 60),
];

/// The driver's cipher, in the short run.
pub(super) const OURS: &[Test] = &[OUR_MODES, OUR_KEYRING];

/// Both machines, in the long run.
pub(super) const WHOLE: &[Test] = &[
    ALL_MODES,
    COMPAT2,
    Test::new("luks2-validation-test", 3600),
    Test::new("luks2-reencryption-mangle-test", 1800),
    Test::new("luks1-compat-test", 1800),
    Test::new("compat-args-test", 600),
    Test::new("password-hash-test", 600),
    Test::new("api-test-2", 3600),
];

/// The driver's cipher, in the long run.
pub(super) const OURS_TOO: &[Test] = &[OUR_COMPAT2];

/// What sed(1) changes in the test of modes: Linux 7.3 calls `aes-lib` what the test calls `aes-generic`.
macro_rules! modes {
    ($more:literal) => {
        concat!("s/aes-generic/aes-lib/", $more)
    };
}

/// The modes that the driver has, too: a combination takes ten seconds in an emulated machine.
macro_rules! few_modes {
    ($cipher:literal) => {
        concat!(
            modes!("; s/^CIPHERS=.*/CIPHERS="),
            $cipher,
            "/; s/^MODES=.*/MODES=\"cbc xts\"/",
            "; s/^IVMODES=.*/IVMODES=\"plain64 essiv:sha256\"/"
        )
    };
}

/// As many as the short run has time for.
const MODES: Test = Test {
    change: few_modes!("aes"),
    ..Test::new("mode-test", 600)
};

/// All of them, also for ciphers that the kernel does not have.
const ALL_MODES: Test = Test {
    name: "mode-test with all modes",
    change: modes!(""),
    ..Test::new("mode-test", 3600)
};

/// On a loop device in place of one that the module `scsi_debug` makes; without Serpent, which the kernel does not have, as in FIPS mode.
const KEYRING: Test = Test {
    change: "s#^add_device .*#truncate -s 16M disk; DEV=$(losetup -f --show disk)#; s/^fips_mode || {/true || {/",
    ..Test::new("keyring-compat-test", 240)
};

/// What sed(1) changes in the long test: as for [`KEYRING`]; its part on zoned disks is left out; and a table for device mapper has a name
/// that Linux 7.3 changed, as in [`modes`].
macro_rules! compat2 {
    ($more:literal) => {
        concat!(
            "s#^add_scsi_device .*sector_size=4096 ||.*#truncate -s 32M disk; DEV=$(losetup -f --show -b 4096 disk)#\n",
            "s#^prepare \"\\[20\\]#losetup -d $DEV; DEV=; &#\n",
            "s#^add_scsi_device .*zbc.*#false#\n",
            "/0 8 crypt capi/s/aes-generic/aes-lib/\n",
            $more
        )
    };
}

const COMPAT2: Test = Test {
    change: compat2!(""),
    ..Test::new("compat-test2", 3600)
};

/// Every mode of the driver: the table that dm-crypt has, and whether a volume that is made again reads as before.
const OUR_MODES: Test = Test {
    name: "mode-test with tresor",
    change: few_modes!("tresor"),
    prints: &[
        "tresor-xts-plain64 PLAIN:[table OK][status OK] LUKS1:[table OK][status OK] LUKS2:[table OK][status OK] CHECKSUM:[OK]",
        "tresor-cbc-plain64 PLAIN:[table OK][status OK] LUKS1:[table OK][status OK] LUKS2:[table OK][status OK] CHECKSUM:[OK]",
        "tresor-cbc-essiv:sha256 PLAIN:[table OK][status OK] LUKS1:[table OK][status OK] LUKS2:[table OK][status OK] CHECKSUM:[OK]",
    ],
    ..MODES
};

/// The key, which is a handle, from the kernel's keyring.
const OUR_KEYRING: Test = Test {
    name: "keyring-test with tresor",
    change: "s/^CIPHER=.*/CIPHER=tresor-xts-plain64/",
    ..Test::new("keyring-test", 240)
};

/// Each volume for which the test names no cipher is the driver's, for AES-256 unless the test names a size. Not where it is to become
/// LUKS1: there keyslots have the volume's cipher, and cryptsetup takes AES for the driver's. And not where it is encrypted again, which
/// cryptsetup does with ciphers that it knows.
const OUR_COMPAT2: Test = Test {
    name: "compat-test2 with tresor",
    program: Program::OurCipher,
    change: compat2!(
        "/\\[30\\]/,/\\[31\\]/{/luksFormat/s/--type luks2/--cipher aes-xts-plain64 &/}\n\
         s#^\\techo .* reencrypt $LOOPDEV --init-only#\techo $PWD1 | $CRYPTSETUP -q luksFormat $FAST_PBKDF_OPT -c aes-xts-plain64 $LOOPDEV\\n&#"
    ),
    ..COMPAT2
};

/// Each must fail, on a kernel without the driver's cipher.
pub(super) const CONTROL: &[Test] = &[
    Test {
        name: "mode-test with a broken cryptsetup",
        program: Program::Broken,
        ..MODES
    },
    OUR_KEYRING,
    OUR_MODES,
];
