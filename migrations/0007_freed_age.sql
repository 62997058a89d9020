-- Every deletion wrote it twice, when it was freed and when it was leased; it only told how old the oldest is, and the
-- rows that are counted anyway tell that too.
DROP INDEX freed_age;
