use std::time::Duration;

use holdfast_protocol::sigv4::PayloadKind;

use super::{Writer, core, register, scrape};

#[test]
fn counters_of_all_threads_are_summed() {
    for _ in 0..2 {
        std::thread::spawn(|| {
            core().request("TestPut", 200, Duration::from_millis(3));
            core().payload_mode(PayloadKind::StreamingSigned);
        })
        .join()
        .unwrap();
    }
    let text = scrape();
    assert!(text.contains("holdfast_requests_total{operation=\"TestPut\",code=\"200\"} 2\n"), "{text}");
    assert!(
        text.contains("holdfast_request_seconds_bucket{operation=\"TestPut\",le=\"0.002\"} 0\n"),
        "{text}"
    );
    assert!(
        text.contains("holdfast_request_seconds_bucket{operation=\"TestPut\",le=\"0.004\"} 2\n"),
        "{text}"
    );
    assert!(text.contains("holdfast_request_seconds_count{operation=\"TestPut\"} 2\n"), "{text}");
    assert!(!text.contains("mode=\"streaming_signed\"} 0\n"), "{text}");
}

#[test]
fn sources_replace_their_namesakes() {
    register("test", |writer| writer.gauge("holdfast_test", "Old", &[], 1));
    register("test", |writer| writer.gauge("holdfast_test", "New", &[("a", "x\"\\\n")], 2.5));
    assert!(scrape().contains(
        "# HELP holdfast_test New\n# TYPE holdfast_test gauge\nholdfast_test{a=\"x\\\"\\\\\\n\"} 2.5\n"
    ));
}

#[test]
fn a_family_stays_together() {
    let mut writer = Writer::default();
    writer.counter("a_total", "A", &[("l", "1")], 1);
    writer.counter("b_total", "B", &[], 2);
    writer.counter("a_total", "A", &[("l", "2")], 3);
    let expected = "# HELP a_total A\n# TYPE a_total counter\na_total{l=\"1\"} 1\na_total{l=\"2\"} 3\n\
                    # HELP b_total B\n# TYPE b_total counter\nb_total 2\n";
    assert_eq!(writer.finish(), expected);
}
