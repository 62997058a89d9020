//! Whole blobs over the drives of several nodes.

use std::rc::Rc;
use std::time::Duration;

use holdfast_common::id::{DriveId, OpId};
use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{Backend, BackendState, Class, Level, Placement, Rule, Spread, place};

use super::rig::{Rig, backend, blob_of, bytes, node_id};
use crate::blob::{Blobs, NewBlob, cpu_features};
use crate::metrics::Writer;
use crate::rt::Rt;

const SIZE: usize = 3_000_000;

/// 4+2 over three nodes of two drives.
fn placement(op: OpId) -> Placement {
    let backends = (1..=3).flat_map(|node| (0..2).map(move |drive| backend(node, drive)));
    let backends: Vec<Backend> = backends
        .map(|id| Backend {
            id,
            state: BackendState::Active,
            drive: DriveId([id.0 as u8; 16]),
            node: "".into(),
            provider: "".into(),
            country: "".into(),
            region: "".into(),
        })
        .collect();
    let spread = Spread { distinct: Level::Drive, at_least: 1 };
    let class = Class { id: 1, rule: Rule::Local { parity: 2 }, spread };
    place(&class, "", &backends, op, Some(SIZE as u64)).unwrap()
}

pub(super) async fn a_blob_over_three_nodes_outlives_one_of_them<R: Rt>() {
    let mut rig = Rig::<R>::new(3);
    let (op, sent) = (blob_of(1, 1), bytes(5, SIZE));
    let (placement, size) = (placement(op), Some(SIZE as u64));
    let coders = Rc::new(Coders::new(choose(cpu_features())));
    let blobs = Blobs::<_, R>::new(Rc::clone(&rig.node(1).fleet), coders);
    let mut writer = blobs.write(NewBlob { op_id: op, attempt: 0, class_id: 1, size }, &placement);
    for part in sent.chunks(100_000) {
        writer.push(part).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    assert_eq!(written.proven.count_ones(), 6);
    for node in 1..=3 {
        assert!(
            rig.node(node).drives.is_durable(backend(node, 0).0) && rig.node(node).drives.stored(None) > 0
        );
    }

    rig.node(3).stop.set();
    rig.node(1).fleet.close();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.move_node(3, nobody);
    let mut reader = blobs.read(&written.to_wire(1), &placement.backends, 0..SIZE as u64).unwrap();
    let mut got = Vec::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert!(got == sent);
    let mut writer = Writer::default();
    rig.node(1).peers.write_metrics(&mut writer);
    let text = writer.finish();
    let count = |name: &str, labels: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{{labels}}} ")));
        line.unwrap_or_else(|| panic!("{name} {labels} in\n{text}")).parse::<usize>().unwrap()
    };
    // Two of six fragments went to each, and those of the one that is off were not needed.
    let [second, third] = [2, 3].map(|n| format!("node=\"{}\"", node_id(n)));
    for node in [&second, &third] {
        assert!(count("holdfast_peer_bytes_sent_total", node) > SIZE / 4, "{text}");
    }
    assert!(count("holdfast_peer_bytes_received_total", &second) > SIZE / 4, "{text}");
    assert_eq!(count("holdfast_peer_bytes_received_total", &third), 0, "{text}");
    rig.stop();
}

pub(super) async fn an_upload_that_is_given_up_leaves_nothing_on_any_node<R: Rt>() {
    let rig = Rig::<R>::new(3);
    let (op, sent) = (blob_of(1, 2), bytes(6, SIZE));
    let coders = Rc::new(Coders::new(choose(cpu_features())));
    let blobs = Blobs::<_, R>::new(Rc::clone(&rig.node(1).fleet), coders);
    let new = NewBlob { op_id: op, attempt: 0, class_id: 1, size: Some(SIZE as u64) };
    let mut writer = blobs.write(new, &placement(op));
    writer.push(&sent[..2_500_000]).await.unwrap();
    drop(writer);
    let left = || rig.nodes.iter().map(|node| node.drives.stored(None)).sum::<usize>();
    // What is still on its way is swept when it has come back.
    let mut quiet = 0;
    while quiet < 20 {
        R::sleep(Duration::from_millis(10)).await;
        quiet = if left() == 0 { quiet + 1 } else { 0 };
    }
    rig.stop();
}
