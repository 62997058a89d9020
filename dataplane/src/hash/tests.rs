//! Lanes against `md-5` and `ring`, in any split and company; bodies of several threads through one pool.

use std::collections::VecDeque;

use bytes::Bytes;
use holdfast_protocol::digest::{md5, sha256};
use proptest::prelude::*;

use super::lane::{Lane, Run, pass};
use super::{Hasher, Hashes, Kernel, LANES, Pool, Together};
use crate::rt::epoll::EpollRt;
use crate::rt::{Chunk, CoreConfig, Rt};

fn expected(body: &[u8], with_sha256: bool) -> Hashes {
    Hashes { md5: md5(body), sha256: with_sha256.then(|| sha256(body)) }
}

fn chunk(bytes: &[u8]) -> Chunk {
    Chunk::from(Bytes::copy_from_slice(bytes))
}

/// Bytes without a pattern that words of different lanes share.
fn body_of(seed: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at + seed).wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[test]
fn every_length_around_a_block() {
    for kernel in Kernel::all() {
        for bytes in 0..200 {
            let body = body_of(bytes, bytes);
            let mut together = Together::new(kernel, 1);
            together.update(&[chunk(&body)]);
            assert_eq!(together.finish(), [expected(&body, kernel.sha256())], "{bytes} bytes by {kernel:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several passes; in each some bodies bring parts of any length, and some want SHA-256 and some do not.
    #[test]
    fn lanes_agree_with_each_alone(
        passes in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(0usize..300, 0..4), 1..=LANES),
            1..4,
        ),
        wants in any::<u8>(),
    ) {
        for kernel in Kernel::all() {
            let sha256 = |lane: usize| kernel.sha256() && wants & (1 << lane) != 0;
            let mut lanes: Vec<Lane> = (0..LANES).map(|lane| Lane::new(sha256(lane))).collect();
            let mut bodies = vec![Vec::new(); LANES];
            for lengths in &passes {
                let mut runs = Vec::new();
                for (index, lengths) in lengths.iter().enumerate() {
                    let mut parts = VecDeque::new();
                    for bytes in lengths {
                        let part = body_of(index * 1000 + bodies[index].len(), *bytes);
                        bodies[index].extend_from_slice(&part);
                        parts.push_back(chunk(&part));
                    }
                    runs.push(Run { lane: lanes[index].clone(), parts });
                }
                pass(kernel, &mut runs);
                lanes.iter_mut().zip(runs).for_each(|(lane, run)| *lane = run.lane);
            }
            for (index, (lane, body)) in lanes.into_iter().zip(&bodies).enumerate() {
                prop_assert_eq!(lane.finish(kernel), expected(body, sha256(index)));
            }
        }
    }
}

/// Bodies of one core, each fed in a task of its own; every fourth is given up half way.
async fn feed_all(pool: std::sync::Arc<Pool>, seed: usize) {
    let hasher = Hasher::new::<EpollRt>(pool);
    let with_sha256 = hasher.takes_sha256();
    let mut ends = Vec::new();
    for index in 0..12 {
        let (hasher, (done, end)) = (hasher.clone(), tokio::sync::oneshot::channel());
        ends.push(end);
        EpollRt::spawn(async move {
            let body = body_of(seed + index, 70_000 + index * 9_973);
            let mut hashes = hasher.body(true);
            let given_up = index % 4 == 3;
            for part in body.chunks(10_007).take(if given_up { 5 } else { usize::MAX }) {
                hashes.feed(chunk(part)).await;
            }
            if !given_up {
                assert_eq!(hashes.finish().await, expected(&body, with_sha256));
            }
            let _ = done.send(());
        });
    }
    for end in ends {
        end.await.expect("the task came to its end");
    }
}

#[test]
fn cores_hash_each_others_bodies() {
    for kernel in Kernel::all() {
        let pool = Pool::new(kernel);
        let cores: Vec<_> = (0..3)
            .map(|index| {
                let pool = pool.clone();
                std::thread::spawn(move || {
                    EpollRt::run(&CoreConfig { index, cpu: None }, feed_all(pool, index * 100))
                        .expect("runs");
                })
            })
            .collect();
        cores.into_iter().for_each(|core| core.join().expect("no assertion failed"));
        let queue = pool.queue.lock();
        assert_eq!((queue.passes, queue.ready.len()), (0, 0), "nothing is left behind");
    }
}
