// SPDX-License-Identifier: GPL-2.0

//! The report as one self-contained page: no scripts, nothing loaded from elsewhere, light and dark.

mod escape;
mod map;
mod sections;
mod zoom;

use super::Report;
use escape::Escaped;

const STYLE: &str = include_str!("html/style.css");

/// The page.
pub fn html(report: &Report) -> String {
    let verdict = report.verdict();
    let mood = if verdict.passed() { "good" } else { "bad" };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>tresor: {headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body class=\"{mood}\">\n<main>\n\
         {header}{runs}{registers}{steps}{limits}{details}</main>\n</body>\n</html>\n",
        headline = Escaped(verdict.headline()),
        header = sections::header(report, &verdict),
        runs = map::runs(report),
        registers = sections::registers(report),
        steps = sections::steps(report),
        limits = sections::limits(report),
        details = sections::details(report),
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn nothing_is_loaded_or_run() {
        let page = html(&sample::report());
        for word in [
            "http:", "https:", "<script", "@import", "url(", " src=", "<link",
        ] {
            assert!(!page.contains(word), "the page has {word}");
        }
    }

    #[test]
    fn elements_are_closed() {
        let page = html(&sample::report());
        for name in [
            "main", "section", "div", "svg", "table", "tr", "td", "details", "h1", "h2", "p", "li",
            "ol", "ul", "g", "span",
        ] {
            let opened = page.matches(&format!("<{name}>")).count()
                + page.matches(&format!("<{name} ")).count();
            let closed = page.matches(&format!("</{name}>")).count();
            assert_eq!(opened, closed, "<{name}>");
        }
    }

    #[test]
    fn words_from_the_machine_are_escaped() {
        let evil = "<b onclick='x'>&\"";
        let mut report = sample::report();
        report.machine.kernel = evil.to_owned();
        report.machine.qemu = evil.to_owned();
        report.stock.cipher = evil.to_owned();
        report.tresor.steps[0].name = evil.to_owned();
        report.stock.hits[0].label = evil.to_owned();
        report.tresor.hits = report.stock.hits.clone();
        let page = html(&report);
        assert!(page.contains("&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;"));
        assert!(!page.contains("<b onclick"));
    }

    #[test]
    fn the_page_follows_the_data() {
        let mut report = sample::report();
        assert!(html(&report).contains("<body class=\"good\">"));
        report.tresor.registers[0].holds_secret = false;
        let page = html(&report);
        assert!(page.contains("<body class=\"bad\">"));
        assert!(page.contains("CPU 0 did not hold the secret"));
    }

    /// Writes the page of the sample where a person can look at it: `SAMPLE_PAGE=/tmp/page.html cargo test sample_page`.
    #[test]
    fn sample_page() {
        let page = html(&sample::report());
        assert!(page.ends_with("</html>\n"));
        if let Some(path) = std::env::var_os("SAMPLE_PAGE") {
            fs_err::write(path, page).unwrap();
        }
    }
}
