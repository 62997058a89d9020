use std::path::Path;

use super::*;
use crate::sim::World;

const MAKE: Make = Make { device: 1, covers: true, capacity: 1 << 30 };

fn file(world: &World, name: &str, direct: bool) -> Handle {
    let open = Open { create: true, direct, ..Open::default() };
    world.disks.open(Path::new(name), open).expect("opens")
}

fn byte(world: &World, name: &str, at: u64) -> Option<u8> {
    let handle = world.disks.open(Path::new(name), Open::default()).ok()?;
    let mut out = [0];
    (world.disks.read_at(&handle, &mut out, at).ok()? == 1).then_some(out[0])
}

/// What is found under each seed after `act` and a power loss.
fn outcomes(
    act: impl Fn(&World),
    look: impl Fn(&World) -> Option<u8>,
) -> std::collections::BTreeSet<Option<u8>> {
    let one = |seed| {
        let world = World::enter(seed);
        world.disks.add("d", MAKE);
        act(&world);
        world.disks.power_off();
        world.disks.come_back(Outage::Power);
        look(&world)
    };
    (0..64).map(one).collect()
}

#[test]
fn what_was_flushed_stays_and_what_was_not_may_go() {
    let write = |flush: bool| {
        move |world: &World| {
            let handle = file(world, "/sim/d/f", false);
            world.disks.sync_dir(Path::new("/sim/d")).expect("syncs");
            world.disks.write_at(&handle, &[7; 4096], 0).expect("writes");
            if flush {
                world.disks.sync(&handle).expect("flushes");
            }
        }
    };
    let look = |world: &World| byte(world, "/sim/d/f", 0);
    assert_eq!(outcomes(write(true), look), [Some(7)].into());
    assert_eq!(outcomes(write(false), look), [None, Some(7)].into());
}

#[test]
fn a_name_needs_its_directory_synced() {
    let act = |world: &World| {
        let handle = file(world, "/sim/d/f", false);
        world.disks.write_at(&handle, &[7; 512], 0).expect("writes");
        world.disks.sync(&handle).expect("flushes");
    };
    assert_eq!(outcomes(act, |world| byte(world, "/sim/d/f", 0)), [None, Some(7)].into());
}

#[test]
fn a_flush_of_another_file_covers_overwrites_only() {
    let act = |zeroed: bool| {
        move |world: &World| {
            let (ours, other) = (file(world, "/sim/d/ours", true), file(world, "/sim/d/other", true));
            world.disks.set_len(&ours, 8192).expect("grows");
            if zeroed {
                world.disks.write_at(&ours, &[0; 8192], 0).expect("zeroes");
            }
            world.disks.sync(&ours).expect("flushes");
            world.disks.sync_dir(Path::new("/sim/d")).expect("syncs");
            world.disks.write_at(&ours, &[7; 4096], 4096).expect("writes");
            world.disks.sync(&other).expect("flushes");
        }
    };
    let look = |world: &World| byte(world, "/sim/d/ours", 4096);
    assert_eq!(outcomes(act(true), look), [Some(7)].into());
    assert_eq!(outcomes(act(false), look), [Some(0), Some(7)].into());
}

#[test]
fn a_process_that_dies_takes_nothing_along_that_was_written() {
    let world = World::enter(1);
    world.disks.add("d", MAKE);
    let handle = file(&world, "/sim/d/f", false);
    world.disks.write_at(&handle, &[7; 512], 0).expect("writes");
    world.disks.power_off();
    assert!(world.disks.write_at(&handle, &[8; 512], 0).is_err());
    world.disks.come_back(Outage::Process);
    assert!(world.disks.write_at(&handle, &[8; 512], 0).is_err(), "a handle of an earlier life");
    assert_eq!(byte(&world, "/sim/d/f", 0), Some(7));
}

#[test]
fn a_failed_flush_loses_some_of_it_for_good() {
    let act = |world: &World| {
        let handle = file(world, "/sim/d/f", false);
        world.disks.sync_dir(Path::new("/sim/d")).expect("syncs");
        world.disks.write_at(&handle, &[7; 512], 0).expect("writes");
        world.disks.fault("d", |faults| faults.sync_errors = 100);
        world.disks.sync(&handle).expect_err("fails");
        world.disks.fault("d", |faults| faults.sync_errors = 0);
        world.disks.sync(&handle).expect("says that all is well");
    };
    assert_eq!(outcomes(act, |world| byte(world, "/sim/d/f", 0)), [None, Some(7)].into());
}

#[test]
fn a_full_disk_takes_overwrites() {
    let world = World::enter(1);
    world.disks.add("d", Make { capacity: 8192, ..MAKE });
    let handle = file(&world, "/sim/d/f", false);
    world.disks.set_len(&handle, 8192).expect("fits");
    let full = world.disks.set_len(&handle, 8193).expect_err("does not fit");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    world.disks.write_at(&handle, &[1; 512], 0).expect("an overwrite");
    assert_eq!(world.disks.room(Path::new("/sim/d")).expect("there").free, 0);
}
