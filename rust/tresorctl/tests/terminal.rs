// SPDX-License-Identifier: GPL-2.0
//! The prompt on a real terminal: nothing typed is shown, and the terminal is put right again on
//! every way out.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::fs::{open, Mode, OFlags};
use rustix::process::{kill_process, Pid, Signal};
use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcgetattr, LocalModes};
use tresor::reference::{self, Sha256};
use tresor::slot::Slot;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// `tresorctl slot new` on a terminal, and a person at it.
struct Session {
    keyboard: File,
    /// The program's side of the terminal, kept open to look at its settings afterwards.
    terminal: OwnedFd,
    program: Child,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Session {
    fn new() -> Self {
        let keyboard =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(Path::new(name.to_str().unwrap()), flags, Mode::empty()).unwrap();
        let echo = tcgetattr(&terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO);
        assert!(echo, "a new terminal has an echo to turn off");
        let program = Command::new(env!("CARGO_BIN_EXE_tresorctl"))
            .args(["slot", "new", "--iterations", "1000"])
            .stdin(terminal.try_clone().unwrap())
            .stderr(terminal.try_clone().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let mut output = keyboard.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            keyboard,
            terminal,
            program,
            screen,
            seen: String::new(),
        }
    }

    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let more = self.screen.recv_timeout(PATIENCE);
            let more =
                more.unwrap_or_else(|_| panic!("no {text:?} on the screen: {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    fn type_line(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    fn echo(&self) -> bool {
        tcgetattr(self.terminal.as_fd())
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    /// Waits for the program to end; returns its status, what it printed and everything that was on
    /// the screen.
    fn end(mut self, last: &str) -> (ExitStatus, String, String) {
        self.wait_for(last);
        let status = self.program.wait().unwrap();
        assert!(self.echo(), "the terminal was left without echo");
        let mut printed = String::new();
        self.program
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        (status, printed, self.seen)
    }
}

#[test]
fn pass_phrase_typed_twice_makes_a_slot() {
    let mut session = Session::new();
    session.wait_for("New pass phrase: ");
    assert!(!session.echo());
    session.type_line("correct horse");
    session.wait_for("The same again: ");
    session.type_line("correct horse");
    let (status, printed, screen) = session.end("Keep a copy");
    assert!(status.success());
    let slot = Slot::parse::<Sha256>(printed.lines().next().unwrap().as_bytes()).unwrap();
    assert!(reference::verify(&slot, b"correct horse"));
    assert!(
        !screen.contains("horse"),
        "the pass phrase was shown: {screen}"
    );
}

#[test]
fn two_different_pass_phrases_make_no_slot() {
    let mut session = Session::new();
    session.wait_for("New pass phrase: ");
    session.type_line("correct horse");
    session.wait_for("The same again: ");
    session.type_line("correct house");
    let (status, printed, _) = session.end("the two pass phrases differ");
    assert_eq!((status.code(), printed.as_str()), (Some(1), ""));
}

#[test]
fn empty_and_too_long_lines_are_refused() {
    for (line, message, code) in [
        (String::new(), "the pass phrase is empty", 8),
        ("p".repeat(513), "the pass phrase is too long", 1),
    ] {
        let mut session = Session::new();
        session.wait_for("New pass phrase: ");
        session.type_line(&line);
        let (status, printed, _) = session.end(message);
        assert_eq!((status.code(), printed.as_str()), (Some(code), ""));
    }
}

#[test]
fn signals_put_the_terminal_right() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut session = Session::new();
        session.wait_for("New pass phrase: ");
        assert!(!session.echo());
        kill_process(Pid::from_child(&session.program), signal).unwrap();
        let (status, printed, _) = session.end("interrupted");
        assert_eq!((status.code(), printed.as_str()), (Some(130), ""));
    }
}
