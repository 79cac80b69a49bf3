use super::*;

const ALL: Work = Work { share: true, secure: true, nodes: true, only_settled: false };
const SHARE: Work = Work { share: true, ..NOTHING };
const NOTHING: Work = Work { share: false, secure: false, nodes: false, only_settled: false };

/// A schedule that has done its first round at 0.
fn settled() -> Schedule {
    let mut s = Schedule::new(Timing::default());
    assert_eq!(s.next(0), Due::Now(NODES));
    s.everything();
    assert_eq!(s.next(0), Due::Now(ALL));
    s.begin(0, ALL);
    assert_eq!(s.next(0), Due::Never, "one round at a time");
    s.end(0, false, true, 128);
    s
}

#[test]
fn a_burst_is_one_round_when_it_is_over() {
    let mut s = settled();
    for t in [1000, 1100, 1250] {
        s.share_changed(t);
        assert_eq!(s.next(t), Due::At(t + 200));
    }
    assert_eq!(s.next(1449), Due::At(1450));
    assert_eq!(s.next(1450), Due::Now(SHARE));
    s.begin(1450, SHARE);
    s.end(1500, false, true, 0);
    assert!(matches!(s.next(1500), Due::At(t) if t > 50_000));
}

#[test]
fn what_is_written_all_the_time_does_not_hold_the_others_back_and_waits_not_for_ever() {
    let mut s = settled();
    let (mut partial, mut whole) = (Vec::new(), None);
    let mut t = 0;
    while whole.is_none() {
        t += 50;
        s.share_changed(t);
        if let Due::Now(w) = s.next(t) {
            match w.only_settled {
                true => partial.push(t),
                false => whole = Some(t),
            }
            s.begin(t, w);
            s.end(t, w.only_settled, true, 0);
        }
    }
    assert_eq!(partial[..3], [1050, 2050, 3050]);
    assert_eq!(whole, Some(10_050), "max_delay after its first change");
}

#[test]
fn a_change_while_a_round_runs_is_taken_by_the_next() {
    let mut s = settled();
    s.share_changed(1000);
    s.begin(1200, SHARE);
    s.share_changed(1300);
    assert_eq!(s.next(1600), Due::Never);
    s.end(1700, false, true, 0);
    assert_eq!(s.next(1700), Due::Now(SHARE));
}

#[test]
fn nodes_are_polled_with_jitter_and_asked_at_once_after_a_notice() {
    let mut s = settled();
    let Due::At(at) = s.next(1) else { panic!("a poll is due") };
    assert!((52_500..67_501).contains(&at), "{at}");
    assert_eq!(s.next(at), Due::Now(NODES));
    s.ask_nodes();
    assert_eq!(s.next(2), Due::Now(NODES));
    s.begin(2, NODES);
    s.end(3, false, false, 0);
    assert_eq!(s.next(3), Due::Never, "without nodes nothing wakes it up");
}

#[test]
fn rounds_for_changes_here_ask_nobody_and_put_off_no_poll() {
    let mut s = settled();
    let Due::At(at) = s.next(1) else { panic!("a poll is due") };
    for t in (1000..at).step_by(1000) {
        s.share_changed(t - 200);
        assert_eq!(s.next(t), Due::Now(SHARE));
        s.begin(t, SHARE);
        s.end(t, false, true, 128);
    }
    assert_eq!(s.next(at), Due::Now(NODES));
    // What is due with a notice comes together.
    s.share_changed(at);
    s.ask_nodes();
    assert_eq!(s.next(at + 200), Due::Now(Work { nodes: true, ..SHARE }));
}

#[test]
fn what_was_left_is_tried_again_later_and_later() {
    let mut s = settled();
    s.everything();
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..10 {
        let Due::Now(w) = s.next(now) else { panic!("due at {now}") };
        s.begin(now, w);
        s.end(now, true, false, 0);
        let Due::At(at) = s.next(now) else { panic!("a repetition is due") };
        waits.push(at - now);
        now = at;
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
}

#[test]
fn a_pause_holds_everything_and_ends_by_itself() {
    let mut s = settled();
    s.pause(Some(5000));
    s.share_changed(1000);
    assert_eq!(s.next(2000), Due::At(5000));
    assert_eq!(s.next(5000), Due::Now(Work { nodes: true, ..SHARE }));
    s.pause(None);
    assert_eq!(s.next(1_000_000), Due::Never);
    s.resume();
    assert!(matches!(s.next(1_000_000), Due::Now(_)));
}

#[test]
fn a_round_that_is_asked_for_comes_in_a_pause_and_does_not_end_it() {
    let mut s = settled();
    s.pause(None);
    s.force();
    assert_eq!(s.next(1), Due::Now(ALL));
    s.begin(1, ALL);
    s.end(2, false, true, 0);
    assert_eq!(s.next(1_000_000), Due::Never);
}

#[test]
fn an_echo_in_secure_waits_and_a_change_by_others_does_not() {
    const SECURE: Work = Work { secure: true, ..NOTHING };
    let mut s = settled();
    s.secure_changed(5000);
    assert_eq!(s.next(5000), Due::At(5200));
    assert_eq!(s.next(5200), Due::Now(SECURE));
    s.begin(5200, SECURE);
    s.secure_changed(5300);
    s.end(5400, false, true, 0);
    s.secure_changed(5500);
    assert_eq!(s.next(5500), Due::At(7500));
    // Share does not wait for it.
    s.share_changed(5600);
    assert_eq!(s.next(5800), Due::Now(SHARE));
    s.begin(5800, SHARE);
    s.end(5900, false, true, 0);
    assert_eq!(s.next(7500), Due::Now(SECURE));
    // Written all the time, it is looked at all the same.
    s.begin(7500, SECURE);
    s.end(7500, false, true, 0);
    let late = (9000..40_000).step_by(100).find(|t| {
        s.secure_changed(*t);
        matches!(s.next(*t), Due::Now(w) if w.secure)
    });
    assert_eq!(late, Some(19_000));
}

#[test]
fn a_failing_node_is_left_alone_longer_and_longer() {
    let mut b = Backoff::default();
    let waits: Vec<u64> = (0..11).map(|_| b.failed(255)).collect();
    assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]);
    b.succeeded();
    assert_eq!(b.failed(0), 500);
}
