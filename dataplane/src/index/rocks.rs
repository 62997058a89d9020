//! The index in RocksDB: one column family per drive, no log of its own, because the drives are the log.

use std::path::Path;

use holdfast_common::id::DriveId;
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, Direction, IteratorMode, Options, ReadOptions, ReadTier,
    WriteBatch, WriteOptions,
};

use super::store::{Cached, Store};
use super::{IndexError, Key, Location};
use crate::limits::{INDEX_CACHE_BYTES, INDEX_FILES_MAX, INDEX_WRITE_BUFFER_BYTES};
use crate::rocks::tables;

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

/// A database whose families are named after drives, so that a slot may hold another drive at the next start.
pub(super) struct Rocks {
    db: DB,
    names: Vec<String>,
}

impl Rocks {
    pub(super) fn open(path: &Path, drives: &[DriveId]) -> Result<Self, IndexError> {
        std::fs::create_dir_all(path).map_err(|error| IndexError(format!("{}: {error}", path.display())))?;
        let options = options();
        let names: Vec<String> = drives.iter().map(|drive| format!("drive-{drive}")).collect();
        let mut families = DB::list_cf(&options, path).unwrap_or_default();
        families.extend(names.iter().filter(|name| !families.contains(name)).cloned().collect::<Vec<_>>());
        let cache = Cache::new_lru_cache(INDEX_CACHE_BYTES);
        let families =
            families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, family_options(&cache)));
        Ok(Self { db: DB::open_cf_descriptors(&options, path, families)?, names })
    }

    fn family(&self, slot: usize) -> &ColumnFamily {
        self.db.cf_handle(&self.names[slot]).expect("opened with the database")
    }

    fn checkpoint_key(&self, slot: usize) -> String {
        format!("checkpoint/{}", self.names[slot])
    }
}

impl Store for Rocks {
    fn get(&self, slot: usize, key: &Key) -> Result<Option<Location>, IndexError> {
        let found = self.db.get_pinned_cf(self.family(slot), key.as_bytes())?;
        Ok(found.and_then(|bytes| Location::parse(&bytes)))
    }

    fn get_cached(&self, slot: usize, key: &Key) -> Result<Cached, IndexError> {
        let mut memory_only = ReadOptions::default();
        memory_only.set_read_tier(ReadTier::BlockCache);
        match self.db.get_pinned_cf_opt(self.family(slot), key.as_bytes(), &memory_only) {
            Ok(found) => Ok(Cached::Known(found.and_then(|bytes| Location::parse(&bytes)))),
            Err(error) if error.kind() == rocksdb::ErrorKind::Incomplete => Ok(Cached::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    fn scan(
        &self,
        slot: usize,
        from: &Key,
        visit: &mut dyn FnMut(Key, Location) -> bool,
    ) -> Result<(), IndexError> {
        let mode = IteratorMode::From(from.as_bytes(), Direction::Forward);
        for found in self.db.iterator_cf(self.family(slot), mode) {
            let (key, value) = found?;
            let parsed = Key::parse(&key).zip(Location::parse(&value));
            let (key, location) = parsed.ok_or_else(|| IndexError("an entry of unknown form".into()))?;
            if !visit(key, location) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, slot: usize, changes: &[(Key, Option<Location>)]) -> Result<(), IndexError> {
        let (family, mut batch) = (self.family(slot), WriteBatch::default());
        for (key, change) in changes {
            match change {
                Some(location) => batch.put_cf(family, key.as_bytes(), location.to_bytes()),
                None => batch.delete_cf(family, key.as_bytes()),
            }
        }
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        Ok(self.db.write_opt(batch, &unlogged)?)
    }

    fn checkpoint(&self, slot: usize) -> Result<Vec<u8>, IndexError> {
        Ok(self.db.get(self.checkpoint_key(slot))?.unwrap_or_default())
    }

    fn set_checkpoint(&self, slot: usize, note: &[u8]) -> Result<(), IndexError> {
        self.db.flush_cf(self.family(slot))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(self.db.put_opt(self.checkpoint_key(slot), note, &synced)?)
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(2 * INDEX_WRITE_BUFFER_BYTES);
    options.set_max_open_files(INDEX_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables(cache));
    options.set_write_buffer_size(INDEX_WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options
}
