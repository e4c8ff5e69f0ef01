// SPDX-License-Identifier: GPL-2.0

use super::*;

fn control(channel: &str, caught: bool) -> Control {
    Control {
        channel: channel.to_owned(),
        caught,
        detail: "detail".to_owned(),
    }
}

fn good() -> Findings {
    Findings {
        counts: Counts {
            stores_watched: 7,
            nmis: 5,
            nmis_in_window: 3,
            paths: 11,
            ..Counts::default()
        },
        controls: vec![control("push", true), control("xsave", true)],
        facts: vec!["a fact".to_owned()],
        skipped: vec!["a class".to_owned()],
        ..Findings::default()
    }
}

fn proof(parts: &[Findings]) -> Proof {
    let mut proof = Proof::default();
    for findings in parts {
        proof.add("method", "It looks.", Ok(findings.clone()));
    }
    proof
}

#[test]
fn the_figures_have_fixed_names_and_order() {
    assert_eq!(
        json(&proof(&[good()])),
        r#"{"stores_watched":7,"leaks":0,"nmis":5,"nmis_in_window":3,"wrong_results":0,"paths":11,"tainted_sinks":0,"#
            .to_owned()
            + r#""controls":[{"channel":"push","check":"method","caught":true},{"channel":"xsave","check":"method","caught":true}]}"#
    );
}

#[test]
fn counts_of_all_methods_are_added() {
    assert_eq!(proof(&[good(), good()]).counts().nmis, 10);
    assert!(proof(&[good(), good()]).holds());
}

#[test]
fn what_is_wrong_fails_the_proof() {
    let wrong = |change: fn(&mut Findings)| {
        let mut findings = good();
        change(&mut findings);
        !proof(&[good(), findings]).holds()
    };
    assert!(wrong(|findings| findings.wrong.push("a store".to_owned())));
    assert!(wrong(|findings| findings.counts.leaks = 1));
    assert!(wrong(|findings| findings.counts.wrong_results = 1));
    assert!(wrong(|findings| findings.counts.tainted_sinks = 1));
    assert!(wrong(|findings| findings.controls[1].caught = false));
    assert!(wrong(|findings| findings.controls.clear()));
    assert!(!proof(&[]).holds());
    let mut proof = proof(&[good()]);
    proof.add("other", "It cannot.", Err(anyhow::anyhow!("no machine")));
    assert!(!proof.holds());
}

#[test]
fn a_missed_control_shows_in_the_matrix() {
    let mut findings = good();
    findings.controls.push(control("push", false));
    let text = text(&proof(&[findings]));
    assert!(text.contains("push                  MISSED\n"), "{text}");
    assert!(text.contains("xsave                 caught\n"), "{text}");
    assert!(text.contains("not done: a class") && text.contains("proves nothing"));
}
