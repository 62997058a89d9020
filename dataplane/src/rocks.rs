//! What the node's two RocksDB databases, cache and drive index, have in common.

use rocksdb::{BlockBasedIndexType, BlockBasedOptions, Cache};

/// Tables whose index and filter are cut into blocks and cached as such. Whole, they would be hundreds of KiB each, and a cache
/// that is smaller than they are would read and check all of one for a single lookup (seen at a million objects).
pub(crate) fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_top_level_index_and_filter(true);
    table
}
