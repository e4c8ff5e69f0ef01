// SPDX-License-Identifier: GPL-2.0

//! The argument list of QEMU.

use std::path::Path;
use std::process::Command;

use guest_init::protocol::PORT;

use super::Config;

/// On every command line: both consoles; a panic resets, which ends QEMU; Linux does not panic because on a busy host the first ticks of its
/// timer are late; and a CPU that is to start gets the 10 ms between INIT and SIPI that old CPUs needed, and a virtual one on a busy host too.
pub(crate) const CMDLINE: &str =
    "console=tty0 console=ttyS0,115200 panic=-1 loglevel=7 no_timer_check cpu_init_udelay=10000";

/// The program.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

pub(super) fn command(config: &Config, ram: &Path, sockets: &Path, dir: &Path) -> Command {
    let mut command = match &config.qemu {
        Some(programs) => programs.qemu(),
        None => Command::new(QEMU),
    };
    let mut arg = |option: &str, value: String| {
        command.args([option, &value]);
    };
    if config.own_clock {
        arg("-accel", "tcg,thread=single".into());
        arg("-icount", "shift=1,sleep=off".into());
    } else {
        arg("-accel", "tcg,thread=multi".into());
    }
    arg("-machine", format!("{},memory-backend=ram", config.board));
    arg("-m", format!("{}M", config.memory_mib));
    arg(
        "-object",
        format!(
            "memory-backend-file,id=ram,share=on,size={}M,mem-path={}",
            config.memory_mib,
            escaped(ram)
        ),
    );
    arg("-cpu", config.cpu_model.clone());
    arg("-smp", config.cpus.to_string());
    arg("-kernel", config.kernel.display().to_string());
    arg("-initrd", config.initramfs.display().to_string());
    let home = config.home.parameter();
    arg("-append", format!("{CMDLINE}{home} {}", config.cmdline));
    arg("-display", "none".into());
    arg("-vga", if config.vga { "std" } else { "none" }.into());
    for (index, disk) in config.disks.iter().enumerate() {
        let file = escaped(disk);
        arg(
            "-drive",
            format!("if=none,id=disk{index},format=raw,cache=writeback,file={file}"),
        );
        let queues = if config.one_queue {
            ",num-queues=1"
        } else {
            ""
        };
        arg(
            "-device",
            format!("virtio-blk-pci,drive=disk{index}{queues}"),
        );
    }
    if config.gdb {
        let path = escaped(&sockets.join("gdb"));
        arg("-gdb", format!("unix:{path},server=on,wait=off"));
    }
    if let Some(socket) = &config.tpm {
        arg(
            "-chardev",
            format!("socket,id=tpm,path={}", escaped(socket)),
        );
        arg("-tpmdev", "emulator,id=tpm,chardev=tpm".into());
        arg("-device", "tpm-crb,tpmdev=tpm".into());
    }
    for plugin in &config.plugins {
        arg("-plugin", plugin.clone());
    }
    let log = escaped(&dir.join("serial.log"));
    for (name, more) in [
        ("serial", format!(",logfile={log},logappend=off")),
        ("qmp", String::new()),
        ("agent", String::new()),
    ] {
        let path = escaped(&sockets.join(name));
        arg(
            "-chardev",
            format!("socket,id={name},server=on,wait=off,path={path}{more}"),
        );
    }
    arg("-serial", "chardev:serial".into());
    arg("-mon", "chardev=qmp,mode=control".into());
    arg("-device", "virtio-serial-pci".into());
    arg(
        "-device",
        format!("virtserialport,chardev=agent,name={PORT}"),
    );
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-S"]);
    command
}

/// A path inside a comma-separated option: QEMU wants commas doubled.
pub(crate) fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled_and_options_reach_the_command() {
        let mut config = Config::new(Path::new("k"), Path::new("i"));
        config.disks.push("a,b.img".into());
        config.cmdline = "tresor.slot=x".into();
        let command = command(&config, Path::new("ram"), Path::new("s"), Path::new("d"));
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        assert!(args.iter().any(|arg| arg.ends_with("file=a,,b.img")));
        assert!(args.iter().any(|arg| arg.ends_with(" tresor.slot=x")));
    }
}
