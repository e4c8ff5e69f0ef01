// SPDX-License-Identifier: GPL-2.0
//! Progress: a bar on a terminal, a plain line every twenty seconds elsewhere.

use std::io::{stderr, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines when the output is not a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(20);

/// One running step.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Starts a step. `total` is an estimate of the number of [`Progress::advance`] calls to come.
    pub(crate) fn new(what: impl Into<String>, total: Option<u64>) -> Self {
        let what = what.into();
        let bar = stderr().is_terminal().then(|| bar(&what, total));
        if bar.is_none() {
            eprintln!("{what} ...");
        }
        let now = Instant::now();
        Self {
            bar,
            what,
            total,
            done: 0,
            started: now,
            last_line: now,
        }
    }

    /// One more unit is done; `detail` says which.
    pub(crate) fn advance(&mut self, detail: &str) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            // The total is an estimate: a bar that passes its end would look broken.
            if self.total.is_some_and(|total| self.done >= total) {
                bar.set_length(self.done + 1);
            }
            bar.set_position(self.done);
            bar.set_message(detail.to_owned());
        } else if self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.last_line = Instant::now();
            let of = self
                .total
                .map_or_else(String::new, |total| format!(" of about {total}"));
            eprintln!(
                "{}: {}{of} after {}, {detail}",
                self.what,
                self.done,
                clock(self.started.elapsed())
            );
        }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Number of units done so far.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Ends the step and returns the time it took.
    pub(crate) fn finish(self) -> Duration {
        let elapsed = self.started.elapsed();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {}", self.what, clock(elapsed));
        elapsed
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix} [{bar:30}] {pos}/{len} {elapsed} {wide_msg:.dim}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {prefix} {elapsed} {wide_msg:.dim}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A duration as minutes and seconds.
pub(crate) fn clock(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(clock(Duration::from_millis(1530)), "1.5 s");
        assert_eq!(clock(Duration::from_secs(504)), "8 min 24 s");
    }
}
